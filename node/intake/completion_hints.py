"""Takes the release of an association as the sender's statement that its series are complete."""

import threading
from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakKeyDictionary

import structlog

from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.store import Store

_LOG = structlog.get_logger()


@dataclass
class ReleaseHints:
    """Records which series are complete when an association ends, for `peers` (AE titles).

    Those to which another open association of this process has sent images are left out.
    """

    store: Store
    now: Callable[[], datetime]
    peers: Collection[str] = ()
    # By association; one that never ends properly is forgotten with its object.
    _series: MutableMapping[object, set[Uid]] = field(default_factory=WeakKeyDictionary)
    _callers: MutableMapping[object, str] = field(default_factory=WeakKeyDictionary)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stored(self, association: object, calling: str, series_instance_uid: Uid) -> None:
        """Notes that an image of this series has come over an open association."""
        if calling in self.peers:
            with self._lock:
                self._callers[association] = calling
                self._series.setdefault(association, set()).add(series_instance_uid)

    def ended(self, association: object, *, is_released: bool) -> None:
        """Records the series of an association that the sender has released; forgets others.

        Without an answer of the database nothing is recorded: then the quiet time decides.
        """
        with self._lock:
            calling = self._callers.pop(association, "")
            ended = self._series.pop(association, set())
            complete = sorted(ended.difference(*self._series.values()))
        if not is_released or not complete:
            return
        detail = f"{calling} has released its association"
        try:
            self.store.record_completion_hint(complete, self.now(), detail)
        except Transient as error:
            _LOG.warning("series.hint_not_recorded", calling_ae=calling, error=str(error))
