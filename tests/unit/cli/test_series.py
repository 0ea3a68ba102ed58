"""`segnode series list`: what it finds and prints."""

import json
import sys
from pathlib import Path

import pytest

from node.cli.main import main
from node.domain.identifiers import Uid
from node.domain.incomplete_series import RefusedImage
from node.settings import load_settings
from node.store import Store
from tests.support.factories import NOON
from tests.support.many_series import insert_series


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a site that searches patients, with nine series."""
    file = tmp_path / "site.toml"
    file.write_text('data_dir = "data"\n[web]\nsearch_patients = true\n', encoding="utf-8")
    settings = load_settings(file)
    store = Store.open(settings.database_url, settings.data_dir)
    insert_series(store, range(9))
    store.close()
    return file


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs `segnode series list ARGUMENTS`; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["segnode", "series", "list", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


def test_series_are_listed_by_patient_and_state_page_by_page(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = ("-c", str(config))
    assert run(monkeypatch, "--patient", "müller1", *site) == 0
    text = capsys.readouterr().out
    assert "Müller1^Hans, P0000001, A0000001" in text
    assert text.count("  series 1.2.840.1.") == 3
    assert "job job5 delivered: Liver 1417 mL" in text
    assert run(monkeypatch, "--state", "ignored", "--limit", "2", "--json", *site) == 0
    page = json.loads(capsys.readouterr().out)
    assert [s["series_instance_uid"] for s in page["series"]] == ["1.2.840.1.8", "1.2.840.1.4"]
    assert run(monkeypatch, "--state", "ignored", "--older", page["older"], *site) == 0
    assert capsys.readouterr().out.count("  series ") == 1
    assert run(monkeypatch, "--since", "2026-01-01T00:07:00", *site) == 0
    assert capsys.readouterr().out.count("  series ") == 2
    assert run(monkeypatch, "--since", "2026-01-01T01:07+01:00", *site) == 0
    assert capsys.readouterr().out.count("  series ") == 2
    assert run(monkeypatch, "--from", "1.2.2026", *site) == 2
    assert "is no date" in capsys.readouterr().err
    assert run(monkeypatch, "nothing like this", *site) == 0
    assert capsys.readouterr().out == "No series found.\n"


def test_a_series_that_waits_for_images_says_so(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(config)
    store = Store.open(settings.database_url, settings.data_dir)
    store.record_refused_images(
        [RefusedImage(Uid("1.2.840.1.1"), Uid("1.9"), "the disk is full", NOON)]
    )
    store.close()
    text = (
        "One image of this series was refused and is missing (the disk is full). Send the series "
        "again, or start it by hand to process what is here."
    )
    site = ("--uid", "1.2.840.1.1", "--state", "attention", "-c", str(config))
    assert run(monkeypatch, *site) == 0
    assert f"  {text}\n" in capsys.readouterr().out
    assert run(monkeypatch, "--json", *site) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert "attention" in series["states"]
    assert series["reason"].endswith(text)


def test_a_site_that_searches_no_patients_names_the_setting(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('data_dir = "data"\n', encoding="utf-8")
    assert run(monkeypatch, "--patient", "müller", "-c", str(config)) == 1
    assert "search_patients = true" in capsys.readouterr().err
