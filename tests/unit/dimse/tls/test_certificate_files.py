"""Certificate files that cannot be used are named with their setting and the remedy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from node.dimse.tls.certificate_files import certificate_mistakes, check_certificates
from node.domain.errors import Misconfigured
from node.settings import DicomTlsOptions, ListenerOptions, Peer, Settings
from tests.support.certificate_authority import CertificateAuthority, Issued

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def node(authority: CertificateAuthority) -> Issued:
    return authority.issue("node")


def options(
    node: Issued, authority: CertificateAuthority, **changes: Path | None
) -> DicomTlsOptions:
    fitting = DicomTlsOptions(
        certificate_file=node.certificate, key_file=node.key, ca_file=authority.file
    )
    return fitting.model_copy(update=changes)


def found(wrong: DicomTlsOptions, now: datetime = NOW) -> tuple[str, str]:
    """The setting and the message of the only mistake."""
    (mistake,) = certificate_mistakes(wrong, now)
    return mistake.key, mistake.message


def test_fitting_files_are_no_mistake(authority: CertificateAuthority, node: Issued) -> None:
    assert list(certificate_mistakes(options(node, authority), NOW)) == []


def test_one_file_may_hold_certificate_and_key(
    authority: CertificateAuthority, node: Issued, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(node.certificate.read_bytes() + node.key.read_bytes())
    one = DicomTlsOptions(certificate_file=both, ca_file=authority.file)
    assert list(certificate_mistakes(one, NOW)) == []
    alone = DicomTlsOptions(certificate_file=node.certificate)
    key, message = found(alone)
    assert (key, "holds no private key" in message) == ("certificate_file", True)


def test_the_period_of_the_certificate_counts(
    authority: CertificateAuthority, node: Issued
) -> None:
    key, message = found(options(node, authority), NOW + 400 * DAY)
    assert key == "certificate_file"
    assert f"{node.certificate} expired on" in message
    assert message.endswith("renew it")
    _, early = found(options(node, authority), NOW - 2 * DAY)
    assert "is not valid before" in early


def test_a_key_of_another_certificate_is_named(
    authority: CertificateAuthority, node: Issued
) -> None:
    other = authority.issue("other")
    key, message = found(options(node, authority, key_file=other.key))
    assert key == "key_file"
    assert f"does not belong to the certificate in {node.certificate}" in message


def test_a_key_with_a_password_is_named(
    authority: CertificateAuthority, node: Issued, tmp_path: Path
) -> None:
    key = load_pem_private_key(node.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    encryption = BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    setting, message = found(options(node, authority, key_file=locked))
    assert (setting, "is protected by a password" in message) == ("key_file", True)


@pytest.mark.parametrize("setting", ["certificate_file", "key_file", "ca_file"])
def test_a_missing_or_damaged_file_is_named(
    authority: CertificateAuthority, node: Issued, tmp_path: Path, setting: str
) -> None:
    file = tmp_path / "file.pem"
    key, message = found(options(node, authority, **{setting: file}))
    assert (key, f"there is no file {file}" in message) == (setting, True)
    file.write_text("no PEM", encoding="utf-8")
    key, message = found(options(node, authority, **{setting: file}))
    assert (key, "must be in PEM format" in message) == (setting, True)


def test_files_that_nothing_uses_are_not_checked(
    authority: CertificateAuthority, node: Issued
) -> None:
    expired, when = options(node, authority), NOW + 400 * DAY
    check_certificates(Settings(dicom_tls=expired), when)
    peer = Peer(ae_title="PACS", host="pacs", port=2762, tls=True)
    for used in (
        Settings(dicom_tls=expired, listener=ListenerOptions(tls_port=2762)),
        Settings(dicom_tls=expired, peers={"pacs": peer}),
    ):
        with pytest.raises(Misconfigured, match=r"dicom_tls\.certificate_file: .* expired on"):
            check_certificates(used, when)


def test_the_authority_of_a_peer_is_checked_where_the_node_connects_by_tls(
    authority: CertificateAuthority, node: Issued, tmp_path: Path
) -> None:
    file = tmp_path / "pacs-ca.pem"
    file.write_text("no PEM", encoding="utf-8")
    peer = Peer(ae_title="PACS", host="pacs", port=2762, tls=True, ca_file=file)
    settings = Settings(dicom_tls=options(node, authority), peers={"pacs": peer})
    with pytest.raises(Misconfigured, match=r"peers\.pacs\.ca_file: .* holds no certificate"):
        check_certificates(settings, NOW)
