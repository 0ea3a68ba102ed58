"""`segnode fetch` and its REST route against a real Orthanc."""

import sys
from pathlib import Path

import httpx
import pytest

from node.cli.main import main
from node.dicom.query import FoundSeries
from tests.support.servers.fetching_node import FetchingNode
from tests.support.servers.served_node import served_node


def open_series(site: FetchingNode) -> list[str]:
    """The series of the open retrievals."""
    return [one.series_instance_uid for one in site.store.open_retrievals()]


def run_command(monkeypatch: pytest.MonkeyPatch, site: FetchingNode, *arguments: str) -> int:
    """Runs `segnode fetch`; returns the exit status."""
    command = ["segnode", "fetch", *arguments, "--config", str(site.settings.file)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as exited:
        main()
    return exited.value.code if isinstance(exited.value.code, int) else 0


def test_the_command_lists_the_matches_and_requests_them(
    site: FetchingNode,
    stored: FoundSeries,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(monkeypatch, site, "by_move", "--accession", "A-1", "--dry-run") == 0
    listed = capsys.readouterr().out
    for text in ("20260110", "CT", "3 images", stored.series_instance_uid, "none is requested"):
        assert text in listed
    assert "PHANTOM" not in listed
    assert "P-1" not in listed
    assert open_series(site) == []

    assert run_command(monkeypatch, site, "by_move", "--accession", "A-1") == 0
    assert "Requested 1 series from by_move: retrieval 1" in capsys.readouterr().out
    assert run_command(monkeypatch, site, "--state") == 0
    assert "waiting, or in progress" in capsys.readouterr().out
    site.retriever.poll("by_move")
    assert run_command(monkeypatch, site, "--state") == 0
    assert "by_move, retrieved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("by_mov", "--patient-id", "1"), "no source 'by_mov' (did you mean 'by_move'?)"),
        (("by_move",), "would match every study"),
        (("by_move", "--series", "1.2", "--study-date", "20260101"), "UID of its study"),
        (("by_move", "--study-date", "1 May"), "is no study date"),
        ((), "name a peer or source"),
    ],
)
def test_a_wrong_command_says_what_to_do(
    site: FetchingNode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert run_command(monkeypatch, site, *arguments) != 0
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in error


def test_a_rest_request_finds_series_and_requests_them(
    site: FetchingNode, stored: FoundSeries, tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    with served_node(folder, site.configuration) as node:
        url = f"{node.url}/api/fetch"
        body = {"source": "by_get", "patient_id": "P-1"}
        answer = httpx.post(url, json={**body, "dry_run": True})
        assert answer.status_code == 202
        (series,) = answer.json()["series"]
        assert series["series_instance_uid"] == stored.series_instance_uid
        assert series["retrieval"] is None
        (series,) = httpx.post(url, json=body).json()["series"]
        state = httpx.get(f"{node.url}/api/retrievals/{series['retrieval']}").json()
        assert (state["source"], state["finished_at"]) == ("by_get", None)
        assert httpx.get(f"{node.url}/api/retrievals").json() == [state]


def test_a_rest_request_that_fails_says_why(
    site: FetchingNode, stored: FoundSeries, tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    with served_node(folder, site.configuration) as node:
        url = f"{node.url}/api/fetch"
        answer = httpx.post(url, json={"source": "by_get"})
        assert (answer.status_code, "every study" in answer.text) == (422, True)
        answer = httpx.post(url, json={"source": "elsewhere", "patient_id": "P-1"})
        assert "known: by_get, by_move, by_web" in answer.json()["message"]
        site.orthanc.stop()
        answer = httpx.post(url, json={"source": "by_get", "patient_id": "P-1"})
        assert answer.status_code == 503
        assert "does not answer" in answer.json()["message"]
        assert node.store.list_retrievals() == []
