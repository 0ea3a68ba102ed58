"""`segnode connections`: its output and exit status."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectionKey,
    RejectionTally,
)
from node.store import Store
from tests.unit.cli.test_cli import run

TEXT = """data_dir = "data"
[peers.ct1]
ae_title = "CT1"
host = "192.0.2.21"
port = 104
[destinations.archive]
kind = "folder"
path = "archive"
[destinations.broken]
kind = "folder"
path = "/proc/results"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def test_a_test_says_what_works_and_what_to_do(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("archive", "destinations.broken", "-c", str(config))
    assert run(monkeypatch, "connections", "test", *arguments) == 1
    printed = capsys.readouterr()
    assert "destinations.archive\n  ok      Folder: " in printed.out
    assert "FAILED  Folder: the folder /proc cannot be written" in printed.out
    assert "To do: let the user who runs the node write there" in printed.out
    assert "1 of 2 do not work: destinations.broken" in printed.err


def test_a_test_prints_json(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "connections", "test", "archive", "--json", "-c", str(config)) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["connection"] == {"table": "destinations", "name": "archive"}
    assert report["steps"][0]["fault"] is None


def test_an_unknown_connection_is_a_usage_error(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "connections", "test", "pacs", "-c", str(config)) == 2
    assert "destinations.archive" in capsys.readouterr().err.replace("\n", "")


def test_rejected_connections_are_listed_with_their_remedy(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "connections", "rejected", "-c", str(config)) == 0
    assert "Nothing has been rejected" in capsys.readouterr().out
    store = Store.open(f"sqlite:///{config.parent}/data/segnode.db", config.parent / "data")
    now = datetime.now(UTC)
    key = RejectionKey("CT2", "SEGNODE", "192.0.2.22", ListenerRejection.CALLING_AE_TITLE)
    store.record_rejections({key: RejectionTally(1, now, now)}, now)
    store.close()
    assert run(monkeypatch, "connections", "rejected", "-c", str(config)) == 0
    assert "CT2 at 192.0.2.22\n  No peer had this AE title" in capsys.readouterr().out
