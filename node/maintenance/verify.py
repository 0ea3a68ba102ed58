"""Compares the stored files with the database and repairs what can be repaired.

Safe while the node runs: files that are being received are skipped.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from node.dicom.data_set_digest import has_digest
from node.domain.errors import Rejected
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.intake.part10 import part10_bytes, received_from_file
from node.store import IndexedInstance, Store

# A younger file may not be indexed yet.
_MIN_FILE_AGE_SECONDS = 600.0
_ORIGIN = Origin(Channel.FOLDER, "repair")


class Fault(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"  # the database names it, but it is not stored
    DAMAGED = "damaged"  # its bytes are not those that were received
    NOT_INDEXED = "not indexed"  # intact, but not indexed


@dataclass(frozen=True)
class Finding:
    """A file with a fault: an image, or a file of the result of the job `job_id`."""

    fault: Fault
    path: Path
    job_id: str = ""


@dataclass(frozen=True)
class Verification:
    """Checks the images of a store, and that its results are there.

    `clock` returns the time in seconds since 1970.
    """

    store: Store
    clock: Callable[[], float] = time.time

    def findings(self) -> Iterator[Finding]:
        """Yields every fault: of indexed files, of files that are not indexed, of results."""
        for instance in self.store.iter_instances():
            fault = self.fault_of(instance)
            # Retention may have cleared the series meanwhile.
            if fault is not None and self._is_indexed(instance.instance.path):
                yield Finding(fault, instance.instance.path)
        newest = self.clock() - _MIN_FILE_AGE_SECONDS
        for stored in self.store.files.iter_files(self.store.data_dir / "instances"):
            path = stored.path
            if not self._is_indexed(path) and stored.modified_at < newest:
                intact = self._received(path) is not None
                yield Finding(Fault.NOT_INDEXED if intact else Fault.DAMAGED, path)
        yield from self._missing_results()

    def _missing_results(self) -> Iterator[Finding]:
        for job_id, path in self.store.iter_result_files():
            if not self.store.files.exists(path) and self._has_result(job_id):
                yield Finding(Fault.MISSING, path, job_id)

    def _has_result(self, job_id: str) -> bool:
        """Whether the result counts still: a rerun or retention may have removed it meanwhile."""
        job = self.store.get_job(job_id)
        return job is not None and job.result_path is not None

    def repair(self, finding: Finding, now: datetime) -> str:
        """Repairs a fault if possible; returns what was done, or what to do next, in words."""
        match finding.fault:
            case Fault.MISSING if finding.job_id:
                return f"run the job again (segnode jobs rerun {finding.job_id[:8]})"
            case Fault.MISSING:
                return "send the series again"
            case Fault.DAMAGED:
                quarantine = self.store.data_dir / "damaged" / finding.path.name
                with self.store.files.local_copies([finding.path]) as (file,):
                    self.store.files.put(quarantine, [file.read_bytes()])
                self.store.files.remove([finding.path])
                return f"moved to {quarantine}; send the series again"
            case Fault.NOT_INDEXED:
                received = self._received(finding.path)
                if received is None:
                    return "it has been damaged meanwhile; verify again"
                size = len(part10_bytes(received))
                self.store.add_instance(received, finding.path, size, now)
                return "indexed"

    def fault_of(self, indexed: IndexedInstance) -> Fault | None:
        """Returns the fault of an indexed file; None if the file is as it was received."""
        with self.store.files.local_copies([indexed.instance.path]) as (file,):
            if not file.exists():
                return Fault.MISSING
            received = _read(file)
        if received is None or not has_digest(received.dataset, indexed.dataset_digest):
            return Fault.DAMAGED
        return None

    def _is_indexed(self, path: Path) -> bool:
        return self.store.find_instance(path.stem) is not None

    def _received(self, path: Path) -> ReceivedInstance | None:
        with self.store.files.local_copies([path]) as (file,):
            return _read(file)


def _read(file: Path) -> ReceivedInstance | None:
    """Returns the instance in the file; None if the file is unreadable or invalid."""
    try:
        return received_from_file(file, _ORIGIN)
    except (Rejected, OSError):
        return None
