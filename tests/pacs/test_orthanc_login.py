"""An Orthanc that asks for a user name and password gets them in each connection by DICOMweb."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from node.delivery.destination import ResultFile
from node.delivery.factory import destinations_from
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.query import SeriesQuery
from node.domain.connections.failure import ConnectionFault
from node.domain.connections.probe import ConnectionName, ConnectionTable
from node.domain.errors import Misconfigured, Transient
from node.domain.identifiers import Uid
from node.probes.site import probe
from node.retrieval.sources import retrieval_sources, searchable_source
from node.settings import Settings, load_settings
from node.store import Store
from tests.support.factories import sqlite_url

USER, PASSWORD = "segnode", "gehéim"
IMAGE = Path(str(get_testdata_file("CT_small.dcm")))
RESULT = ResultFile(
    IMAGE, Uid("1.2"), Uid("1.2.3"), Uid("1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322")
)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    """An Orthanc with one user."""
    if missing := orthanc_missing():
        pytest.skip(missing)
    login = {"AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD}}
    orthanc = OrthancPacs(tmp_path_factory.mktemp("orthanc"), configuration=login)
    orthanc.start()
    yield orthanc
    orthanc.kill()  # an orderly stop takes 3 s


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A file with the password that is for its owner alone."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    return file


@pytest.fixture
def settings(tmp_path: Path, pacs: OrthancPacs, password_file: Path) -> Settings:
    """Settings with that Orthanc as source and as destination."""
    login = f'url = "{pacs.dicomweb_url}"\nusername = "{USER}"\npassword_file = "{password_file}"\n'
    file = tmp_path / "segnode.toml"
    file.write_text(
        f'data_dir = "data"\n[sources.pacs]\n{login}[destinations.pacs]\nkind = "dicomweb"\n{login}'
        '[[rules]]\nname = "liver"\nmodel = "liver-ct"\ndestinations = ["pacs"]\n'
        'when = { attribute = "Modality", equals = "CT" }\n'
    )
    return load_settings(file)


def test_results_are_stored_and_series_found_and_retrieved(
    settings: Settings, tmp_path: Path
) -> None:
    destinations_from(settings)["pacs"].deliver([RESULT])
    query = SeriesQuery(patient_id="1CT1")
    (found,) = searchable_source(settings, "pacs").search(query, 10)
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    retrieve = retrieval_sources(settings, store)["pacs"]
    assert retrieve(found.study_instance_uid, found.series_instance_uid, lambda _: None) == 1
    store.close()


def test_a_wrong_password_is_explained_and_the_right_one_needs_no_restart(
    settings: Settings, password_file: Path
) -> None:
    destination = destinations_from(settings)["pacs"]
    password_file.write_text("wr0ng", encoding="utf-8")
    with pytest.raises(Transient, match=r"401 .*check the user name and password") as caught:
        destination.deliver([RESULT])
    assert "wr0ng" not in str(caught.value)
    password_file.write_text(PASSWORD, encoding="utf-8")
    destination.deliver([RESULT])


@pytest.mark.parametrize("table", [ConnectionTable.SOURCES, ConnectionTable.DESTINATIONS])
def test_a_probe_distinguishes_a_wrong_password_from_an_open_file(
    settings: Settings, password_file: Path, table: ConnectionTable
) -> None:
    connection = ConnectionName(table, "pacs")
    assert probe(settings, connection).passed
    password_file.write_text("wr0ng", encoding="utf-8")
    (step,) = probe(settings, connection).steps
    assert step.fault is ConnectionFault.UNAUTHORIZED
    assert "check the user name and password" in step.remedy
    password_file.chmod(0o644)
    (step,) = probe(settings, connection).steps
    assert step.fault is ConnectionFault.CONFIGURATION
    assert f"{table}.pacs.password_file: {password_file} is open to other users" in step.text


def test_a_node_does_not_start_with_a_password_that_others_can_read(
    settings: Settings, password_file: Path
) -> None:
    password_file.chmod(0o640)
    with pytest.raises(Misconfigured, match=r"destinations\.pacs\.password_file: .*chmod 600"):
        destinations_from(settings)
