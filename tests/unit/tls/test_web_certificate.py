"""The certificate of the web server: its mistakes name the setting, the file and the remedy."""

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
from node.web.server.certificate import check_web_certificate
from tests.support.certificate_authority import CertificateAuthority

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


def test_all_mistakes_are_reported_together(authority: CertificateAuthority) -> None:
    expired = authority.issue("expired", valid_from=-3 * _DAY, valid_for=2 * _DAY)
    other = authority.issue("another")
    other.key.chmod(0o644)
    first, second, third = mistakes(expired.certificate, other.key)
    assert first[0] == "web.certificate_file"
    assert "expired on" in first[1]
    assert (second[0], third[0]) == ("web.key_file", "web.key_file")
    assert "does not belong to the certificate" in second[1]
    assert "is open to other users" in third[1]


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o602])
def test_a_key_is_closed_to_other_users(authority: CertificateAuthority, mode: int) -> None:
    issued = authority.issue("open")
    issued.key.chmod(mode)
    ((key, message),) = mistakes(issued.certificate, issued.key)
    assert key == "web.key_file"
    assert f"(mode {mode:04o}): chmod 600 {issued.key}" in message


def test_a_group_may_read_a_key(authority: CertificateAuthority) -> None:
    issued = authority.issue("grouped")
    issued.key.chmod(0o640)
    assert mistakes(issued.certificate, issued.key) == []


def test_a_key_in_the_file_of_the_certificate_is_the_default(
    authority: CertificateAuthority,
) -> None:
    issued = authority.issue("joined")
    issued.certificate.write_bytes(issued.key.read_bytes() + issued.certificate.read_bytes())
    issued.certificate.chmod(0o644)
    ((key, message),) = mistakes(issued.certificate, None)
    assert (key, "is open to other users" in message) == ("web.certificate_file", True)
    issued.certificate.chmod(0o600)
    assert mistakes(issued.certificate, None) == []


def test_a_key_with_password_is_an_error_and_no_question(authority: CertificateAuthority) -> None:
    issued = authority.issue("asked")
    key = load_pem_private_key(issued.key.read_bytes(), None)
    secured = BestAvailableEncryption(b"secret")
    issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secured))
    with pytest.raises(ValueError, match="protected by a password"):
        client_context(TlsFiles(certificate=issued.certificate, key=issued.key))
