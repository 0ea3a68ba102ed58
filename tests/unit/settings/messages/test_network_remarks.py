"""Remarks on the settings of the DICOM network and of certificates."""

from pathlib import Path

import pytest

from node.settings import load_settings
from node.settings.messages.remarks import remarks
from tests.support.certificate_authority import CertificateAuthority
from tests.unit.settings.site import VALID, write

_TLS = '[dicom_tls]\ncertificate_file = "node.pem"\nkey_file = "node.key"\nca_file = "ca.pem"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority and a certificate that it issued."""
    folder = tmp_path_factory.mktemp("tls")
    CertificateAuthority.create(folder).issue("node")
    ca, leaf = ((folder / name).read_text() for name in ("ca.pem", "node.pem"))
    (folder / "both.pem").write_text(leaf + ca)
    return folder


def _found(folder: Path, text: str) -> list[str]:
    return list(remarks(load_settings(write(folder, text))))


@pytest.mark.parametrize("table", ["dicom_tls", "peers.pacs", "alerts.mail"])
def test_a_file_of_authorities_without_one_has_a_remark(folder: Path, table: str) -> None:
    text = {
        "dicom_tls": VALID + _TLS,
        "peers.pacs": VALID.replace("port = 4242", 'port = 4242\ntls = true\nca_file = "ca.pem"'),
        "alerts.mail": VALID + '[alerts.mail]\nhost = "m"\nsender = "a@b.c"\n'
        'recipients = ["a@b.c"]\nca_file = "ca.pem"\n',
    }[table]
    assert _found(folder, text) == []
    assert _found(folder, text.replace("ca.pem", "both.pem")) == []
    (remark,) = _found(folder, text.replace("ca.pem", "node.pem"))
    assert remark == (
        f"{table}.ca_file: {folder}/node.pem holds no authority, but the certificate of a single "
        "system, which vouches for no other. Name the file of the authority that signed it."
    )


@pytest.mark.parametrize(("name", "count"), [("*.hospital.example", 1), ("ct.hospital.example", 0)])
def test_a_wildcard_as_the_name_of_a_certificate_has_a_remark(
    folder: Path, name: str, count: int
) -> None:
    peer = f'port = 4242\ncertificate_name = "{name}"'
    text = VALID.replace("port = 4242", peer) + _TLS + "[listener]\ntls_port = 2762\n"
    found = _found(folder, text)
    assert len(found) == count
    assert all(
        each.startswith(f"Peer 'pacs': certificate_name {name} stands for no other name")
        for each in found
    )


@pytest.mark.parametrize(
    ("plain", "end"),
    [
        ("true", "may use their AE titles, and on port 11112 every sender."),
        ("false", "may use their AE titles."),
    ],
)
def test_a_peer_without_a_certificate_name_has_a_remark_about_the_ports_in_use(
    folder: Path, plain: str, end: str
) -> None:
    (remark,) = _found(folder, f"{VALID}{_TLS}[listener]\ntls_port = 2762\nplain = {plain}\n")
    assert remark.startswith("Peers without certificate_name: 'pacs'.")
    assert remark.endswith(end)
