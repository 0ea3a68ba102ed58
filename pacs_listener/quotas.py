"""How much each peer has sent, and whether it may send more now.

The counts are in memory. They start anew with each minute, each day (UTC), and the listener.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from node.domain.errors import Transient
from pacs_listener.policy import Quota, SenderPolicy

_MINUTE = "%Y-%m-%d %H:%M"
_DAY = "%Y-%m-%d"


class QuotaReached(Transient):
    """A peer has sent as much as it may; later it may send more."""


@dataclass
class _Sent:
    """Numbers of images in the minute, and of bytes on the day, that are named."""

    minute: str = ""
    images: int = 0
    day: str = ""
    size: int = 0


class Quotas:
    """Counts what each AE title has sent; images that arrive together may exceed a limit.

    Images that the node has already do not count: a sender that repeats a series gets beyond the
    images that were stored before its limit.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._sent: dict[str, _Sent] = {}
        self._lock = threading.Lock()

    def check(self, ae_title: str, senders: Iterable[SenderPolicy]) -> None:
        """Checks whether a peer may send another image.

        Raises:
            QuotaReached: not before the next minute or day.
        """
        quota = _widest(senders)
        with self._lock:
            sent = self._current(ae_title)
            if quota.images_per_minute is not None and sent.images >= quota.images_per_minute:
                raise QuotaReached(
                    f"{ae_title} has sent {sent.images} images within a minute, as many as "
                    "max_images_per_minute allows"
                )
            if quota.bytes_per_day is not None and sent.size >= quota.bytes_per_day:
                raise QuotaReached(
                    f"{ae_title} has sent {sent.size / (1 << 20):,.1f} MiB today, as much as "
                    "max_gib_per_day allows"
                )

    def count(self, ae_title: str, size: int) -> None:
        """Counts a new image of so many bytes."""
        with self._lock:
            sent = self._current(ae_title)
            sent.images += 1
            sent.size += size

    def _current(self, ae_title: str) -> _Sent:
        """Returns the counts of this minute and day; the caller holds the lock."""
        now = self._now()
        minute, day = now.strftime(_MINUTE), now.strftime(_DAY)
        sent = self._sent.setdefault(ae_title, _Sent())
        if sent.minute != minute:
            sent.minute, sent.images = minute, 0
        if sent.day != day:
            sent.day, sent.size = day, 0
        return sent


def _widest(senders: Iterable[SenderPolicy]) -> Quota:
    """Returns the limits of an AE title: where several peers have it, the highest."""
    images: list[int | None] = []
    sizes: list[int | None] = []
    for sender in senders:
        images.append(sender.quota.images_per_minute)
        sizes.append(sender.quota.bytes_per_day)
    return Quota(_highest(images), _highest(sizes))


def _highest(limits: list[int | None]) -> int | None:
    known = [limit for limit in limits if limit is not None]
    return max(known) if known and len(known) == len(limits) else None
