"""Compares the files on the disk with the index, and puts right what can be put right.

Safe beside a running node: what is being received just now is passed over.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from node.domain.errors import Rejected
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.intake.part10 import part10_bytes, received_from_file
from node.store import IndexedInstance, Store
from node.store.received.instances import dataset_digest

# A file that is younger may be on its way into the index.
_SETTLED_SECONDS = 600.0
_ORIGIN = Origin(Channel.FOLDER, "repair")


class Fault(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"  # it is in the index, and not on the disk
    DAMAGED = "damaged"  # its bytes are not those that came in
    NOT_INDEXED = "not indexed"  # it is whole, and the index does not know it


@dataclass(frozen=True)
class Finding:
    """A file with a fault."""

    fault: Fault
    path: Path


@dataclass(frozen=True)
class Verification:
    """Looks at every instance of a store. `clock` gives the time in seconds since 1970."""

    store: Store
    clock: Callable[[], float] = time.time

    def findings(self) -> Iterator[Finding]:
        """Every fault: of the index's files first, then of files that it does not know."""
        for instance in self.store.iter_instances():
            fault = self.fault_of(instance)
            # Retention may have cleared its series meanwhile.
            if fault is not None and self._is_indexed(instance.instance.path):
                yield Finding(fault, instance.instance.path)
        settled = self.clock() - _SETTLED_SECONDS
        for stored in self.store.files.iter_files(self.store.data_dir / "instances"):
            path = stored.path
            if not self._is_indexed(path) and stored.modified_at < settled:
                whole = self._received(path) is not None
                yield Finding(Fault.NOT_INDEXED if whole else Fault.DAMAGED, path)

    def repair(self, finding: Finding, now: datetime) -> str:
        """Put it right as far as that can be; what was done, or has to be done, in words."""
        match finding.fault:
            case Fault.MISSING:
                return "send the series again"
            case Fault.DAMAGED:
                place = self.store.data_dir / "damaged" / finding.path.name
                with self.store.files.local_copies([finding.path]) as (file,):
                    self.store.files.put(place, [file.read_bytes()])
                self.store.files.remove([finding.path])
                return f"put aside as {place}; send the series again"
            case Fault.NOT_INDEXED:
                received = self._received(finding.path)
                if received is None:
                    return "it is damaged meanwhile; verify again"
                size = len(part10_bytes(received))
                self.store.add_instance(received, finding.path, size, now)
                return "indexed"

    def fault_of(self, indexed: IndexedInstance) -> Fault | None:
        """What is wrong with the file of an instance; None where it is as it came in."""
        with self.store.files.local_copies([indexed.instance.path]) as (file,):
            if not file.exists():
                return Fault.MISSING
            received = _read(file)
        if received is None or dataset_digest(received.dataset) != indexed.dataset_sha256:
            return Fault.DAMAGED
        return None

    def _is_indexed(self, path: Path) -> bool:
        return self.store.find_instance(path.stem) is not None

    def _received(self, path: Path) -> ReceivedInstance | None:
        with self.store.files.local_copies([path]) as (file,):
            return _read(file)


def _read(file: Path) -> ReceivedInstance | None:
    """The instance in the file; None where it cannot be read as one."""
    try:
        return received_from_file(file, _ORIGIN)
    except (Rejected, OSError):
        return None
