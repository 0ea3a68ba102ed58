"""A login that has begun in one browser and is not finished."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from node.access.secrets import new_identifier

# A person may have to look for a phone with the second factor.
MAX_DURATION = timedelta(minutes=15)


@dataclass(frozen=True)
class PendingLogin:
    """What the browser keeps in a cookie until the provider sends the person back.

    State, nonce and code verifier follow from all of it: who changes the cookie, or brings that of
    another browser, has another state. `next_page` is the wanted page.
    """

    secret: str
    started_at: int  # seconds since 1970
    next_page: str

    @classmethod
    def start(cls, next_page: str, now: datetime) -> Self:
        """Begins a login."""
        return cls(new_identifier(), int(now.timestamp()), next_page)

    @classmethod
    def from_cookie(cls, text: str, now: datetime) -> Self | None:
        """Returns the login in a cookie; None if there is none, or it began too long ago."""
        secret, _, rest = text.partition(".")
        seconds, _, page = rest.partition(".")
        try:
            padded = page + "=" * (-len(page) % 4)
            next_page = base64.b64decode(padded, b"-_", validate=True).decode("ascii")
            started_at = int(seconds)
        except (binascii.Error, ValueError):
            return None
        age = now.timestamp() - started_at
        is_valid = secret and age + 1 >= 0 and age <= MAX_DURATION.total_seconds()
        return cls(secret, started_at, next_page) if is_valid else None

    @property
    def cookie(self) -> str:
        """The value of the cookie."""
        page = base64.urlsafe_b64encode(self.next_page.encode("ascii")).decode("ascii").rstrip("=")
        return f"{self.secret}.{self.started_at}.{page}"

    @property
    def state(self) -> str:
        """What the provider must send back (RFC 6749 10.12)."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the ID token must hold (OpenID Connect Core 3.1.2.1)."""
        return self._derived("nonce")

    @property
    def code_verifier(self) -> str:
        """What redeems the code (RFC 7636)."""
        return self._derived("code verifier")

    @property
    def code_challenge(self) -> str:
        """What the provider gets of the code verifier: its SHA-256."""
        challenge: str = create_s256_code_challenge(self.code_verifier)
        return challenge

    def is_state(self, state: str) -> bool:
        """Whether the provider answers this login."""
        return hmac.compare_digest(state.encode(), self.state.encode())

    def _derived(self, purpose: str) -> str:
        key = self.secret.encode()
        text = f"{purpose}:{self.started_at}:{self.next_page}"
        digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
