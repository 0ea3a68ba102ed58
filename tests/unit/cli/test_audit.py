"""`segnode audit`: lists records and finds what somebody changed in the database."""

import json
import re
import sqlite3
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy.exc import IntegrityError

from node.audit.dicom_message import audit_message
from node.cli.main import main
from node.settings import load_settings
from node.store.audit_trail.chain import ChainedRecord
from node.store.database import parse_url
from node.store.opening import opened_store


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text('data_dir = "data"\n', encoding="utf-8")
    return file


def database_file(config: Path) -> Path:
    file = parse_url(load_settings(config).database_url).database
    assert file is not None
    return Path(file)


def run(config: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["segnode", *arguments, "-c", str(config)])
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


def test_changes_of_tokens_are_listed_and_verified(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, monkeypatch, "audit", "list", "--action", "token changed") == 0
    assert "No record of the audit trail fits." in capsys.readouterr().out
    assert run(config, monkeypatch, "tokens", "create", "orthanc", "--may", "operate") == 0
    assert run(config, monkeypatch, "tokens", "revoke", "orthanc") == 0
    capsys.readouterr()
    assert run(config, monkeypatch, "audit", "list") == 0
    listed, revoked, created, listed_first = capsys.readouterr().out.splitlines()
    assert "audit trail read (success), " in listed
    assert "audit trail read (success), " in listed_first
    assert "token changed (success), " in revoked
    assert revoked.endswith("(command line) by cli: token orthanc: revoked")
    assert "token orthanc: created with operate, until" in created
    assert listed.endswith("by cli: audit trail: listed")
    assert run(config, monkeypatch, "audit", "list", "--limit", "1", "--json") == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["sequence"], record["objects"]) == (5, [["audit trail", "audit trail"]])
    assert run(config, monkeypatch, "audit", "verify") == 0
    output = capsys.readouterr().out
    assert f"5 records, head {record['hash']}" in output
    assert "No record was changed or is missing." in output


