"""The guide of DICOM over TLS: commands run, settings are valid, reasons are complete."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.dimse.tls.certificate_files import check_certificates
from node.domain.connections.rejected_connection import ListenerRejection
from node.settings import load_settings

GUIDE = (Path(__file__).parents[2] / "deploy" / "tls.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_certificates_of_the_guide_suit_its_configuration(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; it makes certificates: apt install openssl")
    commands = [block for block in blocks("sh") if "openssl" in block]
    assert len(commands) == 3
    for command in commands:
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, capture_output=True)
    (configuration,) = blocks("toml")
    file = tmp_path / "segnode.toml"
    file.write_text(configuration, encoding="utf-8")
    settings = load_settings(file)
    check_certificates(settings, datetime.now(UTC))
    subprocess.run(
        ["openssl", "verify", "-CAfile", "ca.pem", "-verify_ip", "192.0.2.5", "segnode.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )


def test_the_guide_names_every_reason_that_concerns_tls() -> None:
    named = set(re.findall(r"^\| `([a-z-]+)` \|", GUIDE, re.MULTILINE))
    words = ("tls", "certificate", "plain")
    about_tls = {each.value for each in ListenerRejection if any(w in each.value for w in words)}
    assert named == about_tls
