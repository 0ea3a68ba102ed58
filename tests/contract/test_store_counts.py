"""The numbers of series and jobs that the database keeps are those of the rows."""

from sqlalchemy import Connection, delete, func, select, update

from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.series import SeriesState
from node.store import Store
from node.store.monitoring.row_counts import Counted, number_of, numbers_of
from node.store.monitoring.tables import ROW_COUNTS
from node.store.schema import JOBS, SERIES, SERIES_INDEX
from tests.support.factories import LATER, NOON, add_instances, job_of
from tests.support.many_series import insert_series


def _assert_equal(store: Store) -> None:
    with store._database.reading() as connection:
        for counted, column in (
            (Counted.SERIES, SERIES.c.state),
            (Counted.JOBS, JOBS.c.state),
            (Counted.LISTED, SERIES_INDEX.c.states),
        ):
            query = select(column, func.count()).group_by(column)
            rows = {row[0]: row[1] for row in connection.execute(query)}
            assert numbers_of(connection, counted) == rows, counted


def _length(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(ROW_COUNTS)).scalar_one())


def test_the_numbers_follow_every_change(store: Store) -> None:
    _assert_equal(store)
    add_instances(store, "1.2.3.1", "1.2.3.2")
    new = job_of(Uid("1.2.3"))
    store.record_decision(new.series_instance_uid, "{}", SeriesState.ACCEPTED, NOON, 2, jobs=[new])
    _assert_equal(store)
    for state in (JobState.RUNNING, JobState.DELIVERING, JobState.DELIVERED):
        store.change_job(new.job_id, state, LATER)
        _assert_equal(store)
    add_instances(store, "1.2.3.3", now=LATER)
    _assert_equal(store)
    with store._database.reading() as connection:
        name = f"{new.model_id}@{new.model_version}"
        assert number_of(connection, Counted.MODELS, name) == 1
        assert number_of(connection, Counted.MODELS, "other@1") == 0


def test_a_change_by_other_means_and_a_deletion_count(store: Store) -> None:
    insert_series(store, range(30))
    with store._database.writing() as connection:
        connection.execute(update(JOBS).where(JOBS.c.job_id == "job1").values(state="queued"))
        connection.execute(delete(JOBS).where(JOBS.c.job_id == "job5"))
    _assert_equal(store)


def test_a_change_that_is_rolled_back_does_not_count(store: Store) -> None:
    insert_series(store, range(5))
    with store._database.writing() as connection:
        connection.execute(update(SERIES).values(state=SeriesState.RECEIVING))
        connection.rollback()
    _assert_equal(store)


def test_sums_replace_many_rows_and_change_no_number(store: Store) -> None:
    insert_series(store, range(120))
    store.sum_up_counts()
    _assert_equal(store)
    with store._database.reading() as connection:
        few = _length(connection)
    assert few < 20
    store.add_job(job_of(Uid("1.2.840.1.4")))
    store.sum_up_counts()
    with store._database.reading() as connection:
        assert few < _length(connection) < few + 10, "few changes are not summed up"
    _assert_equal(store)
