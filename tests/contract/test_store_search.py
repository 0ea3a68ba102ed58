"""The search index on SQLite and PostgreSQL: what is found, in which order, and in which state."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from node.domain.delivery import Receipt
from node.domain.errors import Rejected
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.listing.listed_states import ListedState
from node.domain.result_objects import SEG, ObjectUids
from node.domain.series import SeriesState
from node.maintenance.search_index import SearchIndex
from node.store import Store
from node.store.schema import JOBS, SERIES_INDEX
from node.store.search.archive_search import Narrowing
from node.store.search.query import Cursor, SeriesQuery
from node.store.search.upkeep import SeriesAttributes
from tests.support.factories import LATER, NOON, SERIES, job_of, received

HANS = SeriesAttributes(
    modality="CT",
    series_description="Abdomen venös 100%",
    body_part_examined="ABDOMEN",
    study_date="20260131",
    accession_number="A-0017",
    patient_id="P_17",
    patient_name="Müller^Hans=山田^太郎",
)
OTHER = SeriesAttributes("CT", "Thorax", "CHEST", "20260201", "A-0018", "P217", "Roe^Jane")


def add_series(
    store: Store, uid: str, attributes: SeriesAttributes = OTHER, *, minute: int = 0
) -> Uid:
    """Adds a series with one image and with these attributes."""
    instance = received(
        sop_instance_uid=f"{uid}.1",
        series_instance_uid=uid,
        study_instance_uid=f"{uid}.0",
        peer=f"CT{minute}",
    )
    path = store.data_dir / "instances" / uid / "1.dcm"
    assert store.add_instance(instance, path, 10, NOON + timedelta(minutes=minute))
    store.record_attributes(uid, attributes)
    return Uid(uid)


def found(store: Store, **conditions: object) -> list[str]:
    """Returns the series that a query finds, for a site that searches patients."""
    query = replace(SeriesQuery(searches_patients=True), **conditions)  # type: ignore[arg-type]
    rows = store.search_series(query).rows
    assert store.count_found(query).total == len(rows) or query.states
    return [row.series_instance_uid for row in rows]


_FINDING: list[dict[str, object]] = [
    {"patient": "p_17"},
    {"patient": "müller"},
    {"patient": "MÜLLER, H"},
    {"patient": "Müller^Ha"},
    {"patient": "山田"},
    {"accession_number": "a-0017"},
    {"uid": "1.5"},
    {"uid": "1.5.0"},
    {"uid": "1.5.1"},
    {"sender": "ct3"},
    {"study_date_from": date(2026, 1, 1), "study_date_to": date(2026, 1, 31)},
    {"study_date_to": date(2026, 1, 31)},
    {"body_part": "abd"},
    {"description": "VENÖS"},
    {"description": "100%"},
    {"model": "liver"},
    {"model": "liver-ct:1.0"},
    {"text": "venös"},
    {"text": "A-0017"},
    {"text": "mülle"},
    {"text": "1.5"},
    {"text": "liver-ct"},
    {"states": frozenset({ListedState.WORKING})},
    {"states": frozenset({ListedState.WORKING}), "description": "abdomen"},
    {"received_since": NOON + timedelta(minutes=3)},
]


def test_a_series_is_found_by_each_condition(store: Store) -> None:
    add_series(store, "1.4")
    add_series(store, "1.5", HANS, minute=3)
    store.add_job(job_of(Uid("1.5")))
    store.record_decision("1.5", "{}", SeriesState.ACCEPTED, NOON, 1)
    for conditions in _FINDING:
        assert found(store, **conditions) == ["1.5"], conditions


_MISSING: list[dict[str, object]] = [
    {"patient": "P%17"},
    {"patient": "Hans"},
    {"patient": "P_17 P217"},
    {"accession_number": "0017"},
    {"description": "ABDOMEN%venös"},
    {"description": "A-0017"},
    {"sender": "abdomen"},
    {"text": "venös\nabdomen"},
    {"study_date_to": date(2025, 12, 31)},
]


def test_what_only_resembles_a_value_is_not_found(store: Store) -> None:
    add_series(store, "1.5", HANS)
    store.record_attributes(add_series(store, "1.6"), SeriesAttributes())
    for conditions in _MISSING:
        assert found(store, **conditions) == [], conditions


def test_patients_are_found_and_shown_only_where_the_site_allows_it(store: Store) -> None:
    add_series(store, "1.5", HANS)
    with pytest.raises(Rejected, match="search_patients = true"):
        store.search_series(SeriesQuery(patient="Müller"))
    assert store.search_series(SeriesQuery(text="Müller")).rows == ()
    (row,) = store.search_series(SeriesQuery()).rows
    assert (row.patient_id, row.patient_name, row.accession_number) == ("", "", "A-0017")


def test_pages_show_each_series_once_newest_first_forwards_and_backwards(store: Store) -> None:
    # Two series of one moment and pages that end between them.
    uids = [add_series(store, f"1.{9 - n}", minute=n // 2) for n in range(7)]
    expected = ["1.3", "1.5", "1.4", "1.7", "1.6", "1.9", "1.8"]
    assert sorted(expected) == sorted(uids)
    for states in (frozenset[ListedState](), frozenset({ListedState.RECEIVING})):
        query = SeriesQuery(states=states)
        first = store.search_series(query, limit=3)
        assert first.newer is None
        second = store.search_series(query, older_than=first.older, limit=3)
        third = store.search_series(query, older_than=second.older, limit=3)
        pages = [[r.series_instance_uid for r in p.rows] for p in (first, second, third)]
        assert pages == [expected[:3], expected[3:6], expected[6:]]
        assert third.older is None
        assert store.search_series(query, newer_than=third.newer, limit=3) == second
        assert store.search_series(query, newer_than=second.newer, limit=3) == first


def test_fewer_newer_series_than_a_page_has_are_the_first_page(store: Store) -> None:
    for number in range(4):
        add_series(store, f"1.{number}", minute=number)
    cursor = Cursor(NOON + timedelta(minutes=2), "1.2")
    page = store.search_series(SeriesQuery(), newer_than=cursor, limit=3)
    assert [row.series_instance_uid for row in page.rows] == ["1.3", "1.2", "1.1"]
    assert page.newer is None


def test_a_cursor_is_text_and_back() -> None:
    cursor = Cursor(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), "1.2.3")
    assert Cursor.parse(str(cursor)) == cursor
    for text in ("1.2.3", "20260102_1.2", "x_1", "20260102030405000678"):
        with pytest.raises(Rejected, match="page does not exist"):
            Cursor.parse(text)


def states(store: Store, uid: str = SERIES) -> set[str]:
    """Returns the states under which the series is listed; the counts must agree."""
    (row,) = store.search_series(SeriesQuery(uid=uid)).rows
    counts = store.count_found(SeriesQuery(uid=uid))
    assert {s for s in ListedState if counts.of(frozenset({s}))} == row.states
    return {state.value for state in row.states}


def test_every_change_of_a_series_or_job_changes_its_listed_state(store: Store) -> None:
    add_series(store, SERIES)
    job = job_of(SERIES)
    name = job.job_id
    assert states(store) == {"receiving"}
    store.record_decision(SERIES, "{}", SeriesState.ACCEPTED, NOON, 1, jobs=[job])
    assert states(store) == {"working"}
    store.change_job(name, JobState.RUNNING, NOON)
    store.change_job(name, JobState.DELIVERING, NOON)
    store.add_deliveries(name, ["archive", "pacs"], NOON)
    store.park_delivery(name, "pacs", NOON, error="no")
    assert states(store) == {"working", "attention"}
    store.record_receipt(name, "archive", Receipt("archive", ""), NOON)
    store.change_job(name, JobState.PARKED, NOON, reason="no")
    assert states(store) == {"attention"}
    store.retry_job(name, NOON)
    assert states(store) == {"working"}
    store.change_job(name, JobState.PARKED, NOON)
    store.change_job(name, JobState.DISCARDED, NOON)
    assert states(store) == {"discarded"}
    store.rerun_job(name, NOON)
    assert states(store) == {"working"}
    store.request_start(SERIES, NOON)
    assert states(store) == {"receiving"}
    store.record_decision(SERIES, "{}", SeriesState.IGNORED, NOON, 1)
    assert states(store) == {"ignored"}
    store.add_instance(received(sop_instance_uid="9"), store.data_dir / "9", 1, LATER)
    assert states(store) == {"receiving"}


def test_rows_that_an_earlier_version_left_out_or_behind_are_repaired(store: Store) -> None:
    behind, left_out = add_series(store, "1.5"), add_series(store, "1.6")
    store.record_decision(behind, "{}", SeriesState.ACCEPTED, NOON, 1, jobs=[job_of(behind)])
    with store._database.writing() as connection:
        row = SERIES_INDEX.c.series_instance_uid == left_out
        connection.execute(update(SERIES_INDEX).where(row).values(states=""))
        connection.execute(update(JOBS).values(state=JobState.REFUSED, updated_at=LATER))
    assert store.count_unindexed() == 1
    assert states(store, behind) == {"working"}
    assert store.repair_recent(LATER) == 2
    assert (states(store, behind), states(store, left_out)) == ({"refused"}, {"receiving"})
    assert store.count_unindexed() == 0
    assert store.repair_recent(LATER) == 0


def test_the_start_of_a_worker_indexes_every_series(store: Store) -> None:
    for number in range(205):
        instance = received(sop_instance_uid=f"1.{number}.1", series_instance_uid=f"1.{number}")
        store.add_instance(instance, store.data_dir / f"{number}", 1, NOON)
    with store._database.writing() as connection:
        connection.execute(update(SERIES_INDEX).values(states=""))
    index = SearchIndex(store, keeps_patients=False, now=lambda: LATER)
    index.poll()
    assert store.count_unindexed() == 0
    assert len(store.series_without_attributes(1000)) == 155, "files are read in small steps"


def test_patients_leave_the_index_with_the_images_and_with_the_setting(store: Store) -> None:
    for uid in ("1.5", "1.6"):
        add_series(store, uid, HANS)
        store.record_decision(uid, "{}", SeriesState.IGNORED, NOON, 1)
    assert store.clear_series("1.5", LATER)
    assert found(store, patient="Müller") == ["1.6"]
    assert set(found(store, accession_number="A-0017")) == {"1.5", "1.6"}
    while store.forget_patients():
        pass
    assert found(store, patient="Müller") == []
    assert found(store, patient="P_17") == []


def candidates(store: Store, **values: str) -> tuple[list[str], list[str], list[str]]:
    """Returns the series, studies and jobs that a DICOMweb search with these values looks at."""
    narrowing = Narrowing(**values)
    series = [str(s.series_instance_uid) for s in store.candidate_series(narrowing)]
    assert store.count_candidate_series(narrowing) == len(series)
    jobs = [
        j.job_id for group in store.candidate_jobs(narrowing, [JobState.DELIVERING]) for j in group
    ]
    return series, list(store.candidate_studies(narrowing)), jobs


_NARROWING: list[dict[str, str]] = [
    {"study_date": "20260131"},
    {"study_date": "-20260131"},
    {"study_date": "20260101-202601"},
    {"accession_number": "A-001?"},
    {"accession_number": "A-0017"},
    {"patient_id": "P_17"},
    {"patient_id": "P_17", "accession_number": "A-0017"},
    {"accession_number": "A-0017", "patient_name": "Müller*"},
    {"patient_id": "P_1*"},
    {"patient_name": "müller^*"},
    {"patient_name": "*hans*"},
]


def test_a_dicomweb_search_looks_at_what_matches_and_at_what_is_not_read(store: Store) -> None:
    for minute, uid in enumerate(("1.4", "1.5", "1.6", "1.7")):
        attributes = HANS if uid == "1.5" else replace(OTHER, accession_number="B")
        add_series(store, uid, attributes, minute=minute)
        job = replace(job_of(Uid(uid), job_id=f"job {uid}"), result_path=store.data_dir / "r")
        store.add_job(replace(job, state=JobState.DELIVERING))
    with store._database.writing() as connection:
        rows = SERIES_INDEX.c.series_instance_uid
        several = update(SERIES_INDEX).where(rows == "1.7")
        columns = ("study_date", "accession_number", "patient_id", "patient_search_text")
        connection.execute(several.values(dict.fromkeys(columns, "1\\2")))
        connection.execute(update(SERIES_INDEX).where(rows == "1.6").values(attributes_read=False))
    uids = ["1.7", "1.6", "1.5"]
    expected = (uids, [f"{uid}.0" for uid in uids], [f"job {uid}" for uid in uids])
    for values in _NARROWING:
        assert candidates(store, **values) == expected, values


def test_candidates_are_skipped_and_read_page_by_page(store: Store) -> None:
    for number in range(4):
        add_series(store, f"1.{number}", minute=number)
    skipped = [s.series_instance_uid for s in store.candidate_series(Narrowing(), skip=1)]
    assert skipped == ["1.2", "1.1", "1.0"]
    assert store.received_among(["1.1", "7"]) == {"1.1"}


def test_the_first_instances_of_several_series_are_found_at_once(store: Store) -> None:
    for uid in ("1.4", "1.5"):
        add_series(store, uid)
        other = received(sop_instance_uid=f"{uid}.0", series_instance_uid=uid)
        store.add_instance(other, store.data_dir / "0", 10, NOON)
    first = store.first_instances_of(["1.4", "1.5", "1.6"])
    assert {uid: one.sop_instance_uid for uid, one in first.items()} == {
        uid: store.instances_of(uid)[0].sop_instance_uid for uid in ("1.4", "1.5")
    }


def test_results_of_an_earlier_version_are_found_by_their_uids_after_the_repair(
    store: Store,
) -> None:
    series = add_series(store, "1.7")
    job = replace(job_of(series), result_path=store.data_dir / "seg.dcm")
    store.add_job(job)
    uids = ObjectUids(job.job_id, SEG)
    assert store.job_of_result(uids.series_instance_uid) is None
    index = SearchIndex(store, keeps_patients=False, now=lambda: LATER)
    index.poll()
    for uid in (uids.series_instance_uid, uids.sop_instance_uid()):
        found = store.job_of_result(uid)
        assert found is not None
        assert found.job_id == job.job_id
    assert store.job_of_result(series) is None, "the UID of a source series"
