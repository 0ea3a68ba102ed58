"""Builds the credentials of requests to a web server from its settings."""

from node.http.credentials import NO_CREDENTIALS, BearerToken, Credentials, UserPassword
from node.http.oauth import ClientCredentials
from node.settings.credentials.options import HttpServiceOptions, secret_source
from node.settings.credentials.secret_source import SecretSource


def credentials_from(options: HttpServiceOptions, path: str) -> Credentials:
    """Returns the credentials; they read the secret for each request, so that it can be renewed.

    `path` is where the table stands in the settings.

    Raises:
        Misconfigured: the secret is missing now.
    """
    if options.username:
        return UserPassword(options.username, _checked(options, path, "password").current)
    if options.oauth_token_url is not None:
        return ClientCredentials(
            options.oauth_token_url,
            options.oauth_client_id or "",
            _checked(options, path, "oauth_client_secret").current,
            scope=options.oauth_scope or "",
            audience=options.oauth_audience or "",
            in_body=options.oauth_client_authentication == "body",
            files=options.tls_files,
        )
    token = _checked(options, path, "token")
    return BearerToken(token.current) if token.is_named else NO_CREDENTIALS


def _checked(options: HttpServiceOptions, path: str, secret: str) -> SecretSource:
    source = secret_source(options, path, secret)
    source.read()
    return source
