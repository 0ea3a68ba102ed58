"""Upkeep of the search index: attributes of the first images, repair, removal of patient data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, union, update

from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.series import SeriesState
from node.store.jobs.result_objects import ResultObjects
from node.store.schema import JOBS, SERIES, SERIES_INDEX
from node.store.series_index import (
    Line,
    expected_states,
    patient_search_text,
    refresh_index,
    search_text,
    stored_states,
)

# SQLite limits the number of values in a query, and a write transaction must stay short.
_BATCH = 100


@dataclass(frozen=True)
class SeriesAttributes:
    """Attributes of a series' first image; empty texts where it has none.

    Several values are separated by a backslash. The patient is None where the site does not let
    the index hold patients.
    """

    modality: str = ""
    series_description: str = ""
    body_part_examined: str = ""
    study_date: str = ""
    accession_number: str = ""
    patient_id: str | None = None
    patient_name: str | None = None


class IndexUpkeep(ResultObjects):
    """Completes, repairs and clears rows of the search index, in small batches.

    So it does with the UIDs of results.
    """

    def series_without_attributes(self, limit: int) -> list[Uid]:
        """Returns series whose attributes are to be read, newest first."""
        query = (
            select(SERIES_INDEX.c.series_instance_uid)
            .where(SERIES_INDEX.c.attributes_read.is_(False))
            .order_by(SERIES_INDEX.c.received_at.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [Uid(uid) for uid in connection.execute(query).scalars()]

    def record_attributes(self, series_uid: str, attributes: SeriesAttributes) -> None:
        """Stores the attributes of a series in its row."""
        peer = select(SERIES_INDEX.c.peer).where(SERIES_INDEX.c.series_instance_uid == series_uid)
        with self._database.writing() as connection:
            sender = connection.execute(peer).scalar_one_or_none() or ""
            lines = {
                Line.SENDER: sender,
                Line.DESCRIPTION: attributes.series_description,
                Line.BODY_PART: attributes.body_part_examined,
                Line.ACCESSION_NUMBER: attributes.accession_number,
            }
            connection.execute(
                update(SERIES_INDEX)
                .where(SERIES_INDEX.c.series_instance_uid == series_uid)
                .values(
                    attributes_read=True,
                    modality=attributes.modality,
                    series_description=attributes.series_description,
                    body_part_examined=attributes.body_part_examined,
                    study_date=attributes.study_date,
                    accession_number=attributes.accession_number,
                    search_text=search_text(lines),
                    patient_id=attributes.patient_id,
                    patient_name=attributes.patient_name,
                    patient_search_text=_patient_search_text(attributes),
                )
            )

    def record_without_images(self, series_uid: str, *, keeps_patients: bool) -> None:
        """Records that a series has no image to read attributes from; keeps those that it has.

        Empty values, unlike NULL, say that there is no patient to read.
        """
        row = update(SERIES_INDEX).where(SERIES_INDEX.c.series_instance_uid == series_uid)
        values: dict[str, object] = {"attributes_read": True}
        if keeps_patients:
            values |= {"patient_id": "", "patient_name": "", "patient_search_text": ""}
        with self._database.writing() as connection:
            connection.execute(row.values(values))

    def repair_next(self, after: str) -> str | None:
        """Repairs the rows of the next series after a UID; returns the last one, None at the end.

        Adds rows that are missing, and corrects those that a version without index left behind.
        """
        query = (
            select(SERIES.c.series_instance_uid)
            .where(SERIES.c.series_instance_uid > after)
            .order_by(SERIES.c.series_instance_uid)
            .limit(_BATCH)
        )
        with self._database.reading() as connection:
            uids = list(connection.execute(query).scalars())
        self._repair(uids)
        return uids[-1] if uids else None

    def repair_recent(self, since: datetime) -> int:
        """Repairs the rows of what may have changed since then; returns their number."""
        changed = union(
            select(SERIES.c.series_instance_uid).where(SERIES.c.state == SeriesState.RECEIVING),
            select(SERIES.c.series_instance_uid).where(SERIES.c.last_received_at >= since),
            select(JOBS.c.series_instance_uid).where(
                JOBS.c.state.in_(list(JobState)), JOBS.c.updated_at >= since
            ),
        )
        with self._database.reading() as connection:
            uids = sorted(connection.execute(changed).scalars())
        return sum(
            self._repair(uids[first : first + _BATCH]) for first in range(0, len(uids), _BATCH)
        )

    def _repair(self, uids: Sequence[str]) -> int:
        with self._database.reading() as connection:
            stored = stored_states(connection, uids)
            expected = expected_states(connection, uids)
        wrong = [uid for uid, state in expected.items() if stored.get(uid) != state]
        self.add_missing_result_uids(uids)
        if wrong:
            with self._database.writing() as connection:
                refresh_index(self._database, connection, wrong)
        return len(wrong)

    def request_patients(self) -> bool:
        """Lets the patients of series be read that the index does not hold; False when done."""
        missing = SERIES_INDEX.c.patient_id.is_(None) & SERIES_INDEX.c.attributes_read.is_(True)
        return self._update_some(missing, {"attributes_read": False})

    def forget_patients(self) -> bool:
        """Removes patients from the index; False when there are none left."""
        held = SERIES_INDEX.c.patient_id.is_not(None)
        gone: dict[str, object] = {
            "patient_id": None,
            "patient_name": None,
            "patient_search_text": None,
        }
        return self._update_some(held, gone)

    def _update_some(self, condition: ColumnElement[bool], values: dict[str, object]) -> bool:
        some = select(SERIES_INDEX.c.series_instance_uid).where(condition).limit(_BATCH)
        with self._database.writing() as connection:
            uids = list(connection.execute(some).scalars())
            connection.execute(
                update(SERIES_INDEX)
                .where(SERIES_INDEX.c.series_instance_uid.in_(uids))
                .values(values)
            )
        return bool(uids)


def _patient_search_text(attributes: SeriesAttributes) -> str | None:
    if attributes.patient_id is None or attributes.patient_name is None:
        return None
    return patient_search_text(attributes.patient_id, attributes.patient_name)
