"""`segnode users`: what it changes and prints."""

import json
import sys
from pathlib import Path

import pytest

from node.access.login_records import own_account_record
from node.cli.main import main
from node.domain.access.permissions import Role
from tests.support.audit_records import audit_records
from tests.support.factories import NOON
from tests.support.servers.sessions import FACTS
from tests.support.site_store import site_store


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text('data_dir = "data"\n', encoding="utf-8")
    return file


def run(config: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["segnode", "users", *arguments, "-c", str(config)])
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


def test_users_are_added_changed_and_listed(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, monkeypatch, "list") == 0
    assert "There are no users" in capsys.readouterr().out
    assert run(config, monkeypatch, "add", "Admin", "--role", "administrator") == 0
    assert run(config, monkeypatch, "add", "jdoe") == 0
    code = capsys.readouterr().out.splitlines()[0].removeprefix("One-time code: ")
    assert len(code.replace("-", "")) == 20
    assert run(config, monkeypatch, "role", "jdoe", "operator") == 0
    assert run(config, monkeypatch, "disable", "JDOE") == 0
    capsys.readouterr()
    assert run(config, monkeypatch, "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["role"], one["is_disabled"]) for one in listed] == [
        ("admin", "administrator", False),
        ("jdoe", "operator", True),
    ]
    assert run(config, monkeypatch, "enable", "jdoe") == 0
    assert run(config, monkeypatch, "reset", "jdoe") == 0
    assert run(config, monkeypatch, "list") == 0
    assert "operator, no password yet, never logged in" in capsys.readouterr().out


def test_impossible_changes_say_why_and_leave_a_trail_of_the_others(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, monkeypatch, "add", "admin", "--role", "administrator")
    for arguments, reason in (
        (("disable", "admin"), "the user admin is the only administrator"),
        (("add", "admin"), "there is a user admin already"),
        (("reset", "nobody"), "there is no user nobody"),
        (("add", "a b"), "a user name has"),
        (("reset", "admin", "--second-factor"), "the user admin has no second factor"),
    ):
        capsys.readouterr()
        assert run(config, monkeypatch, *arguments) == 1
        assert reason in capsys.readouterr().err
    with site_store(config) as store:
        details = [record.detail for record in audit_records(store)]
    assert details == ["added as administrator"]


def test_the_second_factor_is_removed_without_the_password(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with site_store(config) as store:
        store.add_user("jdoe", Role.VIEWER, NOON, "a hash")
        store.set_totp_secret("jdoe", "SECRET")
        record = own_account_record("jdoe", FACTS, "sets up")
        assert store.confirm_second_factor("jdoe", "SECRET", 0, ["digest"], record)
    assert run(config, monkeypatch, "reset", "JDOE", "--second-factor") == 0
    assert "the same password as before" in capsys.readouterr().out
    with site_store(config) as store:
        user = store.get_user("jdoe")
        assert (user.has_second_factor, user.has_password) == (False, True)
        assert store.count_recovery_codes("jdoe") == 0
        latest = audit_records(store)[0]
    assert (latest.detail, latest.objects) == ("second factor removed", (("user", "jdoe"),))
