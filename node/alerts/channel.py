"""The contract of a channel, and the channels that the settings name."""

from collections.abc import Mapping
from typing import Protocol

from node.alerts.mail import MailChannel
from node.alerts.message import MessageContent
from node.alerts.webhook import WebhookChannel
from node.domain.monitoring.alert import AlertChannel
from node.settings import Settings
from node.settings.passwords import password_from


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
        Misconfigured: an environment variable that should hold a password or token is not set.
    """
    alerts = settings.alerts
    channels: dict[AlertChannel, Channel] = {}
    if alerts.webhook is not None:
        token = password_from(alerts.webhook.token_env, "alerts.webhook.token_env")
        channels[AlertChannel.WEBHOOK] = WebhookChannel(alerts.webhook, token)
    if alerts.mail is not None:
        password = password_from(alerts.mail.password_env, "alerts.mail.password_env")
        channels[AlertChannel.MAIL] = MailChannel(alerts.mail, password)
    return channels
