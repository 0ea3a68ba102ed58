"""A certificate file that expires soon, has expired or is unreadable is a problem."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from node.domain.monitoring.problem import Urgency
from node.health.certificates import certificate_problems
from node.settings import Settings, load_settings
from tests.support.certificates import Certificate

CONFIGURATION = """
data_dir = "data"
[destinations.his]
kind = "hl7"
host = "192.0.2.30"
port = 2575
tls = true
ca_file = "ca.pem"
certificate_file = "node.pem"
key_file = "node.key"
"""
NOW = datetime.now(UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A destination with two certificates that are valid for two days."""
    for name in ("ca", "node"):
        Certificate.create(tmp_path, name)
    file = tmp_path / "segnode.toml"
    file.write_text(CONFIGURATION)
    return load_settings(file)


def test_a_certificate_that_expires_soon_is_named_with_its_setting(settings: Settings) -> None:
    problems = certificate_problems(settings, NOW)
    assert {problem.subject for problem in problems} == {
        "destinations.his.ca_file",
        "destinations.his.certificate_file",
    }
    assert {problem.urgency for problem in problems} == {Urgency.NOTICE}
    file = settings.data_dir.parent / "ca.pem"
    day = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    assert all(f"expires on {day:%Y-%m-%d}" in problem.text for problem in problems)


def test_an_expired_certificate_is_more_urgent(settings: Settings) -> None:
    problems = certificate_problems(settings, NOW + timedelta(days=3))
    assert {problem.urgency for problem in problems} == {Urgency.WARNING}
    assert all("expired on" in problem.text for problem in problems)


def test_a_certificate_that_is_valid_for_long_is_no_problem(settings: Settings) -> None:
    assert certificate_problems(settings, NOW - timedelta(days=40)) == []


def test_the_first_certificate_of_a_file_to_expire_counts(settings: Settings) -> None:
    file = settings.data_dir.parent / "node.pem"
    file.write_bytes(file.read_bytes() * 2)
    assert len(certificate_problems(settings, NOW)) == 2


def test_a_file_without_a_certificate_is_a_problem(settings: Settings) -> None:
    (settings.data_dir.parent / "ca.pem").write_text("no certificate")
    (problem,) = [p for p in certificate_problems(settings, NOW) if p.subject.endswith("ca_file")]
    assert "cannot be read" in problem.text


def test_the_certificates_of_all_connections_and_of_the_web_server_are_watched(
    tmp_path: Path,
) -> None:
    Certificate.create(tmp_path, "node")
    files = 'ca_file = "node.pem"\ncertificate_file = "node.pem"\nkey_file = "node.key"\n'
    url = 'url = "https://server.example"\n'
    tables = {
        "web": 'certificate_file = "node.pem"\nkey_file = "node.key"\n',
        "sources.pacs": url + files,
        "destinations.pacs": f'kind = "dicomweb"\n{url}{files}',
        "destinations.ehr": f'kind = "fhir"\n{url}{files}',
        "alerts.webhook": url + files,
        "alerts.mail": 'host = "smtp"\nsender = "a@b.example"\nrecipients = ["a@b.example"]\n'
        + files,
    }
    text = "".join(f"[{name}]\n{content}" for name, content in tables.items())
    (tmp_path / "segnode.toml").write_text(f'data_dir = "data"\n{text}')
    problems = certificate_problems(load_settings(tmp_path / "segnode.toml"), NOW)
    expected = {f"{name}.certificate_file" for name in tables}
    expected |= {f"{name}.ca_file" for name in tables if name != "web"}
    assert {problem.subject for problem in problems} == expected
