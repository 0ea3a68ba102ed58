"""The contract of a channel, and the channels that the settings name."""

from collections.abc import Mapping
from typing import Protocol

from node.alerts.mail import MailChannel
from node.alerts.message import MessageContent
from node.alerts.webhook import WebhookChannel, address_of
from node.domain.monitoring.alert import AlertChannel
from node.settings import Settings
from node.settings.credentials.options import secret_source


class Channel(Protocol):
    """A way to inform people or programs."""

    def send(self, content: MessageContent) -> None:
        """Sends one message; when this returns, the server has taken it.

        Raises:
            Transient: it has not taken it; the message says what to check.
        """


def channels_from(settings: Settings) -> Mapping[AlertChannel, Channel]:
    """Returns the channels of the site.

    Raises:
        Misconfigured: a password, a token or the address of the webhook is missing.
    """
    alerts = settings.alerts
    channels: dict[AlertChannel, Channel] = {}
    if alerts.webhook is not None:
        # The library of HTTP takes a quarter of a second to import.
        from node.settings.credentials.http_credentials import credentials_from

        channels[AlertChannel.WEBHOOK] = WebhookChannel(
            alerts.webhook,
            address_of(alerts.webhook),
            credentials_from(alerts.webhook, "alerts.webhook"),
        )
    if alerts.mail is not None:
        password = secret_source(alerts.mail, "alerts.mail", "password")
        password.read()
        channels[AlertChannel.MAIL] = MailChannel(alerts.mail, password.current)
    return channels