def test_the_list_shows_what_the_options_ask_for(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("orthanc", "viewer"):
        run(config, monkeypatch, "tokens", "create", name, "--may", "view")
    capsys.readouterr()
    for options in (
        ["--object", "viewer"],
        ["--action", "token changed", "--limit", "1"],
        ["--user", "COMMAND line", "--object", "viewer", "--outcome", "success"],
        ["--since", "2020-01-01", "--until", "2999-01-01T10:00:00", "--object", "viewer"],
    ):
        assert run(config, monkeypatch, "audit", "list", *options) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert "token viewer: created" in line
    for options in (["--until", "2020-01-01"], ["--address", "192.0.2.7"], ["--user", "nobody"]):
        assert run(config, monkeypatch, "audit", "list", *options) == 0
        assert capsys.readouterr().out == "No record of the audit trail fits.\n"


def test_an_export_holds_each_record_with_its_hash_and_is_private(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, monkeypatch, "tokens", "create", "orthanc", "--may", "view")
    file = config.parent / "audit.jsonl"
    assert run(config, monkeypatch, "audit", "export", str(file)) == 0
    assert f"{file} holds 2 records." in capsys.readouterr().out
    assert file.stat().st_mode & 0o777 == 0o600
    created, exported = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert (created["action"], exported["action"]) == ("token changed", "audit trail read")
    assert exported["detail"] == "exported as json"
    for fields in (created, exported):
        record = ChainedRecord(
            **fields
            | {
                "happened_at": datetime.fromisoformat(fields["happened_at"]),
                "objects": tuple(map(tuple, fields["objects"])),
            }
        )
        assert record.computed_hash() == record.hash
    assert exported["previous_hash"] == created["hash"]


def test_an_export_replaces_no_file(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config.parent / "audit.jsonl"
    file.write_text("kept", encoding="utf-8")
    assert run(config, monkeypatch, "audit", "export", str(file)) == 2
    assert "File exists" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "kept"


def test_an_export_in_the_format_of_dicom_has_a_message_on_each_line(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, monkeypatch, "tokens", "create", "orthanc", "--may", "view")
    file = config.parent / "audit.xml"
    arguments = ["--format", "dicom", "--object", "orthanc"]
    assert run(config, monkeypatch, "audit", "export", str(file), *arguments) == 0
    (line,) = file.read_bytes().splitlines()
    message = ElementTree.fromstring(line)  # noqa: S314 the node wrote it
    object_ = message.find("ParticipantObjectIdentification")
    assert object_ is not None
    assert object_.get("ParticipantObjectID") == "orthanc"


def test_nothing_is_shown_or_exported_if_that_cannot_be_recorded(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, monkeypatch, "tokens", "create", "orthanc", "--may", "view")
    with closing(sqlite3.connect(database_file(config))) as database, database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON audit_records "
            "BEGIN SELECT RAISE(ABORT, 'no more records'); END"
        )
    capsys.readouterr()
    file = config.parent / "audit.jsonl"
    for arguments in (["list"], ["export", str(file)]):
        with pytest.raises(IntegrityError, match="no more records"):
            run(config, monkeypatch, "audit", *arguments)
        assert capsys.readouterr().out == ""
    assert not file.exists()


def test_a_noted_head_shows_that_the_newest_records_were_removed(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, monkeypatch, "tokens", "create", "orthanc", "--may", "view")
    with closing(opened_store(load_settings(config))) as store:
        (first,) = store.audit_chain_heads()
    run(config, monkeypatch, "tokens", "revoke", "orthanc")
    with closing(opened_store(load_settings(config))) as store:
        (second,) = store.audit_chain_heads()
    noted = ["--expect", first.last.hash, "--expect", second.last.hash]
    assert run(config, monkeypatch, "audit", "verify", *noted) == 0
    with closing(sqlite3.connect(database_file(config))) as database, database:
        database.execute("DELETE FROM audit_records WHERE sequence = 2")
        database.execute("UPDATE audit_chains SET sequence = 1, hash = ?", [first.last.hash])
    assert run(config, monkeypatch, "audit", "verify", "--expect", first.last.hash) == 0
    capsys.readouterr()
    assert run(config, monkeypatch, "audit", "verify", *noted) == 1
    error = capsys.readouterr().err
    assert error == f"The record with the noted head {second.last.hash} was changed or removed.\n"


@pytest.mark.parametrize(
    "change",
    [
        "objects = 'garbage'",
        "objects = '{\"a\": 1}'",
        "objects = '[1]'",
        "happened_at = 'yesterday'",
        "detail = x'ff00'",
    ],
)
def test_a_record_that_somebody_has_made_unreadable_is_named_and_listed(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    for name in ("orthanc", "viewer", "dashboard"):
        run(config, monkeypatch, "tokens", "create", name, "--may", "view")
    with closing(sqlite3.connect(database_file(config))) as database, database:
        database.execute(f"UPDATE audit_records SET {change} WHERE sequence = 2")  # noqa: S608
    capsys.readouterr()
    assert run(config, monkeypatch, "audit", "verify") == 1
    assert "record 2 was changed" in capsys.readouterr().err
    assert run(config, monkeypatch, "audit", "list") == 0
    assert "token dashboard" in capsys.readouterr().out
    with closing(opened_store(load_settings(config))) as store:
        (chain,) = store.audit_chains()
        sent = [audit_message(each) for each in store.unsent_audit_records(chain, 9)]
    assert len(sent) >= 3


def test_an_empty_trail_is_called_empty_and_a_head_has_its_form(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, monkeypatch, "audit", "verify") == 0
    assert capsys.readouterr().out == "The audit trail is empty: there is no record of any host.\n"
    assert run(config, monkeypatch, "audit", "verify", "--expect", "abc") == 2
    assert "one has 64 hexadecimal digits" in re.sub(r"\W+", " ", capsys.readouterr().err)


def test_a_changed_record_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, monkeypatch, "tokens", "create", "orthanc", "--may", "administer")
    with closing(sqlite3.connect(database_file(config))) as database, database:
        database.execute("UPDATE audit_records SET detail = 'created with view'")
    capsys.readouterr()
    assert run(config, monkeypatch, "audit", "verify") == 1
    output = capsys.readouterr()
    assert "record 1 was changed" in output.err
    assert "No record was changed" not in output.out
