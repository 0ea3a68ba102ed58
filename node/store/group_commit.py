"""Makes one change durable for all threads that wait for one, instead of one change for each.

What costs is the wait for the disk, which is the same for one row and for many.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from node.domain.errors import Transient

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Entry(Generic[Item, Result]):
    """An item whose thread waits for its result."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.results: tuple[Result, ...] = ()  # one, once there is one
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return bool(self.results) or self.error is not None


class GroupCommit(Generic[Item, Result]):
    """Calls `commit` with all items that wait; it returns a result for each, in their order.

    One thread calls it at a time. It does so for the others, which have waited meanwhile.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._commit = commit
        self._waiting: list[_Entry[Item, Result]] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def submit(self, item: Item) -> Result:
        """Returns the result of an item, once the change with it is durable.

        Raises:
            Transient: the change with this item or with one beside it failed; it may be repeated.
            Exception: what `commit` raises for this item alone.
        """
        entry = _Entry[Item, Result](item)
        with self._lock:
            self._waiting.append(entry)
        with self._turn:
            if not entry.is_done:
                self._commit_waiting()
        if entry.error is not None:
            raise entry.error
        return entry.results[0]

    def _commit_waiting(self) -> None:
        with self._lock:
            group, self._waiting = self._waiting, []
        if not self._succeeds(group) and len(group) > 1:
            # The defect of one item must not affect the others.
            for entry in group:
                self._succeeds([entry])

    def _succeeds(self, group: Sequence[_Entry[Item, Result]]) -> bool:
        """Sets the results of a group; returns False where the items are to be tried alone."""
        try:
            results = self._commit([entry.item for entry in group])
        except Transient as error:  # it would fail for each of them
            for entry in group:
                # Each thread raises an error of its own.
                entry.error = Transient(str(error))
                entry.error.__cause__ = error
            return True
        except BaseException as error:
            for entry in group:
                entry.error = error
            if not isinstance(error, Exception):
                raise
            return False
        for entry, result in zip(group, results, strict=True):
            entry.results, entry.error = (result,), None
        return True
