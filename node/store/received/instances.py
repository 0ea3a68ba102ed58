"""The index of received instances: one row per instance, grouped into series."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Row, bindparam, func, select, update
from sqlalchemy.engine import Connection

from node.dicom.data_set_digest import digest_of
from node.domain.identifiers import Uid
from node.domain.instance import ReceivedInstance
from node.domain.series import SeriesState, StoredInstance
from node.store.database import Database
from node.store.files import Files
from node.store.group_commit import GroupCommit
from node.store.repository import Repository
from node.store.schema import INSTANCES, SERIES
from node.store.series_index import refresh_index

# Built once: these statements run for every received instance.
_REOPEN_SERIES = (
    update(SERIES)
    .where(SERIES.c.series_instance_uid == bindparam("series_uid"))
    .values(
        instance_count=SERIES.c.instance_count + bindparam("count"),
        last_received_at=bindparam("now"),
        state=SeriesState.RECEIVING,
    )
)
# Most instances belong to a series that is receiving. These leave the search index unchanged.
_INCREMENT_SERIES = _REOPEN_SERIES.where(SERIES.c.state == SeriesState.RECEIVING)
_PAGE_SIZE = 500
_FIND_INSTANCE = select(INSTANCES).where(INSTANCES.c.sop_instance_uid == bindparam("sop_uid"))


@dataclass(frozen=True)
class IndexedInstance:
    """A stored instance with its series, its size in bytes and the digest of its data set."""

    instance: StoredInstance
    series_instance_uid: Uid
    size_bytes: int
    dataset_digest: str
    received_at: datetime


@dataclass(frozen=True)
class NewInstance:
    """An instance to index, and its durable file."""

    received: ReceivedInstance
    path: Path
    size: int
    received_at: datetime
    digest: str


class Instances(Repository):
    """The index of received instances."""

    def __init__(self, database: Database, data_dir: Path, files: Files) -> None:
        super().__init__(database, data_dir, files)
        self._added = GroupCommit(self.add_group)

    def add_instance(
        self,
        received: ReceivedInstance,
        path: Path,
        size: int,
        now: datetime,
        digest: str = "",
    ) -> bool:
        """Indexes an instance whose file of `size` bytes is durable at `path`.

        `digest` is that of its data set; SHA-256 is computed where there is none.

        A new instance sets its series back to RECEIVING, whatever was decided about it. Returns
        False, and changes nothing, if the SOP Instance UID is already indexed. Instances that
        threads add at the same time share a transaction.
        """
        return self._added.submit(
            NewInstance(received, path, size, now, digest or digest_of(received.dataset, "sha256"))
        )

    def add_group(self, group: Sequence[NewInstance]) -> list[bool]:
        """Indexes instances; returns for each whether it is new."""
        if len(group) > 1 and self._are_added(group):
            return [True] * len(group)
        return [self._are_added([each]) for each in group]

    def _are_added(self, group: Sequence[NewInstance]) -> bool:
        """Indexes all of these, or none where one is indexed already."""
        series: dict[str, list[NewInstance]] = defaultdict(list)
        for each in group:
            series[each.received.series_instance_uid].append(each)
        with self._database.writing() as connection:
            # Sorted: of two writers on PostgreSQL, none waits for what waits for it.
            reopened = [
                uid
                for uid in sorted(series)
                if not self._is_receiving(connection, uid, series[uid])
            ]
            rows = [self._row_of(each) for uid in sorted(series) for each in series[uid]]
            added = connection.execute(self._insert_instance, rows[0] if len(rows) == 1 else rows)
            if len(added.all()) < len(rows):
                connection.rollback()
                return False
            if reopened:
                refresh_index(self._database, connection, reopened)
        return True

    def _is_receiving(
        self, connection: Connection, series_uid: str, added: Sequence[NewInstance]
    ) -> bool:
        """Counts instances of a series, which receives from now on; returns whether it did."""
        now = max(each.received_at for each in added)
        values = {"series_uid": series_uid, "now": now, "count": len(added)}
        if connection.execute(_INCREMENT_SERIES, values).rowcount == 1:
            return True
        if connection.execute(_REOPEN_SERIES, values).rowcount == 0:
            self._add_series(connection, added[0].received, added[0].received_at)
            connection.execute(_REOPEN_SERIES, values)
        return False

    def _row_of(self, new: NewInstance) -> dict[str, object]:
        received = new.received
        return {
            "sop_instance_uid": received.sop_instance_uid,
            "series_instance_uid": received.series_instance_uid,
            "sop_class_uid": received.sop_class_uid,
            "transfer_syntax_uid": received.transfer_syntax_uid,
            "path": self._to_row(new.path),
            "size_bytes": new.size,
            "dataset_digest": new.digest,
            "received_at": new.received_at,
        }

    def instances_of(self, series_uid: str) -> tuple[StoredInstance, ...]:
        """Returns the instances of a series, ordered by SOP Instance UID."""
        return tuple(each.instance for each in self.indexed_instances_of(series_uid))

    def indexed_instances_of(self, series_uid: str) -> tuple[IndexedInstance, ...]:
        """Returns what the index has of the instances of a series, ordered by SOP Instance UID."""
        query = (
            select(INSTANCES)
            .where(INSTANCES.c.series_instance_uid == series_uid)
            .order_by(INSTANCES.c.sop_instance_uid)
        )
        with self._database.reading() as connection:
            return tuple(self._indexed(row) for row in connection.execute(query))

    def iter_instances(self) -> Iterator[IndexedInstance]:
        """Yields all instances, ordered by UID; reads them in pages, so that others can write."""
        last = ""
        while True:
            query = (
                select(INSTANCES)
                .where(INSTANCES.c.sop_instance_uid > last)
                .order_by(INSTANCES.c.sop_instance_uid)
                .limit(_PAGE_SIZE)
            )
            with self._database.reading() as connection:
                page = [self._indexed(row) for row in connection.execute(query)]
            yield from page
            if len(page) < _PAGE_SIZE:
                return
            last = page[-1].instance.sop_instance_uid

    def first_instances_of(self, series_uids: Sequence[str]) -> dict[str, StoredInstance]:
        """Returns the first of `instances_of` of each of these series that has one."""
        members = INSTANCES.alias("members")
        first = select(func.min(members.c.sop_instance_uid)).where(
            members.c.series_instance_uid == SERIES.c.series_instance_uid
        )
        query = (
            select(INSTANCES)
            .select_from(SERIES)
            .join(INSTANCES, INSTANCES.c.sop_instance_uid == first.scalar_subquery())
            .where(SERIES.c.series_instance_uid.in_(series_uids))
        )
        with self._database.reading() as connection:
            return {
                row.series_instance_uid: self._indexed(row).instance
                for row in connection.execute(query)
            }

    def count_instances(self) -> int:
        """Returns the number of indexed instances."""
        with self._database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(INSTANCES)).scalar_one())

    def find_instance(self, sop_instance_uid: str) -> IndexedInstance | None:
        """Returns one instance, or None if it is not indexed."""
        with self._database.reading() as connection:
            row = connection.execute(_FIND_INSTANCE, {"sop_uid": sop_instance_uid}).first()
        return None if row is None else self._indexed(row)

    def _add_series(
        self, connection: Connection, received: ReceivedInstance, now: datetime
    ) -> None:
        connection.execute(
            self._database.insert(SERIES)
            .values(
                series_instance_uid=received.series_instance_uid,
                study_instance_uid=received.study_instance_uid,
                state=SeriesState.RECEIVING,
                instance_count=0,
                origin=received.origin.text,
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
            dataset_digest=row.dataset_digest,
            received_at=row.received_at,
        )
