"""The hall behind every door: an accepted instance is on disk, synced and indexed."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.instance import ReceivedInstance
from node.domain.series import StoredInstance
from node.intake.part10 import file_head, received_from_file
from node.store import IndexedInstance, Store
from node.store.instances import dataset_digest

_LOG = structlog.get_logger()
# Folders known to be durable are remembered up to this number, then learnt anew.
_MOST_REMEMBERED_FOLDERS = 10_000


class StoredElsewhere(Rejected):
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
    """Takes instances in, from any number of threads and processes over one data folder.

    A file is written under a temporary name, synced, given its name, and its folder synced, before
    it is indexed; so a file with its name is always whole, and an index row always has its file.
    Where the row is missing after a crash, the sender was not told success and sends again.

    With less than `least_free_bytes` free on the disk nothing new is taken: what is left is for
    the results of what is here, and for the database.
    """

    def __init__(self, store: Store, data_dir: Path, least_free_bytes: int) -> None:
        self._store = store
        self._least_free_bytes = least_free_bytes
        self._instances = data_dir.absolute() / "instances"
        self._incoming = data_dir.absolute() / "incoming"
        self._durable_folders: set[Path] = set()

    def check_room(self) -> None:
        """See that the disk can take more.

        Raises:
            Transient: it is full, or nearly so, or cannot be used.
        """
        # The folder itself may not be there yet.
        place = next(p for p in self._instances.parents if p.is_dir())
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            raise _out_of_resources(error) from error
        if free < self._least_free_bytes:
            raise Transient(
                f"nothing more is taken in: {free >> 20} MiB are free in {place}, and "
                f"{self._least_free_bytes >> 20} MiB are to stay free (least_free_gib)"
            )

    def accept(self, received: ReceivedInstance, now: datetime) -> Accepted:
        """Makes an instance durable: bytes as they came, under a fresh Part 10 head, and its row.

        The same instance again is accepted and changes nothing, even where its bytes differ: the
        first is kept.

        Raises:
            Rejected: the SOP Instance UID is stored already as part of another series.
            Transient: no space, no disk, or no database; nothing is kept.
        """
        known = self._store.find_instance(received.sop_instance_uid)
        # A file that the disk has lost is written anew.
        if known is not None and known.instance.path.is_file():
            return _again(known, received)
        self.check_room()
        try:
            kept, path = self._write(received)
            size = path.stat().st_size
        except OSError as error:
            raise _out_of_resources(error) from error
        is_new = self._store.add_instance(kept, path, size, now)
        if not path.is_file():
            # An earlier one lay there, and was cleared before its series was in use again.
            kept, path = self._write(received)
        if is_new and kept is received:
            return Accepted(_stored(received, path), is_new=True)
        known = self._store.find_instance(received.sop_instance_uid)
        if known is None:
            raise Transient(f"instance {received.sop_instance_uid} was removed while it came in")
        if known.instance.path != path:  # another writer put it into another series meanwhile
            path.unlink(missing_ok=True)
        return Accepted(_again(known, received).instance, is_new)

    def remove_leftovers(self) -> int:
        """Deletes what writers that died have left half written; returns how many files.

        Files that another process is writing are locked by it and stay.
        """
        if not self._incoming.is_dir():
            return 0
        removed = 0
        with self._gate(fcntl.LOCK_EX):
            for file in self._incoming.glob("*.part"):
                removed += _remove_if_abandoned(file)
        if removed:
            _LOG.info("inbox.leftovers_removed", files=removed)
        return removed

    def _write(self, received: ReceivedInstance) -> tuple[ReceivedInstance, Path]:
        """Writes the file; gives the instance that lies there now, an earlier one's if one did."""
        folder = self._instances / received.series_instance_uid
        path = folder / f"{received.sop_instance_uid}.dcm"
        self._make_durable(folder)
        with self._written_and_synced(received) as temporary:
            kept = _name_for_good(temporary, path, received)
        _sync_folder(folder)
        return kept, path

    @contextmanager
    def _written_and_synced(self, received: ReceivedInstance) -> Iterator[Path]:
        """A temporary file with the whole instance; it is gone when the block is left."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        path = self._incoming / f"{uuid.uuid4().hex}.part"
        with self._gate(fcntl.LOCK_SH):
            file = path.open("xb")
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            with file:
                file.write(file_head(received))
                file.write(received.dataset)
                file.flush()
                os.fsync(file.fileno())
                yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _gate(self, kind: int) -> Iterator[None]:
        """Held shared while a file is made and locked, so that no cleaner sees it unlocked."""
        with (self._incoming / "gate.lock").open("wb") as gate:
            fcntl.flock(gate, kind)
            yield

    def _make_durable(self, folder: Path) -> None:
        if folder in self._durable_folders and folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(folder.parent)
        _sync_folder(folder.parent.parent)
        if len(self._durable_folders) >= _MOST_REMEMBERED_FOLDERS:
            self._durable_folders.clear()
        self._durable_folders.add(folder)


def _name_for_good(temporary: Path, path: Path, received: ReceivedInstance) -> ReceivedInstance:
    """Gives the file its name unless one of that name is there; the instance it then holds."""
    try:
        # Unlike a rename, a link never replaces what another writer has just put there.
        os.link(temporary, path)
    except FileExistsError:
        try:
            return received_from_file(path, received.origin)
        except Rejected:  # a damaged disk: ours is whole
            temporary.replace(path)
    return received


def _again(known: IndexedInstance, received: ReceivedInstance) -> Accepted:
    if known.series_instance_uid != received.series_instance_uid:
        raise StoredElsewhere(known)
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


def _out_of_resources(error: OSError) -> Transient:
    place = error.filename if error.filename is not None else "the data folder"
    return Transient(f"the instance cannot be kept: {error.strerror or error} ({place})")


def _remove_if_abandoned(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (BlockingIOError, FileNotFoundError):  # being written, or just given its name
        return False
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
