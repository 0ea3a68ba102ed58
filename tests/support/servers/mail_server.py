"""An SMTP server (aiosmtpd) that keeps the messages it takes."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from node.demo.free_ports import free_ports

USER, PASSWORD = "segnode", "secret"


@dataclass
class MailServer:
    """The messages so far, with their recipients; `refused` recipients are not accepted."""

    port: int = 0
    refused: set[str] = field(default_factory=set)
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 the name that aiosmtpd calls
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Accepts or refuses one recipient."""
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 the name that aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Takes one message."""
        content = cast("bytes", envelope.content)
        message = message_from_bytes(content, policy=policy.default)
        self.messages.append(message)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
) -> AuthResult:
    expected = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=data == expected)


@contextmanager
def mail_server(
    starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[MailServer]:
    """Runs the server on a free port; with either kind of TLS, a login is required."""
    (port,) = free_ports(1)
    kept = MailServer(port)
    secured = starttls is not None or tls is not None
    controller = Controller(
        kept,
        hostname="127.0.0.1",
        port=port,
        server_hostname="mail.test",
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        auth_required=secured,
        auth_require_tls=starttls is not None,
        authenticator=_authenticate,
    )
    controller.start()
    try:
        yield kept
    finally:
        controller.stop()
