"""A change of certificate files is noticed once, also where it cannot be used."""

from pathlib import Path

from structlog.testing import capture_logs

from node.domain.errors import Misconfigured
from node.tls.renewal import CertificateRenewal


def test_each_change_of_a_file_is_used_once(tmp_path: Path) -> None:
    renewals: list[str] = []
    files = [tmp_path / "own.pem", tmp_path / "own.key"]
    renewal = CertificateRenewal(lambda: renewals.append("renewed"))
    files[0].write_text("first")
    renewal.use(files)
    renewal.poll()
    assert renewals == []
    files[1].write_text("a key")
    renewal.poll()
    renewal.poll()
    assert renewals == ["renewed"]
    files[0].unlink()
    renewal.poll()
    assert renewals == ["renewed", "renewed"]


def test_files_that_cannot_be_used_are_logged_once(tmp_path: Path) -> None:
    def refuse() -> None:
        raise Misconfigured("the key does not belong to the certificate", key="web.key_file")

    file = tmp_path / "own.pem"
    renewal = CertificateRenewal(refuse)
    renewal.use([file])
    file.write_text("other")
    with capture_logs() as logs:
        renewal.poll()
        renewal.poll()
    (entry,) = logs
    assert entry["event"] == "tls.certificates_not_renewed"
    assert "web.key_file" in entry["error"]
