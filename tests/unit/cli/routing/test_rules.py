"""`segnode rules compare`."""

import sys
from pathlib import Path

import pytest

from node.cli.main import main
from node.intake.inbox import Inbox
from node.settings import load_settings
from node.store import Store
from tests.support.factories import NOON, encoded, received

_RULE = """
[[rules]]
name = "all"
model = "liver-ct"
destinations = ["archive"]
when = {{ attribute = "Modality", equals = "{modality}" }}
[destinations.archive]
kind = "folder"
path = "archive"
"""


def test_compare_shows_what_the_changed_rules_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    current, changed = tmp_path / "site.toml", tmp_path / "changed.toml"
    for file, modality in ((current, "CT"), (changed, "MR")):
        file.write_text('data_dir = "data"\n' + _RULE.format(modality=modality), encoding="utf-8")
    settings = load_settings(current)
    store = Store.open(settings.database_url, settings.data_dir)
    Inbox(store, 0).accept(received(dataset=encoded()), NOON)
    store.close()

    arguments = ["rules", "compare", str(changed), "-c", str(current), "--days", "100000"]
    monkeypatch.setattr(sys, "argv", ["segnode", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    assert not exited.value.code
    assert "Rule 'all' no longer matches, because of: Modality equals MR (is CT)." in (
        capsys.readouterr().out
    )
