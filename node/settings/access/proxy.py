"""The settings of logins by a reverse proxy that knows people already."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from node.domain.access.permissions import Role
from node.settings.credentials.options import SecretFile
from node.settings.network.peers import Network
from node.settings.network.web import WebOptions
from node.settings.value_types import Name, Options

# The characters of a header's name (RFC 9110 5.6.2) without "_": many programs take "_" for "-".
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,64}")
# Headers with a meaning of their own.
_RESERVED = {
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "referer",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-csrf-token",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
}


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError('must be the name of a header without "_", such as "X-Forwarded-User"')
    if name.lower() in _RESERVED:
        raise ValueError("is a header with another meaning: name one that only the proxy sets")
    return name


def _sign_out_address(address: str) -> str:
    is_path = address.startswith("/") and not address.startswith("//")
    if (not is_path and not address.startswith("https://")) or not address.isprintable():
        raise ValueError('must be a path such as "/oauth2/sign_out", or begin with https://')
    return address


HeaderName = Annotated[str, AfterValidator(_header_name)]


class ProxyLoginOptions(Options):
    """A reverse proxy with a login of its own, which names people in headers of each request.

    Only requests from `addresses` count; with a secret, only those that have it in
    `secret_header`. `roles` gives each group of `groups_header` a role; a person with several has
    the highest. `sign_out_address` is where the proxy ends its login.
    """

    addresses: tuple[Network, ...]
    user_header: HeaderName = "X-Forwarded-User"
    groups_header: HeaderName = "X-Forwarded-Groups"
    group_separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    secret_header: HeaderName = "X-Proxy-Secret"  # noqa: S105 not a secret
    secret_env: Name | None = None
    secret_file: SecretFile | None = None
    sign_out_address: Annotated[str, AfterValidator(_sign_out_address)] | None = None
    button: Name = "Log in with your hospital account"
    roles: dict[Name, Role] = Field(default_factory=dict)

    @property
    def has_secret(self) -> bool:
        """Whether requests need a secret."""
        return self.secret_env is not None or self.secret_file is not None


def proxy_mistakes(
    proxy: ProxyLoginOptions, web: WebOptions
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields what is wrong with the login, each with its path below `access`."""
    if not proxy.addresses:
        yield ("proxy", "addresses"), "must name the addresses of the proxy: nobody else counts"
    trusted = [ip_network(each) for each in web.trusted_proxies]
    for address in proxy.addresses:
        network = ip_network(address)
        if network.prefixlen == 0:
            message = f"{address} lets everybody log in as anybody: name the addresses of the proxy"
            yield ("proxy", "addresses"), message
        elif not any(
            network.version == each.version and network.subnet_of(each)  # type: ignore[arg-type]
            for each in trusted
        ):
            message = (
                f"{address} is missing in web.trusted_proxies: without it, the node takes the "
                "proxy for the client of all its requests"
            )
            yield ("proxy", "addresses"), message
    if not proxy.roles:
        message = "nobody could log in: give at least one group of the proxy a role"
        yield ("proxy", "roles"), message
    headers = [proxy.user_header, proxy.groups_header, proxy.secret_header]
    if len({each.lower() for each in headers}) < len(headers):
        yield ("proxy", "user_header"), "user, groups and secret need different headers"
