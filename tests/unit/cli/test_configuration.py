"""`segnode config` and `segnode reload`."""

import io
import json
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from node.cli.options import operating_system_user
from node.configuration.site_configuration import import_file
from node.runtime.supervisor_file import hold_supervisor_file
from node.settings import load_location
from node.store import Store
from node.store.configuration.revisions import RevisionDraft
from tests.support.audit_records import audit_records
from tests.support.factories import NOON
from tests.support.peers.secure_port import TlsSite
from tests.support.site_store import site_store
from tests.unit.cli.test_cli import run

Run = Callable[..., str]
FILE = 'config = "database"\ndata_dir = "data"\nquiet_seconds = 1\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The file of a host whose configuration is in the database."""
    file = tmp_path / "site.toml"
    file.write_text(FILE, encoding="utf-8")
    location = load_location(file)
    store = Store.open(location.database_url, location.data_dir)
    import_file(store, file, NOON)
    store.close()
    return file


@pytest.fixture
def segnode(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command on that site; returns its output."""

    def call(*arguments: str, status: int = 0) -> str:
        assert run(monkeypatch, *arguments, "-c", str(config)) == status
        return "".join(capsys.readouterr())

    return call


def test_a_text_is_set_compared_exported_and_rolled_back(segnode: Run, tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text("quiet_seconds = 2\n", encoding="utf-8")
    signed = ("--author", "Ada")
    assert "Revision 2 is active" in segnode("config", "set", str(file), "-r", "slow", *signed)
    assert "+quiet_seconds = 2" in segnode("config", "diff")
    assert "-quiet_seconds = 2" in segnode("config", "diff", "2", "1")
    assert segnode("config", "export") == "# segnode, revision 2\nquiet_seconds = 2\n"
    segnode("config", "export", "1", "-o", str(tmp_path / "old.toml"))
    old = (tmp_path / "old.toml").read_text(encoding="utf-8")
    assert old == "# segnode, revision 1\nquiet_seconds = 1\n"
    assert "Revision 3 is active" in segnode("config", "rollback", "1", "-r", "fast", *signed)
    assert segnode("config", "show").startswith("# 3  ")
    listed = json.loads(segnode("config", "list", "--json"))
    assert [(each["number"], each["is_active"], each["author"]) for each in listed] == [
        (3, True, "Ada"),
        (2, False, "Ada"),
        (1, False, "segnode"),
    ]
    assert "* 3  " in segnode("config", "list")
    assert "revision 3: no mistakes." in segnode("check")


def test_a_whole_file_is_imported_without_what_belongs_to_the_host(
    segnode: Run, tmp_path: Path
) -> None:
    file = tmp_path / "new.toml"
    file.write_text(FILE.replace("= 1", "= 4"), encoding="utf-8")
    message = segnode("config", "set", str(file), "-r", "x", status=1)
    assert f"{file}:1: config: belongs to each host" in message
    output = segnode("config", "import", str(file), "-r", "x")
    assert output.startswith("Left out, because each host has its own: config, data_dir.\n")
    assert segnode("config", "export") == "# segnode, revision 2\nquiet_seconds = 4\n"


def test_an_import_with_another_ae_title_or_port_asks_first(
    segnode: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new.toml"
    text = 'quiet_seconds = 1\n[listener]\nae_title = "OTHER"\nport = 4242\n'
    file.write_text(text, encoding="utf-8")
    importing = ("config", "import", str(file), "-r", "x")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    output = segnode(*importing, status=1)
    assert "  listener.ae_title: SEGNODE becomes OTHER\n" in output
    assert "  listener.port: 11112 becomes 4242\n" in output
    monkeypatch.setattr("sys.stdin", io.StringIO(""))  # a script
    segnode(*importing, status=1)
    assert segnode("config", "export") == "# segnode, revision 1\nquiet_seconds = 1\n"
    assert "Revision 2 is active" in segnode(*importing, "--yes")
    assert segnode("config", "export") == f"# segnode, revision 2\n{text}"


def test_an_unchanged_text_makes_no_revision(segnode: Run, tmp_path: Path) -> None:
    file = tmp_path / "same.toml"
    file.write_text("quiet_seconds = 1\n", encoding="utf-8")
    message = "Nothing changed: revision 1 has this text already.\n"
    assert segnode("config", "set", str(file), "-r", "x") == message
    assert segnode("config", "import", str(file), "-r", "x") == message
    assert segnode("config", "rollback", "1", "-r", "x") == message
    assert len(json.loads(segnode("config", "list", "--json"))) == 1


def test_mistakes_and_conflicts_end_with_their_message(segnode: Run, tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text("\nquiet_minutes = 2\n", encoding="utf-8")
    message = segnode("config", "set", str(file), "-r", "x", status=1)
    assert f"{file}:2: quiet_minutes: unknown setting" in message
    file.write_text("quiet_seconds = 2\n", encoding="utf-8")
    segnode("config", "set", str(file), "-r", "slow", "--author", "Ada")
    file.write_text("quiet_seconds = 3\n", encoding="utf-8")
    message = segnode("config", "set", str(file), "-r", "x", "--base", "1", status=1)
    assert "revision 2 has become active in between: Ada saved it" in message
    assert "--base 2 replaces it" in message
    assert "there is no revision 9" in segnode("config", "show", "9", status=1)


def test_secrets_of_earlier_versions_are_removed(segnode: Run, config: Path) -> None:
    assert "No revision holds a secret." in segnode("config", "redact")
    location = load_location(config)
    store = Store.open(location.database_url, location.data_dir)
    url = '[alerts.webhook]\nurl = "https://chat/hooks/geheim"\n'
    store.activate_revision(RevisionDraft(url, "Ada", "an earlier version"), 1, NOON)
    assert "revision 2:2: alerts.webhook.url" in segnode("config", "redact", status=1)
    assert "Revision 3 is active" in segnode("config", "rollback", "1", "-r", "without webhook")
    assert "Removed from revisions 2." in segnode("config", "redact")
    assert 'url = "***"' in segnode("config", "show", "2")
    store.close()


def test_an_exported_file_does_not_undo_what_others_changed_since(
    segnode: Run, tmp_path: Path
) -> None:
    file, other = tmp_path / "exported.toml", tmp_path / "other.toml"
    segnode("config", "export", "-o", str(file))
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# segnode, revision 1\n")
    other.write_text("quiet_seconds = 2\n", encoding="utf-8")
    segnode("config", "set", str(other), "-r", "slow", "--author", "Ada")
    file.write_text(f"{text}\n[listener]\nport = 11113\n", encoding="utf-8")
    message = segnode("config", "set", str(file), "-r", "x", status=1)
    assert "revision 2 has become active in between: Ada saved it" in message
    segnode("config", "set", str(file), "-r", "x", "--base", "2")
    assert "# segnode, revision" not in segnode("config", "show", "3")


def test_a_configuration_in_a_file_has_no_revisions(segnode: Run, config: Path) -> None:
    config.write_text('data_dir = "data"\n', encoding="utf-8")
    assert "segnode reload" in segnode("config", "list", status=1)


def test_a_reload_needs_a_node_and_a_file_without_mistakes(segnode: Run, config: Path) -> None:
    assert "no node runs on this host" in segnode("reload", status=1)
    config.write_text("quiet_minutes = 1\n", encoding="utf-8")
    assert "quiet_minutes: unknown setting" in segnode("reload", status=1)


@pytest.fixture
def tls_text(config: Path) -> str:
    """Settings with a certificate that has expired."""
    site = TlsSite.create(config.parent / "tls")
    site.authority.issue("node", valid_from=-timedelta(days=9), valid_for=timedelta(days=1))
    return f"quiet_seconds = 1\n{site.settings}[listener]\ntls_port = 2762\n"


def test_a_certificate_that_check_refuses_is_not_activated(
    segnode: Run, config: Path, tls_text: str
) -> None:
    file = config.parent / "new.toml"
    file.write_text(tls_text, encoding="utf-8")
    message = segnode("config", "set", str(file), "-r", "x", status=1)
    assert "new.toml: dicom_tls.certificate_file: the certificate in" in message
    assert "--files-elsewhere" in message
    assert "expired on" in segnode("config", "import", str(file), "-r", "x", "--yes", status=1)
    assert "Revision 2" in segnode("config", "set", str(file), "-r", "x", "--files-elsewhere")
    other = "segments other series"
    file.write_text(tls_text.replace("quiet_seconds = 1", "quiet_seconds = 2"), encoding="utf-8")
    assert "Revision 3" in segnode("config", "set", str(file), "-r", other), "not a new mistake"
    assert "Revision 4" in segnode("config", "rollback", "1", "-r", "x")
    assert "expired on" in segnode("config", "rollback", "3", "-r", "x", status=1)


@pytest.mark.parametrize(
    "command",
    [
        ("config", "rollback", "1"),
        ("store", "delete", "1.2.3", "--yes"),
        ("jobs", "discard", "abc", "--destination", "pacs"),
    ],
)
def test_an_empty_reason_is_none(segnode: Run, command: tuple[str, ...]) -> None:
    assert "say why: it is empty" in segnode(*command, "--reason", "  ", status=2)


def test_the_audit_trail_names_who_reloads_and_what_was_refused(
    segnode: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda *arguments: sent.append(arguments))
    config.write_text('data_dir = "data"\n', encoding="utf-8")
    with site_store(config) as store, hold_supervisor_file(store.data_dir):
        segnode("reload")
        assert sent == [(os.getpid(), signal.SIGHUP)]
        text = config.read_text(encoding="utf-8")
        config.write_text(f"{text}quiet_minutes = 1\n", encoding="utf-8")
        segnode("reload", status=1)
        assert len(sent) == 1
        config.write_text(text, encoding="utf-8")
        monkeypatch.setattr("os.kill", _not_permitted)
        assert "may not signal the node" in segnode("reload", status=1)
        denied, refused, done = audit_records(store)[:3]
    for record in (denied, refused, done):
        assert (record.action, record.actor) == (
            "configuration changed",
            f"{operating_system_user()} (command line)",
        )
        assert record.objects == (("configuration", str(config)),)
    assert (done.outcome, done.detail) == ("success", "segnode reload")
    assert refused.outcome == "minor failure"
    assert "quiet_minutes: unknown setting" in refused.detail
    assert (denied.outcome, "may not signal" in denied.detail) == ("minor failure", True)


def _not_permitted(_process: int, _signal: int) -> None:
    raise PermissionError
