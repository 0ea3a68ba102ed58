"""The settings of logins."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Literal

from node.routing.condition_parsing import KeyPath
from node.settings.value_types import Options


class AccessOptions(Options):
    """Who may use console, REST API and DICOMweb.

    With login "none", everybody who can connect may do everything; the console then listens on
    the loopback interface only.
    """

    login: Literal["required", "none"] = "required"


def access_mistakes(access: AccessOptions, web_host: str) -> Iterator[tuple[KeyPath, str]]:
    """Yields settings of logins that exclude others."""
    if access.login == "none" and not _is_loopback(web_host):
        message = (
            f'"none" lets everybody who reaches {web_host} change the node: use login = "required",'
            ' or web.host = "127.0.0.1"'
        )
        yield ("access", "login"), message


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
