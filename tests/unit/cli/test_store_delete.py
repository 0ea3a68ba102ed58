"""`segnode store delete`: only what a person confirms, and only finished series."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.cli.options import operating_system_user
from node.domain.identifiers import Uid
from node.domain.series import SeriesState
from node.settings import load_settings
from node.store import Store
from tests.support.factories import NOON, encoded, received
from tests.support.whole_command_line import app

FINISHED, OPEN = Uid("1.2.3"), Uid("1.2.4")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text('data_dir = "data"\nweb.search_patients = true\n', encoding="utf-8")
    return file


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    """A store with a finished series and one that is not decided yet."""
    settings = load_settings(config)
    opened = Store.open(settings.database_url, settings.data_dir)
    for uid in (FINISHED, OPEN):
        image = opened.data_dir / "instances" / uid / "1.dcm"
        opened.files.put(image, [encoded(series_instance_uid=uid, sop_instance_uid=f"{uid}.1")])
        instance = received(series_instance_uid=uid, sop_instance_uid=f"{uid}.1")
        assert opened.add_instance(instance, image, 1, NOON)
    assert opened.record_decision(FINISHED, "{}", SeriesState.IGNORED, NOON, seen_count=1)
    yield opened
    opened.close()


def delete(config: Path, *words: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["store", "delete", *words, "-c", str(config)], input=answer)


def images(store: Store, uid: Uid) -> int:
    return sum(store.files.exists(each.path) for each in store.instances_of(uid))


def test_nothing_is_deleted_without_confirmation(config: Path, store: Store) -> None:
    refused = delete(config, FINISHED, "--reason", "request", answer="n\n")
    assert refused.exit_code == 1
    assert "Delete the images and results of 1 series?" in refused.output
    assert images(store, FINISHED) == 1


def test_a_confirmed_series_is_deleted_and_its_history_says_why(config: Path, store: Store) -> None:
    (path,) = (each.path for each in store.instances_of(FINISHED))
    done = delete(config, FINISHED, "--reason", "request", answer="y\n")
    assert done.exit_code == 0, done.output
    assert not store.files.exists(path)
    assert (
        store.history_of(FINISHED)[-1].detail
        == f"1 instance, by {operating_system_user()}: request"
    )
    assert images(store, OPEN) == 1


def test_a_series_with_open_work_is_named_and_kept(config: Path, store: Store) -> None:
    result = delete(config, OPEN, FINISHED, "--reason", "request", "--yes")
    assert f"{OPEN}: not deleted, because it is not finished" in result.output
    assert "1 of 2 series are kept" in str(result.exception)
    assert (images(store, OPEN), images(store, FINISHED)) == (1, 0)


def test_an_unknown_series_keeps_the_others(config: Path, store: Store) -> None:
    result = delete(config, FINISHED, "1.9", "--reason", "request", "--yes")
    assert "nothing is deleted: no series 1.9 has been received" in str(result.exception)
    assert images(store, FINISHED) == 1


def test_a_reason_has_words(config: Path, store: Store) -> None:
    assert delete(config, FINISHED, "--reason", " ", "--yes").exit_code == 2
    assert images(store, FINISHED) == 1
