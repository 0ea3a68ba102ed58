"""`segnode audit`: lists records and finds what somebody changed in the database."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from node.cli.main import main
from node.settings import load_settings
from node.store.database import parse_url


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
    assert run(config, monkeypatch, "audit", "list") == 0
    assert "has no records" in capsys.readouterr().out
    assert run(config, monkeypatch, "tokens", "create", "orthanc", "--may", "operate") == 0
    assert run(config, monkeypatch, "tokens", "revoke", "orthanc") == 0
    capsys.readouterr()
    assert run(config, monkeypatch, "audit", "list") == 0
    revoked, created = capsys.readouterr().out.splitlines()
    assert "token changed (success), " in revoked
    assert revoked.endswith("(command line) by cli: token orthanc revoked")
    assert "token orthanc created with operate, until" in created
    assert run(config, monkeypatch, "audit", "list", "--limit", "1", "--json") == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["sequence"], record["objects"]) == (2, [["token", "orthanc"]])
    assert run(config, monkeypatch, "audit", "verify") == 0
    output = capsys.readouterr().out
    assert f"2 records, head {record['hash']}" in output
    assert "No record was changed or is missing." in output


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
