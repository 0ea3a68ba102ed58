"""Settings that say by what the node identifies itself to a server, shared by all that have one."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel

from node.settings.credentials.secret_source import SecretSource
from node.settings.network.tls_files import TlsFileOptions
from node.settings.value_types import Name, Options, TokenUrl

_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def _secret_file(text: str) -> str:
    """Checks the path of a file, or the name of a credential of the service or container."""
    if not text.startswith("/") and not _CREDENTIAL_NAME.fullmatch(text):
        raise ValueError(
            "must be an absolute path, or the name of a credential of systemd or of a container's "
            "secret"
        )
    return text


SecretFile = Annotated[str, AfterValidator(_secret_file)]


def secret_source(table: BaseModel, path: str, secret: str) -> SecretSource:
    """Returns where a secret is: the settings `SECRET_env` and `SECRET_file` of a table say it.

    `path` is where the table stands in the settings; empty for what stands in no table.
    """
    variable = getattr(table, f"{secret}_env", None)
    file = getattr(table, f"{secret}_file", None)
    key = f"{secret}_env" if file is None else f"{secret}_file"
    return SecretSource(f"{path}.{key}" if path else key, variable, file)


class LoginOptions(Options):
    """A user name and where its password is: an environment variable or a file."""

    username: Name | None = None
    password_env: Name | None = None
    password_file: SecretFile | None = None


class HttpServiceOptions(TlsFileOptions):
    """By what the node identifies itself to a web server: nothing, or one of three ways.

    `username` with a password (HTTP Basic), a bearer token, or a token that the token endpoint
    `oauth_token_url` issues for `oauth_client_id` and its secret (OAuth 2.0 client credentials,
    RFC 6749 4.4). `oauth_client_authentication` says where that request has id and secret.
    Secrets are in environment variables (`_env`) or in files (`_file`).
    """

    username: str | None = None
    password_env: str | None = None
    password_file: SecretFile | None = None
    token_env: Name | None = None
    token_file: SecretFile | None = None
    oauth_token_url: TokenUrl | None = None
    oauth_client_id: Name | None = None
    oauth_client_secret_env: Name | None = None
    oauth_client_secret_file: SecretFile | None = None
    oauth_client_authentication: Literal["header", "body"] = "header"
    oauth_scope: Name | None = None
    oauth_audience: Name | None = None
