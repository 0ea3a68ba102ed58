"""All secrets that the settings name, and what is wrong with the settings of credentials."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import BaseModel

from node.routing.condition_parsing import KeyPath, Mistake
from node.settings.alerting import WebhookOptions
from node.settings.credentials.options import HttpServiceOptions, secret_source
from node.settings.credentials.secret_source import SecretSource
from node.settings.network.tls_tables import tls_tables
from node.settings.options import Settings

_ENDINGS = ("_env", "_file")
# What each secret belongs to: without that, it has no effect.
_NEEDED = {
    "password": ("username", "a username"),
    "store_secret_key": ("store_access_key", "store_access_key"),
    "oauth_client_secret": ("oauth_token_url", "oauth_token_url"),
}
_OAUTH = tuple(key for key in HttpServiceOptions.model_fields if key.startswith("oauth_"))
_OAUTH_SECRETS = tuple("oauth_client_secret" + ending for ending in _ENDINGS)


def secret_sources(settings: Settings) -> Iterator[tuple[KeyPath, SecretSource]]:
    """Yields the source of each secret that the settings name, with the path of its table."""
    for path, table in _tables(settings):
        for secret in _secrets_of(table):
            source = secret_source(table, ".".join(map(str, path)), secret)
            if source.is_named:
                yield path, source


def credential_mistakes(settings: Settings) -> Iterator[Mistake]:
    """Yields settings of credentials that exclude each other or need another one."""
    for path, table in _tables(settings):
        for secret in _secrets_of(table):
            for key, message in _secret_mistakes(table, secret):
                yield (*path, key), message
        if isinstance(table, HttpServiceOptions):
            for key, message in _http_mistakes(table):
                yield (*path, key), message
    yield from _database_mistakes(settings)
    yield from _store_mistakes(settings)


def _tables(settings: Settings) -> Iterator[tuple[KeyPath, BaseModel]]:
    """Yields each table that may name a secret."""
    yield (), settings
    if settings.access.proxy is not None:
        yield ("access", "proxy"), settings.access.proxy
    yield from tls_tables(settings)


def _secrets_of(table: BaseModel) -> list[str]:
    """Returns the names of the secrets that the table may name, without their ending."""
    return [key.removesuffix("_env") for key in type(table).model_fields if key.endswith("_env")]


def _is_named(table: BaseModel, secret: str) -> bool:
    return any(getattr(table, secret + ending) is not None for ending in _ENDINGS)


def _secret_mistakes(table: BaseModel, secret: str) -> Iterator[tuple[str, str]]:
    given = [
        key
        for key in (secret, *(secret + ending for ending in _ENDINGS))
        if key in type(table).model_fields and getattr(table, key) is not None
    ]
    for key in given[1:]:
        yield key, f"cannot stand beside {given[0]}: set one of them"
    needed, text = _NEEDED.get(secret, ("", ""))
    if given and needed and not getattr(table, needed):
        yield given[0], f"has no effect without {text}"


def _http_mistakes(table: HttpServiceOptions) -> Iterator[tuple[str, str]]:
    ways = [
        key
        for key, is_set in (
            ("username", bool(table.username)),
            (_named_key(table, "token"), _is_named(table, "token")),
            ("oauth_token_url", table.oauth_token_url is not None),
        )
        if is_set
    ]
    for key in ways[1:]:
        yield key, f"cannot stand beside {ways[0]}: the node identifies itself in one way"
    if isinstance(table, WebhookOptions) and table.url is None and not _is_named(table, "url"):
        yield "url", "is missing: set url, url_env or url_file"
    yield from _oauth_mistakes(table)


def _oauth_mistakes(table: HttpServiceOptions) -> Iterator[tuple[str, str]]:
    if table.oauth_token_url is None:
        for key in _OAUTH:
            # `_secret_mistakes` reports those of the secret.
            if key in table.model_fields_set and key not in _OAUTH_SECRETS:
                yield key, "has no effect without oauth_token_url"
        return
    if table.oauth_client_id is None:
        yield "oauth_token_url", "needs oauth_client_id: what the server calls this node"
    if not _is_named(table, "oauth_client_secret"):
        yield "oauth_token_url", "needs oauth_client_secret_file or oauth_client_secret_env"


def _named_key(table: BaseModel, secret: str) -> str:
    return next(
        (secret + ending for ending in _ENDINGS if getattr(table, secret + ending) is not None),
        secret,
    )


def _store_mistakes(settings: Settings) -> Iterator[Mistake]:
    key = settings.store_secret_key.key
    if settings.store_access_key and not settings.store_secret_key.is_named:
        yield ("store_access_key",), "needs store_secret_key_file or store_secret_key_env"
    if settings.store_secret_key.is_named and not settings.store_url:
        yield (key,), "has no effect without store_url"


def _database_mistakes(settings: Settings) -> Iterator[Mistake]:
    source = settings.database_password
    if not source.is_named:
        return
    if not settings.database_url.startswith("postgresql"):
        yield (source.key,), "has no effect with SQLite"
    elif urlsplit(settings.database_url).password is not None:
        yield (source.key,), "has no effect with a password in database_url: remove it there"
