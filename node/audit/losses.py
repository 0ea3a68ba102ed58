"""Counts the records that cannot be written, until the audit trail states how many they are."""

import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from node.domain.audit.lost_records import LostRecords, parsed_lost_records
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)


@dataclass
class AuditLosses:
    """The records that the processes of this host could not write.

    The count is in a file of the data folder, so that it survives a restart. If the disk is full,
    the process counts in memory until the file can be written.
    """

    data_dir: Path
    _in_memory: LostRecords | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def file(self) -> Path:
        """The file of this host; hosts may share the data folder."""
        return self.data_dir / f"audit-losses-{socket.gethostname()}"

    def add(self, happened_at: datetime) -> None:
        """Counts a record that could not be written."""
        lost = LostRecords(1, happened_at, happened_at)
        with self._lock:
            counted = _sum(self._in_memory, lost)
            try:
                with self._opened(fcntl.LOCK_EX) as stream:
                    text = _sum(parsed_lost_records(stream.read()), counted).text()
                    stream.seek(0)
                    stream.write(text)
                    stream.truncate()
            except OSError as error:
                _log().warning("audit.losses_in_memory", file=str(self.file), error=str(error))
                self._in_memory = counted
            else:
                self._in_memory = None

    def report(self, write: Callable[[AuditRecord], None], now: Callable[[], datetime]) -> None:
        """Writes the record that states all losses of this host, and begins to count again.

        A process that is killed in between leaves the count, which is then stated once more.

        Raises:
            Transient: the trail still cannot be written.
        """
        with self._lock:
            if self._in_memory is None and not self._has_count():
                return
            try:
                with self._opened(fcntl.LOCK_EX | fcntl.LOCK_NB) as stream:
                    counted = parsed_lost_records(stream.read())
                    self._state(write, counted, now())
                    stream.truncate(0)
            except BlockingIOError:
                return  # another process states them
            except OSError as error:
                _log().warning("audit.losses_in_memory", file=str(self.file), error=str(error))
                self._state(write, None, now())

    def _state(
        self, write: Callable[[AuditRecord], None], counted: LostRecords | None, now: datetime
    ) -> None:
        """Writes the record about what the file has counted, and the memory."""
        lost = counted if self._in_memory is None else _sum(counted, self._in_memory)
        if lost is None:
            return
        write(_statement(lost, now))
        self._in_memory = None
        _log().warning("audit.losses_recorded", records=lost.count)

    def _has_count(self) -> bool:
        try:
            return self.file.stat().st_size > 0
        except FileNotFoundError:
            return False

    @contextmanager
    def _opened(self, lock: int) -> Iterator[TextIO]:
        handle = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+", encoding="ascii") as stream:
            fcntl.flock(stream, lock)
            yield stream


def _sum(counted: LostRecords | None, more: LostRecords) -> LostRecords:
    return more if counted is None else counted + more


def _statement(lost: LostRecords, now: datetime) -> AuditRecord:
    return AuditRecord(
        now,
        AuditAction.AUDIT_LOST,
        AuditOutcome.SERIOUS_FAILURE,
        AuditActor("segnode", AuditInterface.NODE),
        (AuditObject(AuditObjectType.AUDIT_TRAIL, socket.gethostname()),),
        lost.text(),
    )


def _log() -> Any:
    import structlog  # here: commands start faster without it

    return structlog.get_logger()
