"""The settings of logins."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from node.routing.condition_parsing import KeyPath
from node.settings.access.oidc import OidcOptions, oidc_mistakes
from node.settings.access.proxy import ProxyLoginOptions, proxy_mistakes
from node.settings.network.loopback import is_loopback_host
from node.settings.network.web import WebOptions
from node.settings.value_types import Options, Positive, Whole, within


class AccessOptions(Options):
    """Who may use console, REST API and DICOMweb.

    With login "none", everybody who can connect may do everything; the console then listens on
    the loopback interface only. A session ends `idle_minutes` after its last use, and at the
    latest after `session_hours`. `totp` says whether each login with a password needs a second
    factor. `oidc` is an identity provider for logins, or `proxy` a reverse proxy that names people.
    With `local_accounts` "administrators", the passwords of all others on the node do not count;
    those of administrators do, so that the node can be used while the provider fails. A token of a
    program is valid for at most `token_max_days`.
    """

    login: Literal["required", "none"] = "required"
    idle_minutes: Positive = 30.0
    session_hours: Positive = 12.0
    totp: Literal["optional", "required"] = "optional"
    local_accounts: Literal["all", "administrators"] = "all"
    token_max_days: Annotated[Whole, within(1, 3650)] = 3650
    oidc: OidcOptions | None = None
    proxy: ProxyLoginOptions | None = None


def logins_besides(values: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yields an identity provider beside a proxy, in the values of the file, valid or not."""
    access = values.get("access")
    if isinstance(access, Mapping) and {"oidc", "proxy"} <= access.keys():
        yield ("access", "oidc"), "cannot stand beside [access.proxy]: use one of them"


def access_mistakes(access: AccessOptions, web: WebOptions) -> Iterator[tuple[KeyPath, str]]:
    """Yields settings of logins that exclude others."""
    if access.login == "none" and not is_loopback_host(web.host):
        message = (
            f'"none" lets everybody who reaches {web.host} change the node: use login = "required",'
            ' or web.host = "127.0.0.1"'
        )
        yield ("access", "login"), message
    if access.oidc is None and access.proxy is None and access.local_accounts == "administrators":
        message = (
            '"administrators" lets nobody else log in: it needs [access.oidc] or [access.proxy]'
        )
        yield ("access", "local_accounts"), message
    if access.proxy is not None:
        for path, message in proxy_mistakes(access.proxy, web):
            yield ("access", *path), message
        if access.login == "none":
            yield ("access", "login"), 'must be "required" with [access.proxy]'
    if access.oidc is not None:
        for path, message in oidc_mistakes(access.oidc, web):
            yield ("access", *path), message
