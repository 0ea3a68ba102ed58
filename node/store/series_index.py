"""The search index of series: one row per series, changed with the series, its jobs and deliveries.

Every transaction that changes one of these ends with `refresh_index`, so that a list, its count and
the series agree at any time. `IndexUpkeep` repairs rows of a version that knows no index.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import exists, select, update
from sqlalchemy.engine import Connection

from node.domain.delivery import DeliveryState
from node.domain.job import JobState
from node.domain.listing.listed_states import ListedJob, ListedState, listed_states
from node.domain.series import SeriesPart, SeriesState
from node.store.database import Database
from node.store.jobs.job_rows import HAS_NOTICE
from node.store.schema import DELIVERIES, JOBS, SERIES, SERIES_INDEX

_GIVEN_UP = exists().where(
    DELIVERIES.c.job_id == JOBS.c.job_id, DELIVERIES.c.state == DeliveryState.PARKED
)


class Line(IntEnum):
    """The lines of the search text of a series."""

    SENDER = 0
    DESCRIPTION = 1
    BODY_PART = 2
    ACCESSION_NUMBER = 3


@dataclass(frozen=True)
class IndexedState:
    """The columns of a row that follow from the series and its jobs, as stored."""

    states: str
    models: str


def refresh_index(database: Database, connection: Connection, series_uids: Iterable[str]) -> None:
    """Brings the rows of these series up to date with what the transaction has changed.

    Call it last in the transaction: it locks the rows before it reads the jobs, so that of two
    transactions about one series the later one sees what the other has changed.
    """
    uids = sorted(set(series_uids))
    _lock(database, connection, uids)
    stored = stored_states(connection, uids)
    for uid, state in expected_states(connection, uids).items():
        if stored.get(uid) != state:
            connection.execute(
                update(SERIES_INDEX)
                .where(SERIES_INDEX.c.series_instance_uid == uid)
                .values(states=state.states, models=state.models)
            )


def refresh_index_of_job(database: Database, connection: Connection, job_id: str) -> None:
    """Brings the row of the job's series up to date; see `refresh_index`."""
    query = select(JOBS.c.series_instance_uid).where(JOBS.c.job_id == job_id)
    refresh_index(database, connection, connection.execute(query).scalars())


def request_attributes(connection: Connection, series_uid: str) -> None:
    """Lets the attributes be read again: after a decision the first image stays the first."""
    row = update(SERIES_INDEX).where(SERIES_INDEX.c.series_instance_uid == series_uid)
    connection.execute(row.values(attributes_read=False))


def forget_patient(connection: Connection, series_uid: str) -> None:
    """Removes the patient from a row: patient data are kept no longer than the images.

    Empty values, unlike NULL, say that there is nothing to read.
    """
    row = update(SERIES_INDEX).where(SERIES_INDEX.c.series_instance_uid == series_uid)
    connection.execute(
        row.where(SERIES_INDEX.c.patient_id.is_not(None)).values(
            patient_id="", patient_name="", patient_search_text=""
        )
    )


def _lock(database: Database, connection: Connection, uids: Sequence[str]) -> None:
    """Locks the rows of these series, and adds those that are missing."""
    rows = (
        select(SERIES_INDEX.c.series_instance_uid)
        .where(SERIES_INDEX.c.series_instance_uid.in_(uids))
        .order_by(SERIES_INDEX.c.series_instance_uid)
    )
    found = set(connection.execute(rows.with_for_update()).scalars())
    missing = [uid for uid in uids if uid not in found]
    if not missing:
        return
    series = select(SERIES).where(SERIES.c.series_instance_uid.in_(missing))
    for row in connection.execute(series).all():
        channel, _, peer = row.origin.partition(" ")
        connection.execute(
            database.insert(SERIES_INDEX)
            .values(
                series_instance_uid=row.series_instance_uid,
                study_instance_uid=row.study_instance_uid,
                received_at=row.first_received_at,
                channel=channel,
                peer=peer,
                states="",
                models="",
                search_text=search_text({Line.SENDER: peer}),
                attributes_read=False,
            )
            .on_conflict_do_nothing()
        )


