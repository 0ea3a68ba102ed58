"""The inbox, in which every input channel ends: stores, syncs and indexes each instance."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from node.dicom.data_set_digest import ImageDigest, digest_of, has_digest
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.instance import ReceivedInstance
from node.domain.series import StoredInstance
from node.intake.part10 import part10_header, received_from_file
from node.store import IndexedInstance, Store

_LOG = structlog.get_logger()
# Each computes SHA-256 of 300 MB/s or more: together they keep up with a network of 10 Gbit/s.
DIGEST_THREADS = 4


class StoredInOtherSeries(Rejected):
    """The instance is stored as part of another series; an instance belongs to one (PS3.3 A.1)."""

    def __init__(self, known: IndexedInstance) -> None:
        super().__init__(
            RejectionReason.INVALID_INSTANCE,
            f"instance {known.instance.sop_instance_uid} is stored already as part of another "
            f"series, {known.series_instance_uid}",
        )


@dataclass(frozen=True)
class Accepted:
    """A durable instance; `is_new` is False if it had been accepted before."""

    instance: StoredInstance
    is_new: bool


class Inbox:
    """Accepts instances from any number of threads and processes over one store.

    A file is stored before it is indexed, so every index row has its file. If the row is missing
    after a crash, the sender has not received success and sends the instance again.

    With less than `min_free_bytes` free, the inbox accepts no new instance: the remaining space is
    for the database and for the results of the instances already accepted.
    """

    def __init__(self, store: Store, min_free_bytes: int, digest: ImageDigest = "sha256") -> None:
        self._store = store
        self._min_free_bytes = min_free_bytes
        self._digest = digest
        self._digests = ThreadPoolExecutor(DIGEST_THREADS, thread_name_prefix="digest")

    def check_free_space(self) -> None:
        """Checks that a new instance can be accepted.

        Raises:
            Transient: the disk is full, or nearly so, or cannot be used.
        """
        free = self._store.files.free_bytes()
        if free is not None and free < self._min_free_bytes:
            raise Transient(
                f"no new instance is accepted: {free >> 20} MiB are free in "
                f"{self._store.data_dir}, "
                f"and {self._min_free_bytes >> 20} MiB are to stay free (least_free_gib)"
            )

    def accept(self, received: ReceivedInstance, now: datetime) -> Accepted:
        """Stores an instance durably: a file with its unchanged data set, and an index row.

        An instance that is already stored is accepted and changes nothing, even if its bytes
        differ: the first is kept.

        Raises:
            StoredInOtherSeries: the SOP Instance UID is already stored as part of another series.
            Transient: no space, no disk or no database; nothing is stored.
        """
        files, path = self._store.files, self._path_of(received)
        if not files.is_surely_new(path):
            known = self._store.find_instance(received.sop_instance_uid)
            # A file that the disk has lost is stored again.
            if known is not None and files.exists(known.instance.path):
                return _duplicate(known, received)
        self.check_free_space()
        of_received = self._digest_beside(received)
        stored, size = self._store_file(received, path)
        digest = of_received() if stored is received else digest_of(stored.dataset, self._digest)
        is_new = self._store.add_instance(stored, path, size, now, digest)
        if not files.exists(path):
            # An earlier file was there and was cleared before its series was in use again.
            stored, _ = self._store_file(received, path)
        if is_new and stored is received:
            return Accepted(_stored_instance(received, path), is_new=True)
        known = self._store.find_instance(received.sop_instance_uid)
        if known is None:
            raise Transient(f"instance {received.sop_instance_uid} was removed meanwhile")
        if known.instance.path != path:  # another writer has indexed it in another series meanwhile
            files.remove([path])
        return Accepted(_duplicate(known, received).instance, is_new)

    def remove_abandoned(self) -> int:
        """Deletes the incomplete files of dead processes; returns their number."""
        removed = self._store.files.remove_abandoned()
        if removed:
            _LOG.info("inbox.abandoned_files_removed", files=removed)
        return removed

    def _digest_beside(self, received: ReceivedInstance) -> Callable[[], str]:
        """Returns what returns the digest; another thread computes a slow one meanwhile."""
        compute = partial(digest_of, received.dataset, self._digest)
        # This one would wait for the other thread longer than BLAKE3 takes.
        return self._digests.submit(compute).result if self._digest == "sha256" else compute

    def _path_of(self, received: ReceivedInstance) -> Path:
        folder = self._store.data_dir / "instances" / received.series_instance_uid
        return folder / f"{received.sop_instance_uid}.dcm"

    def _store_file(self, received: ReceivedInstance, path: Path) -> tuple[ReceivedInstance, int]:
        """Stores the file unless one exists; returns the instance in it and its size in bytes."""
        files = self._store.files
        pieces = (part10_header(received), received.dataset)
        size = sum(len(piece) for piece in pieces)
        if files.add(path, pieces):
            return received, size
        try:
            with files.local_copies([path]) as (file,):
                return received_from_file(file, received.origin), file.stat().st_size
        except FileNotFoundError as error:
            raise Transient(f"instance {received.sop_instance_uid} is being removed") from error
        except OSError as error:
            raise Transient(f"an earlier file cannot be read: {error.strerror}") from error
        except Rejected:  # the earlier file is damaged: replace it
            files.put(path, pieces)
            return received, size


def _duplicate(known: IndexedInstance, received: ReceivedInstance) -> Accepted:
    if known.series_instance_uid != received.series_instance_uid:
        raise StoredInOtherSeries(known)
    if not has_digest(received.dataset, known.dataset_digest):
        _LOG.warning(
            "inbox.differs_from_first",
            sop_instance_uid=received.sop_instance_uid,
            series_instance_uid=received.series_instance_uid,
            peer=received.origin.peer,
            first_transfer_syntax_uid=known.instance.transfer_syntax_uid,
            transfer_syntax_uid=received.transfer_syntax_uid,
        )
    return Accepted(known.instance, is_new=False)


def _stored_instance(received: ReceivedInstance, path: Path) -> StoredInstance:
    return StoredInstance(
        sop_instance_uid=received.sop_instance_uid,
        sop_class_uid=received.sop_class_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        path=path,
    )
