"""Settings shown without secrets.

Passwords and tokens are never among the settings, which name a variable or a file, and a URL with a
name and a password is refused. What remains is listed here.
"""

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"
# Settings whose whole value is secret, by path: everybody who knows a webhook's address may use it.
SECRET_SETTINGS = (("alerts", "webhook", "url"),)
# In every other URL, a password is secret, and so are the values of the query, but for placeholders
# such as {study}. The URL of the database is the only one that may hold a password.
_PLACEHOLDER = re.compile(r"\{\w+\}")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def without_secrets(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Returns settings, as `model_dump` gives them, with every secret hidden.

    `path` is where the value stands in the settings.
    """
    if path in SECRET_SETTINGS:
        return HIDDEN if value else value
    if isinstance(value, dict):
        return {key: without_secrets(each, (*path, str(key))) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each, path) for each in value]
    return shown_url(value) if isinstance(value, str) and _URL.match(value) else value


def shown_url(url: str) -> str:
    """Returns a URL without a password and without the values in its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    host = parts.netloc
    if parts.password is not None:
        name, _, address = host.rpartition("@")
        host = f"{name.partition(':')[0]}:{HIDDEN}@{address}"
    query = "&".join(_shown_parameter(each) for each in parts.query.split("&") if each)
    fragment = parts.fragment and HIDDEN
    return urlunsplit((parts.scheme, host, parts.path, query, fragment))


def _shown_parameter(parameter: str) -> str:
    name, separator, value = parameter.partition("=")
    if not separator:
        return name if _PLACEHOLDER.search(name) else HIDDEN
    return f"{name}={value if _PLACEHOLDER.fullmatch(value) else HIDDEN}"
