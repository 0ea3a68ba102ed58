"""Alerts as JSON by HTTP POST."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from node.alerts.message import MessageContent
from node.domain.errors import Misconfigured, Transient
from node.settings import WebhookOptions
from node.settings.credentials.options import secret_source
from node.settings.value_types import webhook_address

if TYPE_CHECKING:
    # The library of HTTP takes a quarter of a second to import.
    from node.http.credentials import Credentials


def address_of(options: WebhookOptions) -> Callable[[], str]:
    """Returns what reads the address of the webhook as it is now.

    It raises Transient where there is none at present.

    Raises:
        Misconfigured: there is none now.
    """
    if options.url is not None:
        url = options.url
        return lambda: url
    source = secret_source(options, "alerts.webhook", "url")

    def read() -> str:
        try:
            return webhook_address(source.read())
        except ValueError as error:
            raise Misconfigured(f"the address in it {error}", key=source.key) from error

    def current() -> str:
        try:
            return read()
        except Misconfigured as error:
            raise Transient(f"{error.key}: {error.message}") from error

    read()
    return current


@dataclass(frozen=True)
class WebhookChannel:
    """A web server that takes alerts; `address` returns its address, which is a secret."""

    options: WebhookOptions
    address: Callable[[], str] = field(repr=False)
    credentials: "Credentials"

    def send(self, content: MessageContent) -> None:
        """See `Channel.send`. Any status of the 2xx class accepts the message."""

        from node.http.limited_answers import request
        from node.http.tls_connections import request_failure

        url = self.address()
        server = f"the webhook's server {urlsplit(url).netloc}"
        try:
            response = request(
                "POST",
                url,
                json=content.as_json(),
                timeout=self.options.timeout_seconds,
                files=self.options.tls_files,
                credentials=self.credentials,
                # A redirection would turn the request into a GET without its content.
                allow_redirects=False,
            )
        except OSError as error:  # every exception of requests is one, and so is a missing file
            # The text of the error can hold the URL, and the URL a secret.
            failure = request_failure(error, url, self.options.tls_files)
            reason = _reason(error) if failure is None else f"has no TLS connection: {failure}"
            raise Transient(f"{server} {reason}") from error
        if not 200 <= response.status_code < 300:
            denied = response.status_code in {401, 403}
            hint = f": {self.credentials.remedy}" if denied else ""
            raise Transient(f"{server} answered with status {response.status_code}{hint}")


def _reason(error: Exception) -> str:
    import requests

    match error:
        case requests.Timeout():
            return "does not answer in time"
        case requests.ConnectionError():
            return "cannot be reached"
        case _:
            return f"cannot be used ({type(error).__name__})"
