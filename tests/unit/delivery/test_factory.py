"""Destinations are built from the settings."""

from pathlib import Path

import pytest

from node.delivery.cstore import CStore
from node.delivery.dicomweb import DicomWeb
from node.delivery.factory import destinations_from
from node.delivery.folder import Folder
from node.delivery.his.fhir import Fhir
from node.delivery.his.hl7 import Hl7
from node.domain.errors import Misconfigured
from node.settings import Settings, load_settings

_SITE = """
[listener]
ae_title = "OURS"

[peers.main]
ae_title = "PACS"
host = "pacs.example"
port = 104

[destinations.pacs]
kind = "cstore"
peer = "main"

[destinations.cloud]
kind = "dicomweb"
url = "https://cloud.example/dicom-web/"
username = "node"
password_env = "CLOUD_PASSWORD"

[destinations.disk]
kind = "folder"
path = "results"

[destinations.his]
kind = "hl7"
host = "his.example"
port = 2575

[destinations.ehr]
kind = "fhir"
url = "https://fhir.example/r4"
token_env = "EHR_TOKEN"

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["pacs", "cloud", "disk"]
when = { attribute = "Modality", equals = "CT" }
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a destination of each type."""
    file = tmp_path / "segnode.toml"
    file.write_text(_SITE)
    return load_settings(file)


def test_each_destination_is_built_from_its_settings(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_PASSWORD", "secret")
    monkeypatch.setenv("EHR_TOKEN", "bearer")
    made = destinations_from(settings)

    pacs, cloud, disk = made["pacs"], made["cloud"], made["disk"]
    assert isinstance(pacs, CStore)
    assert (str(pacs.remote), pacs.calling) == ("PACS@pacs.example:104", "OURS")
    assert isinstance(cloud, DicomWeb)
    assert cloud.url == "https://cloud.example/dicom-web"
    assert cloud.credentials.authorization() == "Basic bm9kZTpzZWNyZXQ="  # node:secret
    assert "secret" not in repr(cloud)
    assert disk == Folder("disk", tmp_path / "results")
    his, ehr = made["his"], made["ehr"]
    assert isinstance(his, Hl7)
    assert (his.options.host, his.options.port) == ("his.example", 2575)
    assert isinstance(ehr, Fhir)
    assert ehr.options.url == "https://fhir.example/r4"
    assert ehr.credentials.authorization() == "Bearer bearer"
    assert "bearer" not in repr(ehr).replace("BearerToken", "")


def test_a_missing_password_variable_is_reported_with_its_setting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUD_PASSWORD", raising=False)
    monkeypatch.setenv("EHR_TOKEN", "bearer")
    with pytest.raises(Misconfigured, match=r"destinations\.cloud\.password_env.*CLOUD_PASSWORD"):
        destinations_from(settings)


def test_a_missing_token_variable_is_reported_with_its_setting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_PASSWORD", "secret")
    monkeypatch.delenv("EHR_TOKEN", raising=False)
    with pytest.raises(Misconfigured, match=r"destinations\.ehr\.token_env.*EHR_TOKEN"):
        destinations_from(settings)
