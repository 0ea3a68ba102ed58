"""The identity provider: its addresses and keys, and the tokens that it issues."""

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import requests
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from node.domain.errors import Transient
from node.http.limited_answers import AnswerLimits, json_content, request
from node.http.tls_connections import no_answer
from node.settings.access.oidc import OidcOptions, is_protected_address
from node.settings.credentials.options import secret_source

# A person waits for the page.
_TIMEOUT_SECONDS = (5.0, 10.0)
_LIMITS = AnswerLimits(max_bytes=1 << 20, max_seconds=10.0)
_DISCOVERY = "/.well-known/openid-configuration"
_KEPT_SECONDS = 3600.0
# Anybody can ask for a login: a provider that is down, or has no such key, is not asked each time.
_RETRY_SECONDS = 5.0
_KEYS_AGAIN_SECONDS = 60.0
# A provider that hangs must not hold all threads of the web process.
_WAIT_SECONDS = 1.0
_MAX_REDEEMED_AT_ONCE = 8
_MAX_KEYS = 100


class ProviderUnavailable(Transient):
    """The provider does not answer, or not as OpenID Connect says; the log has the reason."""


class CodeRefused(Exception):
    """The provider does not redeem the code: it was used, is too old, or was never issued."""


@dataclass(frozen=True)
class ProviderAddresses:
    """What the provider says about itself (OpenID Connect Discovery 3)."""

    authorization: str
    token: str
    keys: str
    end_session: str  # empty if it has none
    user_info: str  # empty if it has none
    sends_issuer: bool  # RFC 9207
    takes_secret_in_header: bool


