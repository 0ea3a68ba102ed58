"""`segnode worklist` and what `segnode check` says about worklists."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.identifiers import Uid
from node.domain.worklists.codes import Code
from node.domain.worklists.work_item import WorkItemInput, WorkItemState
from node.settings import load_settings
from node.store import Store
from tests.support.factories import LATER, NOON, SERIES
from tests.unit.cli.test_cli import run

CONFIGURATION = """\
data_dir = "data"

[destinations.web]
kind = "dicomweb"
url = "http://pacs/dicom-web"

[worklists.hospital]
url = "http://workflow/dicom-web"
station = "AI-1"
tasks = [{ code = "LIVER", scheme = "99HOSP", rule = "liver" }]

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["web"]
only_for_work_items = true
when = { attribute = "Modality", equals = "CT" }
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    """The store with one work item in progress."""
    settings = load_settings(config)
    opened = Store.open(settings.database_url, settings.data_dir)
    code = Code("LIVER", "99HOSP", "Liver")
    opened.add_work_item(
        "hospital", Uid("1.9"), NOON, transaction_uid=Uid("2.25.4"), rule="liver", code=code
    )
    (item,) = opened.open_work_items("hospital")
    opened.change_work_item(item, WorkItemState.CLAIMED, LATER, reason="")
    (item,) = opened.open_work_items("hospital")
    opened.start_performing(item, [WorkItemInput(Uid("1.2"), SERIES, (), "archive")], LATER)
    (item,) = opened.open_work_items("hospital")
    opened.record_progress(item, 30, "waiting for the model", LATER)
    yield opened
    opened.close()


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """The output of a command that succeeds."""
    assert run(monkeypatch, *arguments) == 0
    return capsys.readouterr().out


def test_check_names_the_worklists_and_their_rules(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(monkeypatch, capsys, "check", "-c", str(config))
    assert (
        "Worklist 'hospital': LIVER -> rule 'liver', station AI-1, from "
        "http://workflow/dicom-web every 30 s." in text
    )
    assert "Rule 'liver': liver-ct -> web, only for work items" in text


def test_without_a_worklist_the_list_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "site.toml"
    file.write_text('data_dir = "data"\n')
    text = printed(monkeypatch, capsys, "worklist", "list", "-c", str(file))
    assert text.splitlines() == [
        "The configuration has no worklist ([worklists.NAME]).",
        "No work item has been found.",
    ]


def test_the_list_shows_each_work_item_with_its_state_and_reason(
    config: Path, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.record_worklist_failure("hospital", "it does not answer", NOON)
    text = printed(monkeypatch, capsys, "worklist", "list", "-c", str(config))
    assert text.splitlines() == [
        "Worklist hospital fails since 2026-01-02 12:00:00 UTC: it does not answer",
        "2026-01-02 12:00:00 UTC  hospital, LIVER (99HOSP), rule liver",
        "  work item 1.9: in progress (30 %): waiting for the model",
        f"  series {SERIES} from archive",
    ]


def test_json_for_programs_has_no_key(
    config: Path, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(monkeypatch, capsys, "worklist", "list", "--json", "-c", str(config))
    assert json.loads(text)["work_items"][0]["work_item_uid"] == "1.9"
    shown = printed(monkeypatch, capsys, "worklist", "show", "1.9", "-c", str(config))
    assert [event["event"] for event in json.loads(shown)["events"]] == [
        "work_item.claiming",
        "work_item.claimed",
        "work_item.performing",
    ]
    assert "2.25.4" not in text + shown


def test_an_open_work_item_is_canceled_and_an_unknown_one_is_not(
    config: Path, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(monkeypatch, capsys, "worklist", "cancel", "1.9", "-c", str(config))
    assert "The cancellation of 1.9 is requested" in text
    listed = printed(monkeypatch, capsys, "worklist", "list", "-c", str(config))
    assert "its cancellation is requested" in listed
    assert run(monkeypatch, "worklist", "cancel", "1.8", "-c", str(config)) == 1
    assert "there is no work item 1.8" in capsys.readouterr().err
    (item,) = store.open_work_items("hospital")
    store.change_work_item(item, WorkItemState.CANCELED, LATER, reason="on request")
    assert run(monkeypatch, "worklist", "cancel", "1.9", "-c", str(config)) == 1
    assert "work item 1.9 has ended: canceled: on request" in capsys.readouterr().err
