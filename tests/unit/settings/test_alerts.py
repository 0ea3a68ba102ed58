"""The settings of monitoring and alerts: defaults, and messages for mistakes."""

from pathlib import Path

import pytest

from node.alerts.channel import channels_from
from node.alerts.webhook import WebhookChannel
from node.domain.errors import Misconfigured, Transient
from node.domain.monitoring.alert import AlertChannel
from node.settings import Settings, load_settings

MAIL = """
[alerts.mail]
host = "smtp.hospital.example"
sender = "segnode@hospital.example"
recipients = ["pacs@hospital.example"]
"""
WEBHOOK = '[alerts.webhook]\nurl = "https://alerts.hospital.example/x"\n'
GIB = 1 << 30


def load(folder: Path, text: str) -> Settings:
    file = folder / "segnode.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def test_without_settings_there_is_no_channel_and_the_disk_warning_is_twice_the_limit(
    tmp_path: Path,
) -> None:
    settings = load(tmp_path, "least_free_gib = 3.0\n")
    assert channels_from(settings) == {}
    assert settings.low_disk_bytes == 6 * GIB
    assert load(tmp_path, "[monitoring]\nlow_disk_gib = 20\n").low_disk_bytes == 20 * GIB


def test_both_channels_are_built_with_their_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "a-secret")
    monkeypatch.setenv("ALERT_TOKEN", "a-token")
    login = 'username = "segnode"\npassword_env = "SMTP_PASSWORD"\n'
    settings = load(tmp_path, f'{MAIL}{login}{WEBHOOK}token_env = "ALERT_TOKEN"\n')
    channels = channels_from(settings)
    assert set(channels) == {AlertChannel.MAIL, AlertChannel.WEBHOOK}
    assert "a-secret" not in repr(channels)
    assert "a-token" not in repr(channels)


def test_the_environment_can_hold_the_address_of_the_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_ALERTS__WEBHOOK__URL", "https://alerts.example/secret")
    settings = load(tmp_path, "")
    assert settings.alerts.webhook is not None
    assert settings.alerts.webhook.url == "https://alerts.example/secret"


def test_a_secret_that_is_not_set_is_named(tmp_path: Path) -> None:
    settings = load(tmp_path, f'{WEBHOOK}token_env = "NO_SUCH_TOKEN"\n')
    with pytest.raises(Misconfigured, match=r"alerts\.webhook\.token_env: .*NO_SUCH_TOKEN"):
        channels_from(settings)


def test_the_address_of_the_webhook_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "webhook"
    file.touch(mode=0o600)
    settings = load(tmp_path, f'[alerts.webhook]\nurl_file = "{file}"\n')
    file.write_text("https://chat.example/hooks/geheim\n")
    channel = channels_from(settings)[AlertChannel.WEBHOOK]
    assert isinstance(channel, WebhookChannel)
    assert channel.address() == "https://chat.example/hooks/geheim"
    assert "geheim" not in repr(channel)
    for wrong in ("geheim", "https://user:geheim@chat.example/x"):
        file.write_text(wrong)
        with pytest.raises(Misconfigured, match=r"webhook\.url_file: the address in it") as caught:
            channels_from(settings)
        assert "geheim" not in str(caught.value)
        with pytest.raises(Transient, match=r"webhook\.url_file: the address in it") as later:
            channel.address()
        assert "geheim" not in str(later.value)


def test_a_relative_certificate_file_starts_from_the_folder_of_the_configuration(
    tmp_path: Path,
) -> None:
    (tmp_path / "ca.pem").touch()
    settings = load(tmp_path, f'{MAIL}ca_file = "ca.pem"\n')
    assert settings.alerts.mail is not None
    assert settings.alerts.mail.ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{MAIL}receivers = []\n", r"alerts\.mail\.receivers: unknown setting"),
        (f'{MAIL}usrname = "x"\n', r"alerts\.mail\.usrname: unknown setting.*username"),
        (MAIL.replace("recipients", "#"), r"alerts\.mail\.recipients: is missing"),
        (MAIL.replace('["pacs@hospital.example"]', "[]"), r"recipients: must not be empty"),
        (MAIL.replace("pacs@", "pacs at "), r"recipients\.1: must be an address"),
        (f'{MAIL}password_env = "X"\n', r"password_env: has no effect without a username"),
        (f'{MAIL}security = "none"\nusername = "x"\n', r"security: .*clear text"),
        (f'{MAIL}ca_file = "none.pem"\n', r"ca_file: there is no file"),
        ('[alerts.webhook]\nurl = "alerts"\n', r"webhook\.url: must be an address"),
        ("[monitoring]\nlow_disk_gib = 0.5\n", r"low_disk_gib: is below least_free_gib"),
        ("[monitoring]\nattention_after_failures = 0\n", r"attention_after_failures: must"),
        ("[monitoring]\nattention_failures = 3\n", r"attention_failures: unknown setting"),
    ],
)
def test_a_mistake_is_named_with_its_setting(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        load(tmp_path, text)
