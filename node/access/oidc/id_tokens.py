"""ID tokens: who has logged in, signed by the provider (OpenID Connect Core 3.1.3.7)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError

from node.access.oidc.provider import Provider

# Signatures by a public key. Neither "none", nor HMAC, whose key would be public.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
# The clocks of node and provider may differ by so much.
LEEWAY_SECONDS = 60
# The provider issues the token for this login, just now.
MAX_AGE_SECONDS = 600
_MAX_TOKEN_LENGTH = 1 << 16
_MAX_SUBJECT_LENGTH = 255


class InvalidToken(Exception):
    """The ID token does not prove who has logged in; the text says why, without its content."""


def verified_claims(
    provider: Provider, answer: Mapping[str, Any], nonce: str, now: datetime
) -> Mapping[str, Any]:
    """Returns the claims of the ID token in an answer of the token endpoint.

    Raises:
        InvalidToken: signature, issuer, audience, time or nonce is wrong.
        ProviderUnavailable: the keys of the provider cannot be fetched.
    """
    text = str(answer["id_token"])
    if len(text) > _MAX_TOKEN_LENGTH:
        raise InvalidToken("it is too long")
    try:
        token = _verified(provider, text)
        _check_claims(provider, token, answer, nonce, int(now.timestamp()))
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidToken(f"{type(error).__name__}: {error}") from error
    return token.claims


def _verified(provider: Provider, text: str) -> jwt.Token:
    header = jws.extract_compact(text.encode("ascii")).headers()
    key_id = header.get("kid")
    if header.get("alg") not in ALGORITHMS:
        raise InvalidToken("it is not signed by one of the accepted algorithms")
    if key_id is not None and not isinstance(key_id, str):
        raise InvalidToken("its key has no valid identifier")
    keys = provider.keys(key_id)
    if len(keys) != 1:
        raise InvalidToken(f"{len(keys)} keys of the provider fit its signature, instead of one")
    return jwt.decode(text, keys[0], algorithms=ALGORITHMS)


def _check_claims(
    provider: Provider, token: jwt.Token, answer: Mapping[str, Any], nonce: str, now: int
) -> None:
    options = provider.options
    expected = {
        "iss": {"essential": True, "value": options.issuer},
        "aud": {"essential": True, "value": options.client_id},
        "exp": {"essential": True},
        "iat": {"essential": True},
        "sub": {"essential": True},
    }
    parameters = {
        "client_id": options.client_id,
        "nonce": nonce,
        "access_token": answer.get("access_token"),
    }
    checked = CodeIDToken(token.claims, token.header, expected, parameters)
    checked.validate(now=now, leeway=LEEWAY_SECONDS)
    if token.claims["iat"] < now - MAX_AGE_SECONDS - LEEWAY_SECONDS:
        raise InvalidToken("it was issued too long ago")
    subject = token.claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT_LENGTH:
        raise InvalidToken("its subject is no text of up to 255 characters")
