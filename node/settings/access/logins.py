"""The settings of logins."""

from collections.abc import Iterator
from typing import Literal

from node.routing.condition_parsing import KeyPath
from node.settings.network.loopback import is_loopback_host
from node.settings.value_types import Options, Positive


class AccessOptions(Options):
    """Who may use console, REST API and DICOMweb.

    With login "none", everybody who can connect may do everything; the console then listens on
    the loopback interface only. A session ends `idle_minutes` after its last use, and at the
    latest after `session_hours`. `totp` says whether each login needs a second factor.
    """

    login: Literal["required", "none"] = "required"
    idle_minutes: Positive = 30.0
    session_hours: Positive = 12.0
    totp: Literal["optional", "required"] = "optional"


def access_mistakes(access: AccessOptions, web_host: str) -> Iterator[tuple[KeyPath, str]]:
    """Yields settings of logins that exclude others."""
    if access.login == "none" and not is_loopback_host(web_host):
        message = (
            f'"none" lets everybody who reaches {web_host} change the node: use login = "required",'
            ' or web.host = "127.0.0.1"'
        )
        yield ("access", "login"), message
