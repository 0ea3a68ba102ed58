"""Settings of the listener, of peers and of DICOM over TLS, and the messages for their mistakes."""

from pathlib import Path

import pytest

from node.settings import load_settings
from tests.unit.settings.site import VALID, mistakes_in, write

_TLS = '[dicom_tls]\ncertificate_file = "node.pem"\nkey_file = "node.key"\nca_file = "ca.pem"\n'
_PORT = "[listener]\ntls_port = 2762\n"


def peer(text: str) -> str:
    return f'{VALID}[peers.ct1]\nae_title = "CT1"\nhost = "ct1"\nport = 104\n{text}\n'


def listener(text: str) -> str:
    return f"{VALID}[listener]\n{text}\n"


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """The files that the settings name; their content is checked elsewhere."""
    for name in ("node.pem", "node.key", "ca.pem"):
        (tmp_path / name).touch()


def test_paths_start_from_the_file_of_the_configuration(tmp_path: Path) -> None:
    text = peer('tls = true\nca_file = "ca.pem"') + _TLS + _PORT
    settings = load_settings(write(tmp_path, text))
    assert settings.dicom_tls.certificate_file == tmp_path / "node.pem"
    assert settings.peers["ct1"].ca_file == tmp_path / "ca.pem"


def test_an_address_of_a_peer_is_a_network(tmp_path: Path) -> None:
    text = peer('addresses = ["10.1.2.7/24", "2001:db8::1", "192.0.2.1"]')
    addresses = load_settings(write(tmp_path, text)).peers["ct1"].addresses
    assert addresses == ("10.1.2.0/24", "2001:db8::1/128", "192.0.2.1/32")


WRONG = {
    "no certificate": (VALID + _PORT, "listener.tls_port", "set certificate_file in [dicom_tls]"),
    "no authorities": (
        VALID + _PORT + _TLS.replace('ca_file = "ca.pem"\n', ""),
        "listener.client_certificates",
        "needs the authorities of the senders",
    ),
    "no port": (listener("plain = false"), "listener.plain", "would listen on no port"),
    "one port for both": (
        listener("port = 2762\ntls_port = 2762") + _TLS,
        "listener.tls_port",
        "is the port for connections without TLS, too",
    ),
    "the port of the web server": (
        listener("tls_port = 8080") + _TLS,
        "listener.tls_port",
        "the web server uses port 8080 already",
    ),
    "a missing file": (
        VALID + '[dicom_tls]\ncertificate_file = "gone.pem"',
        "dicom_tls.certificate_file",
        "there is no file",
    ),
    "a key alone": (
        VALID + '[dicom_tls]\nkey_file = "node.key"',
        "dicom_tls.key_file",
        "has no effect without a certificate_file",
    ),
    "unknown ciphers": (
        VALID + '[dicom_tls]\nciphers = "GOOD"',
        "dicom_tls.ciphers",
        "names no cipher that OpenSSL knows",
    ),
    "a server name without TLS": (
        peer('server_name = "ct1.example"'),
        "peers.ct1.server_name",
        "has no effect without tls = true",
    ),
    "a certificate name without a port": (
        peer('certificate_name = "ct1"'),
        "peers.ct1.certificate_name",
        "needs listener.tls_port",
    ),
    "a certificate name that nobody asks for": (
        peer('certificate_name = "ct1"') + _TLS + _PORT + 'client_certificates = "none"',
        "peers.ct1.certificate_name",
        'needs listener.client_certificates = "required" or "optional"',
    ),
    "a user name that is not verified": (
        peer('username = "ct1"'),
        "peers.ct1.username",
        'without listener.user_identity = "verified"',
    ),
    "a password without a user name": (
        peer('password_env = "PASSWORD"'),
        "peers.ct1.password_env",
        "has no effect without a username",
    ),
    "an address that is none": (
        peer('addresses = ["10.1.2.x"]'),
        "peers.ct1.addresses",
        "must be an address or a network such as 10.1.2.0/24",
    ),
    "an unknown permission": (peer('may = ["query"]'), "peers.ct1.may", "must be"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_named_with_its_setting(tmp_path: Path, case: str) -> None:
    text, key, message = WRONG[case]
    mistakes = "\n".join(mistakes_in(tmp_path, text))
    assert key in mistakes
    assert message in mistakes


def test_rules_may_name_any_sender_where_any_may_send(tmp_path: Path) -> None:
    rule = VALID.replace('{ attribute = "Modality", equals = "CT" }', '{ from_ae = ["STRANGER"] }')
    (mistake,) = mistakes_in(tmp_path, rule)
    assert "no peer has the AE title" in mistake
    assert load_settings(write(tmp_path, rule + '[listener]\naccept_from = "any"\n')).rules


@pytest.mark.parametrize(
    ("protection", "more"),
    [
        ('certificate_name = "ct1"', _TLS + _PORT),
        ('addresses = ["10.1.2.0/24"]', ""),
        ('username = "ct1"', '[listener]\nuser_identity = "verified"\n'),
    ],
)
def test_peers_with_one_ae_title_have_the_same_protections(
    tmp_path: Path, protection: str, more: str
) -> None:
    other = '[peers.ct2]\nae_title = "CT1"\nhost = "ct2"\nport = 104\n'
    key = protection.split(" ", maxsplit=1)[0]
    (mistake,) = mistakes_in(tmp_path, peer(protection) + other + more)
    assert f": peers.ct2.{key}: is missing: peer 'ct1' has the same AE title" in mistake
    load_settings(write(tmp_path, peer(protection) + f"{other}{protection}\n" + more))
