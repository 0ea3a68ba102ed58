"""Tokens that a token endpoint issues for the node (OAuth 2.0 client credentials, RFC 6749 4.4)."""

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import requests

from node.domain.errors import Transient
from node.http.credentials import Secret, bearer
from node.http.limited_answers import AnswerLimits, json_content, request
from node.http.tls_connections import NO_FILES, no_answer
from node.tls.certificate_files import TlsFiles

# Connect timeout and read timeout.
_TIMEOUT_SECONDS = (10.0, 30.0)
# A token has a few kilobytes; a person or a delivery waits for it.
_LIMITS = AnswerLimits(max_bytes=1 << 16, max_seconds=30.0)
# A token that expires sooner may expire on its way; of a short-lived one, a tenth of its life.
_MARGIN_SECONDS = 30.0
_MARGIN_PART = 0.1
_MAX_DESCRIPTION = 200
# What the errors of RFC 6749 5.2 and RFC 8707 2 mean for the settings.
_REMEDIES: Mapping[str, str] = {
    "invalid_client": "check oauth_client_id and the client secret, and whether the server expects "
    "them in the body (oauth_client_authentication)",
    "unauthorized_client": "allow this client the grant client_credentials there",
    "unsupported_grant_type": "allow the grant client_credentials there",
    "invalid_scope": "check oauth_scope, and which scopes this client may have there",
    "invalid_target": "check oauth_audience",
    "access_denied": "check what this client may do there",
    "invalid_request": "check oauth_scope, oauth_audience and oauth_client_authentication, and "
    "that this client may use the grant client_credentials",
}


class TokenNotIssued(Transient):
    """The token endpoint issues no token; `text` is what happened, `remedy` what to do."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(f"{text}: {remedy}")
        self.text = text
        self.remedy = remedy


@dataclass
class ClientCredentials:
    """A client of a token endpoint; its token is kept until shortly before it expires.

    `files` are those of the TLS connection to the endpoint. With `in_body`, id and secret are sent
    in the body of the request instead of by HTTP Basic.
    """

    token_url: str
    client_id: str
    secret: Secret = field(repr=False)
    scope: str = ""
    audience: str = ""
    in_body: bool = False
    files: TlsFiles = NO_FILES
    clock: Callable[[], float] = time.monotonic
    _header: str = field(default="", repr=False)
    _valid_until: float = field(default=float("inf"))
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def remedy(self) -> str:
        """See `Credentials.remedy`."""
        return (
            f"it does not accept the token that {self.token_url} issues for {self.client_id}: "
            "check oauth_scope, oauth_audience, and what this client may do there"
        )

    def authorization(self) -> str:
        """See `Credentials.authorization`.

        Raises:
            Transient: the endpoint does not answer, or issues no token.
        """
        with self._lock:
            if not self._header or self.clock() >= self._valid_until:
                self._fetch()
            return self._header

    def renew(self, refused: str) -> bool:
        """See `Credentials.renew`: the next request gets another token, in whatever thread."""
        with self._lock:
            if self._header == refused:
                self._header = ""
        return True

    def _fetch(self) -> None:
        sent_at = self.clock()
        answer = self._answer()
        kind = answer.get("token_type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise TokenNotIssued(
                f"{self.token_url} issued a token of another type than Bearer",
                "have the server issue bearer tokens for this client",
            )
        self._header = bearer(str(answer["access_token"]), f"the token of {self.token_url}")
        self._valid_until = sent_at + used_for(answer.get("expires_in"))

    def _answer(self) -> dict[str, Any]:
        """Returns the answer with the token (RFC 6749 5.1).

        Raises:
            Transient: there is none.
        """
        secret = self.secret()
        response = self._post(secret)
        body = json_content(response)
        answer = body if isinstance(body, dict) else {}
        if response.status_code == 200 and isinstance(answer.get("access_token"), str):
            return answer
        raise self._failure(response, answer, secret)

    def _post(self, secret: str) -> requests.Response:
        form = {"grant_type": "client_credentials"}
        form |= {"scope": self.scope} if self.scope else {}
        form |= {"audience": self.audience} if self.audience else {}
        headers = {"Accept": "application/json"}
        if self.in_body:
            form |= {"client_id": self.client_id, "client_secret": secret}
        else:  # each is encoded as in a form (RFC 6749 2.3.1)
            both = f"{quote_plus(self.client_id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(both).decode('ascii')}"
        try:
            return request(
                "POST",
                self.token_url,
                data=form,
                headers=headers,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,  # the body, which may hold the secret, goes nowhere else
                files=self.files,
                limits=_LIMITS,
            )
        except OSError as error:  # every exception of requests is one, and so is a missing file
            reason = str(no_answer(error, self.token_url, self.files))
            raise TokenNotIssued(f"there is no token for {self.client_id}", reason) from error

    def _failure(
        self, response: requests.Response, answer: dict[str, Any], secret: str
    ) -> TokenNotIssued:
        status = response.status_code
        text = f"{self.token_url} answered {status} {response.reason}".rstrip()
        code = answer.get("error")
        if isinstance(code, str) and (known := _REMEDIES.get(code)):
            text = f"{self.token_url} issues no token for {self.client_id}: {code}"
            description = _shown(answer.get("error_description"), secret)
            return TokenNotIssued(f"{text} ({description})" if description else text, known)
        if status in {401, 403}:
            return TokenNotIssued(text, _REMEDIES["invalid_client"])
        if status == 429 or status >= 500:
            return TokenNotIssued(text, "look into the log of that server")
        return TokenNotIssued(
            f"{text} and no token", "check that oauth_token_url is its token endpoint"
        )


def used_for(expires_in: Any) -> float:
    """Returns for how many seconds a token is used; without a limit, until it is refused."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        return float("inf")
    return seconds - min(_MARGIN_SECONDS, _MARGIN_PART * seconds)


def _shown(description: Any, secret: str) -> str:
    """Returns the description of an error as a short line without the secret."""
    if not isinstance(description, str):
        return ""
    line = "".join(c for c in description.replace(secret, "***") if c.isprintable())
    return line[:_MAX_DESCRIPTION]
