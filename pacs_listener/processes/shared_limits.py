"""What all listener processes count together, so that a limit holds for the listener as a whole.

The counts are in memory that the processes share. Each process writes its own section only, and a
process that starts empties the section of the one that it replaces. What several processes write,
they write under a lock that the system releases when a process ends, however it ends.
"""

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b

# The highest value of max_associations.
_MAX_ADDRESSES = 1000
_DIGEST_BYTES = 16
# Of one process: connections, bytes in memory, addresses that follow.
_HEAD = struct.Struct("=QQQ")
_NOT_ACCEPTING = (1 << 64) - 1
_SECTION_BYTES = _HEAD.size + _MAX_ADDRESSES * _DIGEST_BYTES
# What one AE title has sent: its digest, the minute, images in it, the day, bytes on it.
_SENT = struct.Struct("=16sQQQQ")
_MAX_TITLES = 1024


def digest_of(text: str) -> bytes:
    """Returns what stands for an address or an AE title, which have any length."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).digest()


class SharedLimits:
    """The counts, as the process with the number `own` sees and writes them."""

    def __init__(self, memory: mmap.mmap, file: int | None, processes: int, own: int) -> None:
        self._memory = memory
        self._file = file
        self.processes = processes
        self.own = own
        self._lock = threading.RLock()

    @classmethod
    def create(cls, processes: int) -> "SharedLimits":
        """Returns empty counts for so many processes, which are forked from this one."""
        size = processes * _SECTION_BYTES + _MAX_TITLES * _SENT.size
        if processes == 1:
            return cls(mmap.mmap(-1, size), None, processes, 0)
        file = os.memfd_create("segnode-listener", os.MFD_CLOEXEC)
        os.ftruncate(file, size)
        return cls(mmap.mmap(file, size), file, processes, 0)

    def of_process(self, own: int) -> "SharedLimits":
        """Returns the counts for the process with that number, which has counted nothing yet."""
        _HEAD.pack_into(self._memory, own * _SECTION_BYTES, _NOT_ACCEPTING, 0, 0)
        return SharedLimits(self._memory, self._file, self.processes, own)

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Held while a count is compared with its limit and changed."""
        with self._lock:
            if self._file is None:
                yield
                return
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    @property
    def connections(self) -> dict[int, int]:
        """The number of open connections of each process that accepts any."""
        counts = {number: self._head(number)[0] for number in range(self.processes)}
        return {number: count for number, count in counts.items() if count != _NOT_ACCEPTING}

    def set_connections(self, count: int) -> None:
        """States the number of open connections of this process."""
        with self._lock:
            _, buffered, addresses = self._head(self.own)
            self._set_head(count, buffered, addresses)

    @property
    def buffered_bytes(self) -> int:
        """The bytes that all processes hold in memory for their senders."""
        return sum(self._head(number)[1] for number in range(self.processes))

    def set_buffered_bytes(self, count: int) -> None:
        """States the bytes that this process holds in memory for its senders."""
        with self._lock:
            connections, _, addresses = self._head(self.own)
            self._set_head(connections, count, addresses)

    def addresses(self) -> list[bytes]:
        """Returns the digest of the address of every association."""
        found: list[bytes] = []
        for number in range(self.processes):
            start = number * _SECTION_BYTES + _HEAD.size
            end = start + self._head(number)[2] * _DIGEST_BYTES
            content = self._memory[start:end]
            found += [content[i : i + _DIGEST_BYTES] for i in range(0, end - start, _DIGEST_BYTES)]
        return found

    def set_addresses(self, digests: Sequence[bytes]) -> None:
        """States the associations of this process, by the digests of their addresses."""
        kept = digests[:_MAX_ADDRESSES]
        with self._lock:
            start = self.own * _SECTION_BYTES + _HEAD.size
            self._memory[start : start + len(kept) * _DIGEST_BYTES] = b"".join(kept)
            connections, buffered, _ = self._head(self.own)
            self._set_head(connections, buffered, len(kept))

    def sent(self, title: bytes) -> tuple[int, int, int, int]:
        """Returns minute, images, day and bytes of an AE title; the caller holds `exclusively`."""
        _, minute, images, day, size = _SENT.unpack_from(self._memory, self._row(title))
        return minute, images, day, size

    def set_sent(self, title: bytes, minute: int, images: int, day: int, size: int) -> None:
        """States what an AE title has sent; the caller holds `exclusively`."""
        _SENT.pack_into(self._memory, self._row(title), title, minute, images, day, size)

    def _row(self, title: bytes) -> int:
        """Returns where the counts of an AE title are; beyond so many titles, one replaces one."""
        first = int.from_bytes(title[:8], "big")
        begin = self.processes * _SECTION_BYTES
        for step in range(_MAX_TITLES):
            offset = begin + (first + step) % _MAX_TITLES * _SENT.size
            known = self._memory[offset : offset + _DIGEST_BYTES]
            if known == title or not any(known):
                return offset
        offset = begin + first % _MAX_TITLES * _SENT.size
        _SENT.pack_into(self._memory, offset, title, 0, 0, 0, 0)
        return offset

    def _head(self, number: int) -> tuple[int, int, int]:
        connections, buffered, addresses = _HEAD.unpack_from(self._memory, number * _SECTION_BYTES)
        return connections, buffered, min(addresses, _MAX_ADDRESSES)

    def _set_head(self, connections: int, buffered: int, addresses: int) -> None:
        _HEAD.pack_into(self._memory, self.own * _SECTION_BYTES, connections, buffered, addresses)
