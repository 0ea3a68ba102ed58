"""An identity provider with real signatures whose answers a test can falsify."""

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from tests.support.servers.loopback_server import LoopbackServer

CLIENT_ID, CLIENT_SECRET = "segnode", "a+secret/with:signs%"
Claims = dict[str, Any]


def _signed(claims: Claims, key: Key) -> str:
    algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, algorithms=[algorithm])


@dataclass
class LyingProvider(LoopbackServer):
    """It redeems every code; `change` falsifies the claims, and `sign` the signature.

    `nonce` is that of the login, which a real provider keeps with the code. `published` are the
    keys that it publishes; it signs with `key`. `requests` are the paths of all requests, and
    `forms` the forms for the token endpoint. `user_info` is its answer about every access token.
    """

    key: Key = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "first"}))
    published: list[Key] = field(default_factory=list)
    nonce: str = ""
    change: Callable[[Claims], None] = field(default=lambda _claims: None)
    sign: Callable[[Claims, Key], str] = field(default=_signed)
    discovery: dict[str, Any] = field(default_factory=dict)
    token_answer: tuple[int, Mapping[str, Any]] | None = None
    user_info: tuple[int, Mapping[str, Any]] = (200, {})
    is_down: bool = False
    requests: list[str] = field(default_factory=list)
    forms: list[Mapping[str, str]] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        super().__init__(self.tls)
        self.published = [self.key]

    def be_honest(self) -> None:
        """Ends all lies; the keys stay."""
        self.change, self.sign = lambda _claims: None, _signed
        self.token_answer, self.is_down = None, False
        self.user_info = (200, {})
        self.published = [self.key]

    @property
    def issuer(self) -> str:
        """Its issuer."""
        return self.url

    def id_token(self) -> str:
        """Returns the ID token for the login with `nonce`."""
        now = int(datetime.now(UTC).timestamp())
        claims: Claims = {
            "iss": self.issuer,
            "sub": "4711",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "preferred_username": "jdoe",
            "groups": ["staff"],
        }
        self.change(claims)
        return self.sign(claims, self.key)

    def answer(self, path: str, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """Returns status and content of the answer to a request."""
        self.requests.append(path)
        if self.is_down:
            return 503, {}
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/auth",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/me",
            } | self.discovery
        if path == "/keys":
            return 200, {"keys": list(KeySet(self.published).as_dict(private=False)["keys"])}
        if path == "/me":
            return self.user_info
        self.forms.append({key: value[-1] for key, value in parse_qs(body.decode()).items()})
        tokens = {"token_type": "Bearer", "access_token": "any", "id_token": self.id_token()}
        return self.token_answer or (200, tokens)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Returns the class that answers one request."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, content = server.answer(self.path, body)
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = _answer  # noqa: N815 the names of http.server

            def log_message(self, format: str, *args: object) -> None:
                """Keep the tests' output quiet."""

        return Handler
