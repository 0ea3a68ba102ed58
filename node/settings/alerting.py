"""The settings of monitoring and of alerts."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from node.settings.credentials.options import HttpServiceOptions, LoginOptions, SecretFile
from node.settings.network.tls_files import TlsFileOptions
from node.settings.value_types import (
    Boolean,
    Host,
    MailAddress,
    Name,
    Options,
    Positive,
    Real,
    WebhookUrl,
    Whole,
    above_zero_up_to,
    within,
)


class MonitoringOptions(Options):
    """When a state of the node counts as a problem.

    A destination needs attention after `attention_after_failures` failed attempts in a row or
    after `attention_after_minutes`. The default of `low_disk_gib` is twice `least_free_gib`.
    """

    attention_after_failures: Annotated[Whole, within(1, 1000)] = 3
    attention_after_minutes: Positive = 5.0
    max_queue_minutes: Positive = 60.0
    low_disk_gib: Annotated[Real, above_zero_up_to(1_000_000)] | None = None
    certificate_days: Annotated[Whole, within(1, 3650)] = 30
    detect_drift: Boolean = True

    @property
    def attention_time(self) -> timedelta:
        """`attention_after_minutes` as a timedelta."""
        return timedelta(minutes=self.attention_after_minutes)


class WebhookOptions(HttpServiceOptions):
    """Alerts as JSON by HTTP POST.

    The address, which is often a secret, is in `url`, in an environment variable or in a file.
    """

    url: WebhookUrl | None = None
    url_env: Name | None = None
    url_file: SecretFile | None = None
    timeout_seconds: Positive = 15.0


class MailOptions(LoginOptions, TlsFileOptions):
    """Alerts by e-mail (SMTP). The default port is 587 for STARTTLS, 465 for TLS, 25 for none."""

    host: Host
    sender: MailAddress
    recipients: Annotated[tuple[MailAddress, ...], Field(min_length=1)]
    security: Literal["starttls", "tls", "none"] = "starttls"
    port: Annotated[Whole, within(1, 65535)] | None = None
    timeout_seconds: Positive = 30.0


class AlertOptions(Options):
    """Where alerts go; without either, they appear in the console and in metrics alone.

    `site` names the node in messages; the default is the AE title and the host name.
    """

    site: str = ""
    webhook: WebhookOptions | None = None
    mail: MailOptions | None = None


# The settings of [alerts.CHANNEL], by channel.
ALERT_CHANNELS: dict[str, type[BaseModel]] = {"webhook": WebhookOptions, "mail": MailOptions}
