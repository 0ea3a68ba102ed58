"""A dry run of changed rules on the stored series."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from node.domain.series import SeriesState
from node.evaluation.dry_run import describe, dry_run, summary
from node.intake.inbox import Inbox
from node.routing.conditions import All, AtLeastSlices, Equals
from node.routing.rules import Rule
from node.store import Store
from tests.support.factories import NOON, encoded, received, sqlite_url

CT = Equals("Modality", "CT")
ABDOMEN = Rule("abdomen", "liver-ct", ("pacs",), CT, 10.0)
ABDOMEN_ONLY = Rule(
    "abdomen", "liver-ct", ("pacs",), All((CT, Equals("BodyPartExamined", "ABDOMEN"))), 10.0
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a series of the abdomen and, an hour later, one of the chest."""
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    inbox = Inbox(opened, 0)
    for i, part in enumerate(("ABDOMEN", "CHEST"), start=1):
        series, instance = f"1.2.{i}", f"1.2.{i}.1"
        attributes = {"BodyPartExamined": part, "PatientID": "SECRET"}
        dataset = encoded(
            sop_instance_uid=instance, series_instance_uid=series, attributes=attributes
        )
        one = received(sop_instance_uid=instance, series_instance_uid=series, dataset=dataset)
        inbox.accept(one, NOON + timedelta(hours=i))
    yield opened
    opened.close()


def test_only_the_series_that_change_are_listed_with_the_reason(store: Store) -> None:
    result = dry_run(store, [ABDOMEN], [ABDOMEN_ONLY], NOON + timedelta(days=1), days=7)
    assert describe(result).splitlines() == [
        "Series 1.2.2, 1 image from c-store MODALITY1:",
        "  Rule 'abdomen' no longer matches, because of: "
        "BodyPartExamined equals ABDOMEN (is CHEST).",
        "  No rule matches it then, so it would be ignored.",
        "1 of 2 series of the last 7 days would be decided differently.",
    ]


def test_series_received_before_the_period_are_not_compared(store: Store) -> None:
    result = dry_run(store, [ABDOMEN], [], NOON + timedelta(days=1, hours=1.5), days=1)
    assert [change.series.series_instance_uid for change in result.changed] == ["1.2.2"]
    assert result.examined == 1


def test_series_beyond_the_limit_are_counted(store: Store) -> None:
    result = dry_run(store, [ABDOMEN], [], NOON + timedelta(days=1), days=7, max_series=1)
    assert (result.examined, result.left_out) == (1, 1)
    assert summary(result).endswith("Older ones that were left out: 1.")


def test_a_series_whose_images_are_deleted_is_counted_and_not_guessed(store: Store) -> None:
    decided = store.record_decision(
        "1.2.2", "{}", SeriesState.IGNORED, NOON + timedelta(hours=3), seen_count=1, jobs=[]
    )
    assert decided is not None
    assert store.clear_series("1.2.2", NOON + timedelta(hours=4))
    result = dry_run(store, [ABDOMEN], [], NOON + timedelta(days=1), days=7)
    assert (result.examined, result.without_images) == (1, 1)
    assert "Not compared, because their images are deleted: 1." in summary(result)


def test_a_dry_run_changes_nothing(store: Store) -> None:
    before = [store.get_series("1.2.1"), store.history_of("1.2.1")]
    dry_run(store, [], [Rule("all", "liver-ct", ("pacs",), AtLeastSlices(1), 10.0)], NOON, days=7)
    assert [store.get_series("1.2.1"), store.history_of("1.2.1")] == before


def test_the_text_names_no_patient(store: Store) -> None:
    by_patient = Rule("one", "liver-ct", ("pacs",), Equals("PatientID", "SECRET"), 10.0)
    result = dry_run(store, [by_patient], [], NOON + timedelta(days=1), days=7)
    assert len(result.changed) == 2
    assert "SECRET" not in describe(result)
