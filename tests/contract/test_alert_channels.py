"""The channels of alerts against a real web server and a real mail server, with and without TLS."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.alerts.mail import MailChannel
from node.alerts.message import MessageContent, content_of_test
from node.alerts.webhook import WebhookChannel, address_of
from node.demo.free_ports import free_ports
from node.domain.errors import Misconfigured, Transient
from node.http.credentials import NO_CREDENTIALS, BearerToken
from node.settings import MailOptions, WebhookOptions
from tests.support.certificates import Certificate
from tests.support.factories import NOON
from tests.support.servers.http_receiver import http_receiver
from tests.support.servers.mail_server import PASSWORD, USER, mail_server
from tests.support.whole_command_line import app

CONTENT: MessageContent = content_of_test("SITE", NOON)
RECIPIENTS = ("one@hospital.example", "two@hospital.example")


def mail(port: int, **options: object) -> MailChannel:
    """A channel to the mail server on that port, without TLS by default."""
    values: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "sender": "segnode@hospital.example",
        "recipients": RECIPIENTS,
        "security": "none",
        "timeout_seconds": 10,
    }
    return MailChannel(MailOptions.model_validate(values | options), lambda: PASSWORD)


def webhook(url: str, token: str = "", **options: object) -> WebhookChannel:
    credentials = BearerToken(lambda: token) if token else NO_CREDENTIALS
    settings = WebhookOptions.model_validate({"url": url} | options)
    return WebhookChannel(settings, address_of(settings), credentials)


def test_the_webhook_posts_the_message_with_the_token() -> None:
    with http_receiver() as receiver:
        webhook(f"{receiver.url}/alerts", "a-token").send(CONTENT)
        webhook(receiver.url).send(CONTENT)
    first, second = receiver.posted
    assert first.path == "/alerts"
    assert first.content == CONTENT.as_json()
    assert first.headers["Authorization"] == "Bearer a-token"
    assert first.headers["Content-Type"] == "application/json"
    assert "Authorization" not in second.headers


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_accept_the_message_has_not_taken_it(status: int) -> None:
    with http_receiver() as receiver:
        receiver.status = status
        with pytest.raises(Transient, match=f"status {status}"):
            webhook(receiver.url).send(CONTENT)
        assert len(receiver.posted) == 1, "a redirection is not followed"


def test_an_error_of_the_webhook_does_not_show_the_secret_in_its_address() -> None:
    (port,) = free_ports(1)
    with pytest.raises(Transient, match="cannot be reached") as caught:
        webhook(f"http://127.0.0.1:{port}/hooks/secret").send(CONTENT)
    assert "secret" not in str(caught.value)


def test_the_certificate_of_the_webhook_is_checked(tmp_path: Path) -> None:
    certificate = Certificate.create(tmp_path, "server")
    with http_receiver(certificate.server_context()) as receiver:
        with pytest.raises(Transient, match="certificate"):
            webhook(receiver.url).send(CONTENT)
        webhook(receiver.url, ca_file=certificate.certificate).send(CONTENT)
    assert len(receiver.posted) == 1


def test_a_mail_reaches_every_recipient() -> None:
    with mail_server() as server:
        mail(server.port).send(CONTENT)
    (message,) = server.messages
    assert server.recipients == [list(RECIPIENTS)]
    assert message["From"] == "segnode@hospital.example"
    assert message["Subject"] == "[SITE] Test: This is a test of the node's alerts."
    assert "Nothing needs to be done." in message.get_content()


def test_a_repeated_mail_has_the_same_message_id() -> None:
    with mail_server() as server:
        for _ in range(2):
            mail(server.port).send(CONTENT)
    first, second = server.messages
    assert first["Message-ID"] == second["Message-ID"]


# aiosmtpd warns unless the login needs STARTTLS, which a connection by TLS does not have.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_is_sent_with_login_over_tls(tmp_path: Path, security: str) -> None:
    certificate = Certificate.create(tmp_path, "mail")
    context = certificate.server_context()
    options = {"security": security, "username": USER, "ca_file": certificate.certificate}
    with mail_server(**{security: context}) as server:
        mail(server.port, **options).send(CONTENT)
        with pytest.raises(Transient, match="certificate"):
            mail(server.port, **options | {"ca_file": None}).send(CONTENT)
        wrong = MailChannel(mail(server.port, **options).options, lambda: "wrong")
        with pytest.raises(Transient, match="refused"):
            wrong.send(CONTENT)
    assert len(server.messages) == 1


def test_a_mail_server_without_starttls_gets_no_message() -> None:
    with mail_server() as server, pytest.raises(Transient, match="refused"):
        mail(server.port, security="starttls").send(CONTENT)
    assert server.messages == []


def test_a_refused_recipient_is_named() -> None:
    with mail_server() as server:
        server.refused = {"two@hospital.example"}
        with pytest.raises(Transient, match=r"two@hospital\.example"):
            mail(server.port).send(CONTENT)


def test_a_mail_server_that_does_not_run_is_named() -> None:
    (port,) = free_ports(1)
    with pytest.raises(Transient, match=f"127.0.0.1:{port} cannot be reached"):
        mail(port).send(CONTENT)


def test_the_test_command_says_what_each_server_answered(tmp_path: Path) -> None:
    config = tmp_path / "segnode.toml"
    with http_receiver() as receiver, mail_server() as server:
        config.write_text(
            f"""
data_dir = "data"
[alerts]
site = "SITE"
[alerts.webhook]
url = "{receiver.url}"
[alerts.mail]
host = "127.0.0.1"
port = {server.port}
security = "none"
sender = "segnode@hospital.example"
recipients = ["pacs@hospital.example"]
"""
        )
        command = ["alerts", "test", "--config", str(config)]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0
        assert "webhook: the server took the test message." in result.output
        assert "mail: the server took the test message." in result.output
        receiver.status = 500
        failed = CliRunner().invoke(app, command)
    assert isinstance(failed.exception, Transient)
    assert "answered with status 500" in failed.output
    assert [posted.content["event"] for posted in receiver.posted] == ["test", "test"]
    assert len(server.messages) == 2


def test_the_test_command_without_channels_names_the_setting(tmp_path: Path) -> None:
    config = tmp_path / "segnode.toml"
    config.write_text('data_dir = "data"\n')
    result = CliRunner().invoke(app, ["alerts", "test", "--config", str(config)])
    assert isinstance(result.exception, Misconfigured)
    assert "alerts" in str(result.exception)
