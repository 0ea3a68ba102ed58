"""Alerts as JSON by HTTP POST."""

from dataclasses import dataclass, field

from node.alerts.message import MessageContent
from node.domain.errors import Transient
from node.settings import WebhookOptions


@dataclass(frozen=True)
class WebhookChannel:
    """A web server that takes alerts; `token` is empty for a server that needs none."""

    options: WebhookOptions
    token: str = field(repr=False)

    def send(self, content: MessageContent) -> None:
        """See `Channel.send`. Any status of the 2xx class accepts the message."""

        from node.http.limited_answers import request
        from node.http.tls_connections import request_failure

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            response = request(
                "POST",
                self.options.url,
                json=content.as_json(),
                headers=headers,
                timeout=self.options.timeout_seconds,
                files=self.options.tls_files,
                # A redirection would turn the request into a GET without its content.
                allow_redirects=False,
            )
        except OSError as error:  # every exception of requests is one, and so is a missing file
            # The text of the error can hold the URL, and the URL a secret.
            failure = request_failure(error, self.options.url, self.options.tls_files)
            reason = _reason(error) if failure is None else f"has no TLS connection: {failure}"
            raise Transient(f"the webhook's server {self._server} {reason}") from error
        if not 200 <= response.status_code < 300:
            raise Transient(
                f"the webhook's server {self._server} answered with status {response.status_code}"
            )

    @property
    def _server(self) -> str:
        from urllib.parse import urlsplit

        return urlsplit(self.options.url).netloc


def _reason(error: Exception) -> str:
    import requests

    match error:
        case requests.Timeout():
            return "does not answer in time"
        case requests.ConnectionError():
            return "cannot be reached"
        case _:
            return f"cannot be used ({type(error).__name__})"