@dataclass
class Provider:
    """The provider in the settings; what it says about itself is kept for an hour."""

    options: OidcOptions
    clock: Callable[[], float] = time.monotonic
    _addresses: ProviderAddresses | None = field(default=None, init=False)
    _addresses_at: float = field(default=0.0, init=False)
    _failure: str = field(default="", init=False)
    _failed_at: float = field(default=0.0, init=False)
    _keys: list[Key] | None = field(default=None, init=False)
    _keys_at: float = field(default=0.0, init=False)
    _keys_again_at: float = field(default=float("-inf"), init=False)
    _lock: threading.BoundedSemaphore = field(
        default_factory=threading.BoundedSemaphore, init=False
    )
    _redeeming: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_MAX_REDEEMED_AT_ONCE), init=False
    )

    def addresses(self) -> ProviderAddresses:
        """Returns the addresses of the provider.

        Raises:
            ProviderUnavailable: it does not answer, or names addresses that cannot be used.
        """
        with _Turn(self._lock):
            return self._known_addresses()

    def keys(self, key_id: str | None) -> list[Key]:
        """Returns the public keys that may have this identifier; without one, all.

        Keys change: those of an unknown identifier are fetched again, at most once a minute.

        Raises:
            ProviderUnavailable: it does not answer.
        """
        with _Turn(self._lock):
            now, keys = self.clock(), self._keys
            if keys is None or now - self._keys_at > _KEPT_SECONDS:
                return _with_id(self._fetch_keys(), key_id)
            found = _with_id(keys, key_id)
            if not found and now - self._keys_again_at >= _KEYS_AGAIN_SECONDS:
                self._keys_again_at = now
                found = _with_id(self._fetch_keys(), key_id)
            return found

    def redeem(self, code: str, code_verifier: str, redirect_uri: str) -> dict[str, Any]:
        """Returns the tokens for a code (OpenID Connect Core 3.1.3).

        Raises:
            CodeRefused: the provider does not know the code, or not any more.
            ProviderUnavailable: it does not answer, or does not accept the node as its client.
        """
        addresses = self.addresses()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        headers = self._authenticate(form, in_header=addresses.takes_secret_in_header)
        with _Turn(self._redeeming):
            response = self._send("POST", addresses.token, data=form, headers=headers)
        answer = _object(response)
        if response.status_code == 200 and isinstance(answer.get("id_token"), str):
            return answer
        if answer.get("error") == "invalid_grant":
            raise CodeRefused
        error = answer.get("error")
        text = f"{addresses.token} answered {response.status_code}"
        known = f" ({error})" if isinstance(error, str) and error.isidentifier() else ""
        raise ProviderUnavailable(f"{text}{known}: check client_id and the client secret")

    def user_info(self, access_token: str) -> dict[str, Any] | None:
        """Returns the claims of UserInfo (OpenID Connect Core 5.3); None if there is none.

        Raises:
            ProviderUnavailable: it does not answer with JSON; a signed answer is not read.
        """
        address = self.addresses().user_info
        if not address:
            return None
        with _Turn(self._redeeming):
            return self._get(address, {"Authorization": f"Bearer {access_token}"})

    def _authenticate(self, form: dict[str, str], *, in_header: bool) -> dict[str, str]:
        """Adds the client to the form, or returns the header that names it."""
        secret = secret_source(self.options, "access.oidc", "client_secret").current()
        if secret and in_header:  # each is encoded as in a form (RFC 6749 2.3.1)
            both = f"{quote_plus(self.options.client_id)}:{quote_plus(secret)}".encode()
            return {"Authorization": f"Basic {base64.b64encode(both).decode('ascii')}"}
        form["client_id"] = self.options.client_id
        if secret:
            form["client_secret"] = secret
        return {}

    def _known_addresses(self) -> ProviderAddresses:
        now = self.clock()
        if self._addresses is not None and now - self._addresses_at <= _KEPT_SECONDS:
            return self._addresses
        if self._failure and now - self._failed_at < _RETRY_SECONDS:
            raise ProviderUnavailable(self._failure)
        try:
            self._addresses = self._discover()
        except ProviderUnavailable as error:
            self._failure, self._failed_at = str(error), self.clock()
            raise
        self._addresses_at, self._failure = self.clock(), ""
        return self._addresses

    def _discover(self) -> ProviderAddresses:
        url = self.options.issuer.rstrip("/") + _DISCOVERY
        answer = self._get(url)
        if answer.get("issuer") != self.options.issuer:
            raise ProviderUnavailable(f"{url} names another issuer: check access.oidc.issuer")
        required = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        authorization, token, keys = (_address(answer, key, url) for key in required)
        has_end, has_user_info = (
            key in answer for key in ("end_session_endpoint", "userinfo_endpoint")
        )
        methods = answer.get("token_endpoint_auth_methods_supported")
        return ProviderAddresses(
            authorization,
            token,
            keys,
            end_session=_address(answer, "end_session_endpoint", url) if has_end else "",
            user_info=_address(answer, "userinfo_endpoint", url) if has_user_info else "",
            sends_issuer=answer.get("authorization_response_iss_parameter_supported") is True,
            # The default of Discovery 3.
            takes_secret_in_header=methods is None or "client_secret_basic" in _texts(methods),
        )

    def _fetch_keys(self) -> list[Key]:
        found = self._get(self._known_addresses().keys).get("keys")
        entries = found[:_MAX_KEYS] if isinstance(found, list) else []
        self._keys = [key for key in map(_public_key, entries) if key is not None]
        self._keys_at = self.clock()
        return self._keys

    def _get(self, url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        response = self._send("GET", url, headers=headers or {})
        answer = _object(response)
        if response.status_code != 200 or not answer:
            raise ProviderUnavailable(
                f"{url} answered {response.status_code}, and nothing that can be used"
            )
        return answer

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        options["headers"] = {"Accept": "application/json"} | options.get("headers", {})
        try:
            return request(
                method,
                url,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,  # code and secret go nowhere else
                files=self.options.tls_files,
                limits=_LIMITS,
                **options,
            )
        except OSError as error:  # every exception of requests is one, and so is a missing file
            reason = str(no_answer(error, url, self.options.tls_files))
            raise ProviderUnavailable(reason) from error


class _Turn:
    """A few threads ask the provider; the others wait for a moment only."""

    def __init__(self, lock: threading.BoundedSemaphore) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=_WAIT_SECONDS):
            raise ProviderUnavailable("the identity provider has not answered others yet")

    def __exit__(self, *_error: object) -> None:
        self._lock.release()


def _address(answer: dict[str, Any], key: str, url: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not is_protected_address(value) or not value.isprintable():
        raise ProviderUnavailable(f"{url} has no {key} that begins with https://")
    return value


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _object(response: requests.Response) -> dict[str, Any]:
    content = json_content(response)
    return content if isinstance(content, dict) else {}


def _public_key(entry: Any) -> Key | None:
    """Returns a key for signatures; None for one of another use, or of an unknown type.

    A symmetric key would let everybody who can read the list sign.
    """
    if not isinstance(entry, dict) or entry.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    if entry.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _with_id(keys: list[Key], key_id: str | None) -> list[Key]:
    return [key for key in keys if key_id is None or key.kid == key_id]


@dataclass
class CurrentProvider:
    """The provider of the current settings, with what is known of it while they stay the same."""

    _provider: Provider | None = None

    def of(self, options: OidcOptions) -> Provider:
        """Returns the provider in the settings."""
        provider = self._provider
        if provider is None or provider.options != options:
            provider = self._provider = Provider(options)
        return provider
