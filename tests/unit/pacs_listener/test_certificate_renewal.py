"""A change of the certificate files is noticed once."""

from pathlib import Path

from node.domain.errors import Misconfigured
from pacs_listener.certificate_renewal import CertificateRenewal


def test_each_change_of_a_file_renews_once_and_a_failure_is_tried_again_at_the_next(
    tmp_path: Path,
) -> None:
    certificate, key = tmp_path / "node.pem", tmp_path / "node.key"
    certificate.write_text("1", encoding="utf-8")
    calls: list[str] = []

    def renew() -> None:
        calls.append(certificate.read_text(encoding="utf-8"))
        if not key.exists():
            raise Misconfigured("there is no key", key="dicom_tls.key_file")

    renewal = CertificateRenewal(renew)
    renewal.use([certificate, key])
    renewal.poll()
    assert calls == []
    certificate.write_text("1 2", encoding="utf-8")
    renewal.poll()
    renewal.poll()
    assert calls == ["1 2"]
    key.touch()
    renewal.poll()
    renewal.poll()
    assert calls == ["1 2", "1 2"]
