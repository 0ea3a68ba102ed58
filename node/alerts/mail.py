"""Alerts by e-mail (SMTP, RFC 5321)."""

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256

from node.alerts.message import MessageContent
from node.domain.errors import Transient
from node.settings import MailOptions
from node.tls.contexts import client_context
from node.tls.failures import CLOSED_BY_SERVER, TlsFailure, tls_failure
from node.tls.refusal import refusal

_DEFAULT_PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True)
class MailChannel:
    """A mail server that forwards alerts to the recipients."""

    options: MailOptions
    password: Callable[[], str] = field(repr=False)

    def send(self, content: MessageContent) -> None:
        """See `Channel.send`. The server takes a message for all recipients, or not at all."""
        server = f"{self.options.host}:{self._port}"
        try:
            with self._connection() as connection:
                if self.options.security == "starttls":
                    connection.starttls(context=self._tls())
                if self.options.username is not None:
                    connection.login(self.options.username, self.password())
                refused = connection.send_message(self._message(content))
        except (OSError, ValueError) as error:  # every exception of smtplib is an OSError
            raise Transient(f"the mail server {server} {self._reason(error)}") from error
        if refused:
            raise Transient(f"the mail server {server} refused {', '.join(sorted(refused))}")

    def _connection(self) -> smtplib.SMTP:
        options = self.options
        if options.security == "tls":
            return smtplib.SMTP_SSL(
                options.host, self._port, timeout=options.timeout_seconds, context=self._tls()
            )
        return smtplib.SMTP(options.host, self._port, timeout=options.timeout_seconds)

    def _tls(self) -> ssl.SSLContext:
        return client_context(self.options.tls_files)

    def _reason(self, error: Exception) -> str:
        if failure := self._tls_failure(error):
            return f"has no TLS connection: {failure}"
        if isinstance(error, smtplib.SMTPException):
            return f"refused the message: {error}"
        text = error.strerror if isinstance(error, OSError) else ""
        return f"cannot be reached: {text or error}"

    def _tls_failure(self, error: Exception) -> TlsFailure | None:
        options = self.options
        if options.security == "none":
            return None
        failure = tls_failure(error, options.tls_files)
        has_ended = isinstance(error, smtplib.SMTPServerDisconnected)
        if options.security == "tls" and has_ended and failure in {None, CLOSED_BY_SERVER}:
            return refusal(options.host, self._port, options.tls_files)
        return failure

    @property
    def _port(self) -> int:
        port = self.options.port
        return _DEFAULT_PORTS[self.options.security] if port is None else port

    def _message(self, content: MessageContent) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self.options.sender
        message["To"] = ", ".join(self.options.recipients)
        message["Subject"] = content.title
        message["Date"] = format_datetime(content.ended_at or content.started_at)
        # Equal in every attempt, so that a mail program recognises a repetition.
        name = sha256(content.message_id.encode()).hexdigest()[:32]
        message["Message-ID"] = f"<{name}@{self.options.sender.rpartition('@')[2]}>"
        # Keeps vacation notices from answering (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(content.body)
        return message
