"""How much each peer has sent, and whether it may send more now.

The counts are in memory. They start anew with each minute, each day (UTC), and the listener.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from node.domain.connections.rejected_connection import ListenerRejection
from node.domain.errors import Transient
from pacs_listener.policy import Quota, SenderPolicy
from pacs_listener.processes.shared_limits import SharedLimits, digest_of

_MINUTE_S = 60


class QuotaReached(Transient):
    """A peer has sent as much as it may; later it may send more.

    `reason` says which limit it has reached.
    """

    def __init__(self, message: str, reason: ListenerRejection) -> None:
        super().__init__(message)
        self.reason = reason


class Quotas:
    """Counts what each AE title has sent; images that arrive together may exceed a limit.

    Images that the node has already do not count: a sender that repeats a series gets beyond the
    images that were stored before its limit. All listener processes count together.
    """

    def __init__(self, now: Callable[[], datetime], shared: SharedLimits) -> None:
        self._now = now
        self._shared = shared

    def check(self, ae_title: str, senders: Iterable[SenderPolicy]) -> None:
        """Checks whether a peer may send another image.

        Raises:
            QuotaReached: not before the next minute or day.
        """
        quota = _widest(senders)
        if quota == Quota():
            return
        with self._shared.exclusively():
            images, size = self._sent(ae_title)
        if quota.images_per_minute is not None and images >= quota.images_per_minute:
            raise QuotaReached(
                f"{ae_title} has sent {images} images within a minute, as many as "
                "max_images_per_minute allows",
                ListenerRejection.IMAGES_PER_MINUTE,
            )
        if quota.bytes_per_day is not None and size >= quota.bytes_per_day:
            raise QuotaReached(
                f"{ae_title} has sent {size / (1 << 20):,.1f} MiB today, as much as "
                "max_gib_per_day allows",
                ListenerRejection.GIB_PER_DAY,
            )

    def count(self, ae_title: str, senders: Iterable[SenderPolicy], size: int) -> None:
        """Counts a new image of so many bytes of a peer that has a limit."""
        if _widest(senders) == Quota():
            return
        with self._shared.exclusively():
            images, sent = self._sent(ae_title)
            minute, day = self._period()
            self._shared.set_sent(digest_of(ae_title), minute, images + 1, day, sent + size)

    def _sent(self, ae_title: str) -> tuple[int, int]:
        """Returns the images of this minute and the bytes of this day."""
        minute, images, day, size = self._shared.sent(digest_of(ae_title))
        this_minute, today = self._period()
        return images if minute == this_minute else 0, size if day == today else 0

    def _period(self) -> tuple[int, int]:
        """Returns the numbers of this minute and of this day (UTC)."""
        now = self._now()
        return int(now.timestamp()) // _MINUTE_S, now.toordinal()


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
