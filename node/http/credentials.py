"""By what the node identifies itself to a web server: nothing, a password, or a bearer token.

The secret is read for each request, so that a renewed one needs no restart. `requests` removes the
header where it follows a redirection to another host, port or scheme.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import requests
from requests.auth import AuthBase

from node.domain.errors import Transient

Secret = Callable[[], str]
# RFC 6750 2.1, and what real servers issue besides.
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Credentials(Protocol):
    """What identifies the node in each request."""

    @property
    def remedy(self) -> str:
        """What to do where the server does not accept them."""

    def authorization(self) -> str:
        """Returns the value of the header Authorization; empty: without that header.

        Raises:
            Transient: there is none at present; the message says what to check.
        """

    def renew(self, refused: str) -> bool:
        """Whether another value than the `refused` one can be had."""


@dataclass(frozen=True)
class NoCredentials:
    """The node does not identify itself."""

    @property
    def remedy(self) -> str:
        """See `Credentials.remedy`."""
        return "the configuration has no user name and password, and no token, for it: set them"

    def authorization(self) -> str:
        """See `Credentials.authorization`."""
        return ""

    def renew(self, refused: str) -> bool:
        """See `Credentials.renew`."""
        del refused
        return False


NO_CREDENTIALS = NoCredentials()


@dataclass(frozen=True)
class UserPassword:
    """A user name and a password (RFC 7617), in UTF-8."""

    username: str
    password: Secret = field(repr=False)

    @property
    def remedy(self) -> str:
        """See `Credentials.remedy`."""
        return "check the user name and password for it, and what this user may do there"

    def authorization(self) -> str:
        """See `Credentials.authorization`."""
        both = f"{self.username}:{self.password()}".encode()
        return f"Basic {base64.b64encode(both).decode('ascii')}"

    def renew(self, refused: str) -> bool:
        """See `Credentials.renew`; somebody may have renewed the password since."""
        return self.authorization() != refused


@dataclass(frozen=True)
class BearerToken:
    """A token that somebody issued for the node (RFC 6750)."""

    token: Secret = field(repr=False)

    @property
    def remedy(self) -> str:
        """See `Credentials.remedy`."""
        return "check the token (token_file or token_env), until when it is valid, and its rights"

    def authorization(self) -> str:
        """See `Credentials.authorization`."""
        return bearer(self.token(), "the token (token_file or token_env)")

    def renew(self, refused: str) -> bool:
        """See `Credentials.renew`; somebody may have renewed the token since."""
        return self.authorization() != refused


def bearer(token: str, name: str) -> str:
    """Returns the header with a token; messages call it `name`.

    Raises:
        Transient: it has characters that no header can hold.
    """
    if not _TOKEN.fullmatch(token):
        raise Transient(f"{name} must be one word of ASCII characters, and is not: replace it")
    return f"Bearer {token}"


def send_with_credentials(
    send: Callable[[AuthBase | None], requests.Response], credentials: Credentials
) -> requests.Response:
    """Calls `send` with what adds the credentials; once more if the server refuses those of before.

    Raises:
        Transient: there are no credentials at present.
    """
    value = credentials.authorization()
    response = send(_Authorization(value) if value else None)
    if response.status_code != HTTPStatus.UNAUTHORIZED or not credentials.renew(value):
        return response
    response.close()
    return send(_Authorization(credentials.authorization()))


@dataclass(frozen=True)
class _Authorization(AuthBase):
    """Adds the header Authorization; a .netrc file of the node's user then has no effect."""

    value: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self.value
        return request
