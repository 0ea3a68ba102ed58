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
        import requests

        from node.http.limited_answers import request

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        ca_file = self.options.ca_file
        try:
            response = request(
                "POST",
                self.options.url,
                json=content.as_json(),
                headers=headers,
                timeout=self.options.timeout_seconds,
                verify=True if ca_file is None else str(ca_file),
                # A redirection would turn the request into a GET without its content.
                allow_redirects=False,
            )
        except (requests.RequestException, OSError) as error:
            # The text of the error can hold the URL, and the URL a secret.
            raise Transient(f"the webhook's server {self._server} {_reason(error)}") from error
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
        case requests.exceptions.SSLError():
            return "has no certificate that this node trusts; check ca_file"
        case requests.Timeout():
            return "does not answer in time"
        case requests.ConnectionError():
            return "cannot be reached"
        case _:
            return f"cannot be used ({type(error).__name__})"
