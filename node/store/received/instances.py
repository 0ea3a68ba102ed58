"""Instances on disk, one row each, and the series that they make up."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Row, bindparam, func, select, update
from sqlalchemy.engine import Connection

from node.domain.identifiers import Uid
from node.domain.instance import ReceivedInstance
from node.domain.series import SeriesState, StoredInstance
from node.store.records import Records
from node.store.schema import INSTANCES, SERIES

# Composed once: these run for every instance that comes in.
_ONE_MORE = (
    update(SERIES)
    .where(SERIES.c.series_instance_uid == bindparam("series_uid"))
    .values(
        instance_count=SERIES.c.instance_count + 1,
        last_received_at=bindparam("now"),
        state=SeriesState.RECEIVING,
    )
)
_PAGE = 500
_FIND = select(INSTANCES).where(INSTANCES.c.sop_instance_uid == bindparam("sop_uid"))


@dataclass(frozen=True)
class IndexedInstance:
    """An instance with what the index knows beside its place: where it belongs, what it held."""

    instance: StoredInstance
    series_instance_uid: Uid
    size_bytes: int
    dataset_sha256: str
    received_at: datetime


class Instances(Records):
    """The index of received instances."""

    def add_instance(
        self, received: ReceivedInstance, path: Path, size: int, now: datetime
    ) -> bool:
        """Indexes an instance whose file of `size` bytes lies durably at `path`.

        A new instance takes its series back to RECEIVING, whatever had been decided about it.
        False, and nothing changed, when the SOP Instance UID is known already.
        """
        in_series = {
            "series_uid": received.series_instance_uid,
            "now": now,
        }
        row = {
            "sop_instance_uid": received.sop_instance_uid,
            "series_instance_uid": received.series_instance_uid,
            "sop_class_uid": received.sop_class_uid,
            "transfer_syntax_uid": received.transfer_syntax_uid,
            "path": self._to_row(path),
            "size_bytes": size,
            "dataset_sha256": dataset_digest(received.dataset),
            "received_at": now,
        }
        with self._database.writing() as connection:
            if connection.execute(_ONE_MORE, in_series).rowcount == 0:
                self._make_series(connection, received, now)
                connection.execute(_ONE_MORE, in_series)
            if connection.execute(self._insert_instance, row).first() is None:
                connection.rollback()
                return False
        return True

    def instances_of(self, series_uid: str) -> tuple[StoredInstance, ...]:
        """The instances of a series, by SOP Instance UID."""
        query = (
            select(INSTANCES)
            .where(INSTANCES.c.series_instance_uid == series_uid)
            .order_by(INSTANCES.c.sop_instance_uid)
        )
        with self._database.reading() as connection:
            return tuple(self._indexed(row).instance for row in connection.execute(query))

    def every_instance(self) -> Iterator[IndexedInstance]:
        """All of them, in the order of their UIDs; looked up in pages, so that others can write."""
        last = ""
        while True:
            query = (
                select(INSTANCES)
                .where(INSTANCES.c.sop_instance_uid > last)
                .order_by(INSTANCES.c.sop_instance_uid)
                .limit(_PAGE)
            )
            with self._database.reading() as connection:
                page = [self._indexed(row) for row in connection.execute(query)]
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1].instance.sop_instance_uid

    def count_instances(self) -> int:
        """How many there are."""
        with self._database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(INSTANCES)).scalar_one())

    def find_instance(self, sop_instance_uid: str) -> IndexedInstance | None:
        """What the index knows about one instance."""
        with self._database.reading() as connection:
            row = connection.execute(_FIND, {"sop_uid": sop_instance_uid}).first()
        return None if row is None else self._indexed(row)

    def _make_series(
        self, connection: Connection, received: ReceivedInstance, now: datetime
    ) -> None:
        connection.execute(
            self._database.insert(SERIES)
            .values(
                series_instance_uid=received.series_instance_uid,
                study_instance_uid=received.study_instance_uid,
                state=SeriesState.RECEIVING,
                instance_count=0,
                origin=f"{received.origin.door} {received.origin.peer}",
                first_received_at=now,
                last_received_at=now,
                start_requested=False,
            )
            .on_conflict_do_nothing()
        )

    @cached_property
    def _insert_instance(self) -> Executable:
        return (
            self._database.insert(INSTANCES)
            .on_conflict_do_nothing()
            .returning(INSTANCES.c.sop_instance_uid)
        )

    def _indexed(self, row: Row[Any]) -> IndexedInstance:
        return IndexedInstance(
            instance=StoredInstance(
                sop_instance_uid=Uid(row.sop_instance_uid),
                sop_class_uid=Uid(row.sop_class_uid),
                transfer_syntax_uid=Uid(row.transfer_syntax_uid),
                path=self.data_dir / row.path,
            ),
            series_instance_uid=Uid(row.series_instance_uid),
            size_bytes=row.size_bytes,
            dataset_sha256=row.dataset_sha256,
            received_at=row.received_at,
        )


def dataset_digest(dataset: bytes) -> str:
    """What tells two encoded data sets apart, as kept in the index."""
    return hashlib.sha256(dataset).hexdigest()
