"""Records which images are refused, so that a series without them does not count as complete."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from node.domain.errors import Rejected, Transient
from node.domain.identifiers import Uid
from node.domain.incomplete_series import RefusedImage
from node.domain.instance import Origin
from node.domain.sop_classes import SEGMENTATIONS, STORAGE_SOP_CLASSES
from node.intake.identification import InstanceUids, uids_in
from node.intake.part10 import uids_in_part10
from node.store import Store

_LOG = structlog.get_logger()
# Models read the images of these classes, so a series needs them.
_IMAGES = STORAGE_SOP_CLASSES.keys() - SEGMENTATIONS.keys()
# While the database does not answer, the records wait in memory: some 20 MB of them.
_MAX_WAITING = 50_000
_REASON_LENGTH = 200
# Records that wait are stored this long after the database answers again.
FLUSH_SECONDS = 1.0
FORGET_SECONDS = 600.0


@dataclass
class RefusedImages:
    """The refused images of a process that receives; any number of threads refuse.

    A record is durable before the sender gets its answer. If the database does not answer, it waits
    in memory until `flush` can store it.
    """

    store: Store
    now: Callable[[], datetime]
    _waiting: dict[tuple[str, str], RefusedImage] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _has_failed: bool = False

    def add(
        self,
        dataset: bytes,
        transfer_syntax_uid: str,
        reason: str,
        *,
        sop_class_uid: str = "",
        sop_instance_uid: str = "",
    ) -> None:
        """Records an image, if it is one and its head says to which series it belongs.

        The UIDs are those of the DIMSE command; the data set may have none.
        """
        with suppress(Rejected):
            uids = uids_in(
                dataset,
                Uid(transfer_syntax_uid),
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
            )
            self._add(uids, reason)

    def add_file(self, content: bytes, reason: str) -> None:
        """Like `add`, for an image in a DICOM file."""
        with suppress(Rejected):
            self._add(uids_in_part10(content), reason)

    def add_sender(self, origin: Origin, reason: str) -> None:
        """Records that a sender is turned away before it names an image."""
        try:
            self.store.record_refused_sender(origin, _short(reason), self.now())
        except Transient as error:
            _LOG.warning("refused_images.not_recorded", error=str(error))

    def _add(self, uids: InstanceUids, reason: str) -> None:
        if uids.sop_class not in _IMAGES:
            return
        image = RefusedImage(uids.series, uids.sop_instance, _short(reason), self.now())
        with self._lock:
            if len(self._waiting) < _MAX_WAITING:
                self._waiting[uids.series, uids.sop_instance] = image
        if not self._has_failed:
            self.flush()

    def flush(self) -> None:
        """Stores what waits; keeps it if the database does not answer."""
        with self._turn:
            with self._lock:
                taken, self._waiting = self._waiting, {}
            if not taken:
                return
            try:
                self.store.record_refused_images(taken.values())
            except Transient as error:
                if not self._has_failed:
                    _LOG.warning("refused_images.not_recorded", error=str(error))
                self._has_failed = True
                with self._lock:
                    self._waiting = taken | self._waiting
            else:
                self._has_failed = False

    def forget_old(self) -> None:
        """Forgets images that nobody will send again."""
        self.store.forget_refused_images(self.now())


def _short(reason: str) -> str:
    return reason.rstrip(".")[:_REASON_LENGTH]
