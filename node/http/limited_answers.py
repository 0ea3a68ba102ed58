"""Requests whose answer is limited: a service that is broken or hostile costs memory and time.

`requests` reads an answer of any size, inflates it, and waits as long as one byte arrives within
each timeout.
"""

import json
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests
import urllib3
from requests.auth import AuthBase

from node.http.credentials import NO_CREDENTIALS, Credentials, send_with_credentials
from node.http.tls_connections import NO_FILES, tls_options
from node.tls.certificate_files import TlsFiles

# A search with 10,000 matches has some 50 MB.
MAX_ANSWER_BYTES = 128 << 20
# From the first byte of an answer to its last.
MAX_ANSWER_SECONDS = 600.0
# Structured reports, the deepest objects in use, have some 20 levels, of which each takes three.
MAX_JSON_NESTING = 100
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class AnswerLimits:
    """How large an answer may be, inflated, and how long it may take from its first byte."""

    max_bytes: int
    max_seconds: float


class AnswerExceedsLimit(requests.RequestException):
    """The answer is too large, or takes too long."""


def request(
    method: str,
    url: str,
    *,
    files: TlsFiles = NO_FILES,
    credentials: Credentials = NO_CREDENTIALS,
    session: requests.Session | None = None,
    limits: AnswerLimits | None = None,
    **options: Any,
) -> requests.Response:
    """Sends a request as `requests.request` does, and returns the response with its whole content.

    `files` are those of a TLS connection. Credentials that the server refuses are renewed once.

    Raises:
        AnswerExceedsLimit: the content exceeds the limits: 128 MiB and ten minutes by default.
        OSError: as by `requests`; of another kind for a file that is missing.
        Transient: there are no credentials at present.
    """
    options |= tls_options(files)
    read = partial(_read, limits or AnswerLimits(MAX_ANSWER_BYTES, MAX_ANSWER_SECONDS))
    options |= {"stream": True, "hooks": {"response": read}}  # also of redirections

    def send(auth: AuthBase | None) -> requests.Response:
        if session is not None:
            return session.request(method, url, auth=auth, **options)
        with requests.Session() as own:
            return own.request(method, url, auth=auth, **options)

    return send_with_credentials(send, credentials)


def json_content(response: requests.Response) -> Any:
    """Returns the content as JSON; None where it is no JSON or nests more than 100 levels deep."""
    try:
        return parsed_json(response.content)
    except ValueError:
        return None


def parsed_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: it is no JSON, or nests more than 100 levels deep.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deeply") from error
    level = [value]
    for _ in range(MAX_JSON_NESTING):
        level = [inner for outer in level for inner in _containers(outer)]
        if not level:
            return value
    raise ValueError("it nests too deeply")


def _containers(value: Any) -> list[Any]:
    """Returns the lists and objects directly in a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in inner if isinstance(each, dict | list)]


def _read(limits: AnswerLimits, response: requests.Response, **_options: Any) -> None:
    """Reads the content within the limits; `requests` calls it with each response."""
    try:
        content = _content(response, limits)
    except BaseException:
        response.close()
        raise
    # `requests` has no public way to give a response its content.
    response._content, response._content_consumed = content, True  # type: ignore[attr-defined]


def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"


def _content(response: requests.Response, limits: AnswerLimits) -> bytes:
    content = bytearray()
    deadline = time.monotonic() + limits.max_seconds
    try:
        # Unlike `iter_content`, it returns what has arrived.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            content += chunk
            if len(content) > limits.max_bytes:
                raise AnswerExceedsLimit(f"it answered with over {_size(limits.max_bytes)}")
            if time.monotonic() > deadline:
                raise AnswerExceedsLimit(f"its answer takes over {limits.max_seconds:g} s")
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout(error) from error
    except urllib3.exceptions.SSLError as error:
        raise requests.exceptions.SSLError(error) from error
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error
    return bytes(content)