def stored_states(connection: Connection, uids: Sequence[str]) -> dict[str, IndexedState]:
    """Returns what the rows of these series state; a series without a row is missing."""
    columns = (SERIES_INDEX.c.series_instance_uid, SERIES_INDEX.c.states, SERIES_INDEX.c.models)
    query = select(*columns).where(SERIES_INDEX.c.series_instance_uid.in_(uids))
    return {uid: IndexedState(states, models) for uid, states, models in connection.execute(query)}


def expected_states(connection: Connection, uids: Sequence[str]) -> dict[str, IndexedState]:
    """Returns what the rows of these series must state."""
    series = select(SERIES.c.series_instance_uid, SERIES.c.state)
    jobs = _jobs_of(connection, uids)
    found = connection.execute(series.where(SERIES.c.series_instance_uid.in_(uids)))
    return {uid: _indexed(SeriesState(state), jobs[uid]) for uid, state in found.all()}


def _jobs_of(connection: Connection, uids: Sequence[str]) -> Mapping[str, list[ListedJob]]:
    """Returns the jobs of each series, newest first."""
    query = (
        select(
            JOBS.c.series_instance_uid,
            JOBS.c.model_id,
            JOBS.c.model_version,
            JOBS.c.series_digest,
            JOBS.c.part,
            JOBS.c.state,
            _GIVEN_UP.label("gives_up"),
            HAS_NOTICE.label("is_refusal"),
        )
        .where(JOBS.c.series_instance_uid.in_(uids))
        .order_by(JOBS.c.created_at.desc(), JOBS.c.job_id)
    )
    jobs: dict[str, list[ListedJob]] = defaultdict(list)
    for row in connection.execute(query):
        jobs[row.series_instance_uid].append(
            ListedJob(
                model_id=row.model_id,
                model_version=row.model_version,
                series_digest=row.series_digest,
                part=None if row.part is None else SeriesPart.from_json(row.part),
                state=JobState(row.state),
                gives_up_delivery=row.gives_up,
                is_refusal=bool(row.is_refusal),
            )
        )
    return jobs


def _indexed(state: SeriesState, jobs: Sequence[ListedJob]) -> IndexedState:
    models = dict.fromkeys(name for job in jobs for name in (job.model_id, model_name(job)))
    return IndexedState(words(listed_states(state, jobs)), words(models))


def model_name(job: ListedJob) -> str:
    """Returns the name by which a model with its version is found."""
    return f"{job.model_id}:{job.model_version}"


def words(values: Iterable[str]) -> str:
    """Returns words as a column stores them: sorted, each between spaces, so that one is found."""
    return "".join(f" {word}" for word in sorted(values)) + " "


def states_of(text: str) -> frozenset[ListedState]:
    """Returns the states that a column of words holds, without those of a later version."""
    known = set(ListedState)
    return frozenset(ListedState(word) for word in text.split() if word in known)


def search_text(lines: Mapping[Line, str]) -> str:
    """Returns the texts of a series as the index compares them, one a line."""
    return "\n".join(searchable(lines.get(line, "")) for line in Line)


def patient_search_text(patient_id: str, patient_name: str) -> str:
    """Returns an ID and the forms of a name, each on a line of its own that starts with its end.

    The alphabetic, ideographic and phonetic form are found alike (PS3.5 6.2.1.2).
    """
    return "".join(f"\n{plain_name(text)}" for text in (patient_id, *patient_name.split("=")))


def plain_name(text: str) -> str:
    """Returns a name as the index compares it: "Müller^Hans" and "müller, hans" are equal."""
    return searchable(text.replace("^", " ").replace(",", " "))


def searchable(text: str) -> str:
    """Returns a text in the form in which the index compares texts: without case."""
    return " ".join(text.casefold().split())
