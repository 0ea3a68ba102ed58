"""Each mistake in the files of a certificate names the setting, the file and the remedy."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from node.domain.errors import Misconfigured
from node.settings import Settings, WebOptions
from node.tls.certificate_files import TlsFiles
from node.tls.contexts import client_context
from node.web.https import check_web_certificate
from tests.support.certificate_authority import CertificateAuthority, Issued

_NOW = datetime.now(UTC)
_DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("authority"))


def mistakes(certificate: Path, key: Path | None) -> list[tuple[str, str]]:
    """Returns key and message of each mistake of a web server with these files."""
    settings = Settings(web=WebOptions(certificate_file=certificate, key_file=key))
    try:
        check_web_certificate(settings, _NOW)
    except Misconfigured as error:
        return [(each.key, each.message) for each in error.mistakes]
    return []


def test_a_certificate_and_its_key_have_no_mistake(authority: CertificateAuthority) -> None:
    issued = authority.issue("valid")
    assert mistakes(issued.certificate, issued.key) == []


@pytest.mark.parametrize(
    ("valid_from", "text"), [(-3 * _DAY, "expired on"), (_DAY, "is not valid before")]
)
def test_a_certificate_is_valid_now(
    authority: CertificateAuthority, valid_from: timedelta, text: str
) -> None:
    issued = authority.issue("dated", valid_from=valid_from, valid_for=2 * _DAY)
    ((key, message),) = mistakes(issued.certificate, issued.key)
    assert key == "web.certificate_file"
    assert f"the certificate in {issued.certificate} {text}" in message


def test_a_key_belongs_to_the_certificate(authority: CertificateAuthority) -> None:
    issued, other = authority.issue("own"), authority.issue("another")
    ((key, message),) = mistakes(issued.certificate, other.key)
    assert key == "web.key_file"
    assert f"the key in {other.key} does not belong to the certificate" in message


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o602])
def test_a_key_is_closed_to_other_users(authority: CertificateAuthority, mode: int) -> None:
    issued = authority.issue("open")
    issued.key.chmod(mode)
    ((key, message),) = mistakes(issued.certificate, issued.key)
    assert key == "web.key_file"
    assert f"(mode {mode:04o}): chmod 600 {issued.key}" in message


def test_a_key_may_be_readable_for_a_group(authority: CertificateAuthority) -> None:
    issued = authority.issue("grouped")
    issued.key.chmod(0o640)
    assert mistakes(issued.certificate, issued.key) == []


def test_a_key_in_the_file_of_the_certificate_is_the_default(
    authority: CertificateAuthority,
) -> None:
    issued = authority.issue("joined")
    issued.certificate.write_bytes(issued.key.read_bytes() + issued.certificate.read_bytes())
    ((key, message),) = mistakes(issued.certificate, None)
    assert (key, "is open to other users" in message) == ("web.certificate_file", True)
    issued.certificate.chmod(0o600)
    assert mistakes(issued.certificate, None) == []


def _missing(issued: Issued) -> None:
    issued.key.unlink()


def _no_key(issued: Issued) -> None:
    issued.key.write_text("no key")


def _with_password(issued: Issued) -> None:
    key = load_pem_private_key(issued.key.read_bytes(), None)
    secured = BestAvailableEncryption(b"secret")
    issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secured))


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_missing, "there is no file"),
        (_no_key, "holds no private key"),
        (_with_password, "is protected by a password"),
    ],
)
def test_a_key_file_holds_a_key_without_password(
    authority: CertificateAuthority, damage: Callable[[Issued], None], text: str
) -> None:
    issued = authority.issue("damaged")
    damage(issued)
    ((key, message),) = mistakes(issued.certificate, issued.key)
    assert (key, str(issued.key) in message, text in message) == ("web.key_file", True, True)


@pytest.mark.parametrize(
    ("content", "text"), [(None, "there is no file"), ("no PEM", "holds no certificate")]
)
def test_a_certificate_file_holds_a_certificate(
    authority: CertificateAuthority, content: str | None, text: str
) -> None:
    issued = authority.issue("broken")
    issued.certificate.unlink()
    if content is not None:
        issued.certificate.write_text(content)
    ((key, message),) = mistakes(issued.certificate, issued.key)
    assert (key, text in message) == ("web.certificate_file", True)


def test_a_key_with_password_is_an_error_and_no_question(authority: CertificateAuthority) -> None:
    issued = authority.issue("asked")
    _with_password(issued)
    with pytest.raises(ValueError, match="protected by a password"):
        client_context(TlsFiles(certificate=issued.certificate, key=issued.key))
