"""The settings of logins by OpenID Connect."""

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from node.domain.access.permissions import Role
from node.settings.credentials.options import SecretFile
from node.settings.network.loopback import is_loopback_host
from node.settings.network.tls_files import TlsFileOptions
from node.settings.network.web import WebOptions
from node.settings.value_types import Name

_MAX_ISSUER_LENGTH = 255


def _issuer(url: str) -> str:
    """Checks an issuer: HTTPS, without query and fragment (OpenID Connect Discovery 3)."""
    try:
        parts = urlsplit(url)
        known = _is_address(parts) and not re.search(r"\s", url)
    except ValueError:
        known = False
    if not known or "?" in url or "#" in url or len(url) > _MAX_ISSUER_LENGTH:
        raise ValueError("must be an address such as https://login.hospital.example/realms/staff")
    if not is_protected_address(url):
        raise ValueError("must begin with https://, so that nobody on the network can log in")
    return url


def _is_address(parts: SplitResult) -> bool:
    return bool(parts.hostname) and parts.username is None and parts.port != 0


def is_protected_address(url: str) -> bool:
    """Whether nobody on the network can read or change what is sent to this address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(host))


class OidcOptions(TlsFileOptions):
    """An identity provider, at which people log in to the node (OpenID Connect Core 1.0).

    The provider knows the node as `client_id`; the secret of this client is in an environment
    variable or a file. `roles` gives each group, as the claim `groups_claim` of the ID token or of
    UserInfo names it, a role; a person with several has the highest. `button` is the text on the
    login page.
    """

    issuer: Annotated[str, AfterValidator(_issuer)]
    client_id: Name
    client_secret_env: Name | None = None
    client_secret_file: SecretFile | None = None
    scopes: tuple[Name, ...] = ("openid", "profile")
    name_claim: Name = "preferred_username"
    groups_claim: Name = "groups"
    button: Name = "Log in with your hospital account"
    roles: dict[Name, Role] = Field(default_factory=dict)


def oidc_mistakes(oidc: OidcOptions, web: WebOptions) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields what is missing for the login, each with its path below `access`."""
    if "openid" not in oidc.scopes:
        yield ("oidc", "scopes"), 'must hold "openid": without it, there is no ID token'
    if not oidc.roles:
        message = "nobody could log in: give at least one group of the provider a role"
        yield ("oidc", "roles"), message
    if not web.public_url:
        message = (
            "needs web.public_url, the address of the console in browsers: the provider sends "
            "people back to it"
        )
        yield ("oidc", "issuer"), message
