"""The hall behind every door: an accepted instance is on disk, synced and indexed."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.instance import ReceivedInstance
from node.domain.series import StoredInstance
from node.intake.part10 import part10_header, received_from_file
from node.store import IndexedInstance, Store
from node.store.received.instances import dataset_digest

_LOG = structlog.get_logger()


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
    """An instance that will not be lost; `is_new` is False when it had come before."""

    instance: StoredInstance
    is_new: bool


class Inbox:
    """Takes instances in, from any number of threads and processes over one store.

    A file is kept before it is indexed, so an index row always has its file. Where the row is
    missing after a crash, the sender was not told success and sends again.

    With less than `min_free_bytes` free nothing new is taken: what is left is for the results of
    what is here, and for the database.
    """

    def __init__(self, store: Store, min_free_bytes: int) -> None:
        self._store = store
        self._min_free_bytes = min_free_bytes

    def check_free_space(self) -> None:
        """See that more can be taken.

        Raises:
            Transient: the disk is full, or nearly so, or cannot be used.
        """
        free = self._store.files.free_bytes()
        if free is not None and free < self._min_free_bytes:
            raise Transient(
                f"nothing more is taken in: {free >> 20} MiB are free in {self._store.data_dir}, "
                f"and {self._min_free_bytes >> 20} MiB are to stay free (least_free_gib)"
            )

    def accept(self, received: ReceivedInstance, now: datetime) -> Accepted:
        """Makes an instance durable: bytes as they came, under a fresh Part 10 head, and its row.

        The same instance again is accepted and changes nothing, even where its bytes differ: the
        first is kept.

        Raises:
            Rejected: the SOP Instance UID is stored already as part of another series.
            Transient: no space, no disk, or no database; nothing is kept.
        """
        files = self._store.files
        known = self._store.find_instance(received.sop_instance_uid)
        # A file that the disk has lost is written anew.
        if known is not None and files.exists(known.instance.path):
            return _again(known, received)
        self.check_free_space()
        path = self._path_of(received)
        kept, size = self._keep(received, path)
        is_new = self._store.add_instance(kept, path, size, now)
        if not files.exists(path):
            # An earlier one lay there, and was cleared before its series was in use again.
            kept, _ = self._keep(received, path)
        if is_new and kept is received:
            return Accepted(_stored(received, path), is_new=True)
        known = self._store.find_instance(received.sop_instance_uid)
        if known is None:
            raise Transient(f"instance {received.sop_instance_uid} was removed while it came in")
        if known.instance.path != path:  # another writer put it into another series meanwhile
            files.remove([path])
        return Accepted(_again(known, received).instance, is_new)

    def remove_abandoned(self) -> int:
        """Deletes what writers that died have left half written; returns how many files."""
        removed = self._store.files.remove_abandoned()
        if removed:
            _LOG.info("inbox.leftovers_removed", files=removed)
        return removed

    def _path_of(self, received: ReceivedInstance) -> Path:
        folder = self._store.data_dir / "instances" / received.series_instance_uid
        return folder / f"{received.sop_instance_uid}.dcm"

    def _keep(self, received: ReceivedInstance, path: Path) -> tuple[ReceivedInstance, int]:
        """Keeps the file; the instance that is kept there now, an earlier one's if one was.

        With the size of its file in bytes.
        """
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
        except Rejected:  # a damaged disk: ours is whole
            files.put(path, pieces)
            return received, size


def _again(known: IndexedInstance, received: ReceivedInstance) -> Accepted:
    if known.series_instance_uid != received.series_instance_uid:
        raise StoredInOtherSeries(known)
    if known.dataset_sha256 != dataset_digest(received.dataset):
        _LOG.warning(
            "inbox.differs_from_first",
            sop_instance_uid=received.sop_instance_uid,
            series_instance_uid=received.series_instance_uid,
            peer=received.origin.peer,
            first_transfer_syntax_uid=known.instance.transfer_syntax_uid,
            transfer_syntax_uid=received.transfer_syntax_uid,
        )
    return Accepted(known.instance, is_new=False)


def _stored(received: ReceivedInstance, path: Path) -> StoredInstance:
    return StoredInstance(
        sop_instance_uid=received.sop_instance_uid,
        sop_class_uid=received.sop_class_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        path=path,
    )
