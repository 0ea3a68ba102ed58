"""Fields by what the node identifies itself to a web server, shared by the forms."""

from node.web.console.connections.form import Field, FieldKind

_FILE = "A file for the node alone, or the name of a credential of systemd or a container's secret."
_VARIABLE = "Instead of a file: an environment variable of the node."

PASSWORD = (
    Field("password_file", "File with the password", help=_FILE),
    Field("password_env", "Variable with the password", help=_VARIABLE),
)
USER_AND_PASSWORD = (Field("username", "User name"), *PASSWORD)
TOKEN = (
    Field("token_file", "File with a bearer token", help=_FILE),
    Field("token_env", "Variable with a bearer token", help=_VARIABLE),
)
OAUTH = (
    Field(
        "oauth_token_url",
        "Address that issues tokens (OAuth 2.0)",
        help="Instead of user name or bearer token: the node gets tokens there and renews them.",
    ),
    Field("oauth_client_id", "Name of this node there (client ID)"),
    Field("oauth_client_secret_file", "File with its client secret", help=_FILE),
    Field("oauth_client_secret_env", "Variable with its client secret", help=_VARIABLE),
    Field("oauth_scope", "Scope", help="Empty: none is asked for."),
    Field("oauth_audience", "Audience", help="Empty: none is asked for."),
    Field(
        "oauth_client_authentication",
        "Where the request has ID and secret",
        FieldKind.CHOICE,
        choices=(("header", "in the header (HTTP Basic)"), ("body", "in the body")),
    ),
)
