"""Threads that wait for the same change share it."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from node.domain.errors import Transient
from node.store.group_commit import GroupCommit
from tests.support.waiting import until

_LONG_S = 60.0


class _Commits:
    """Records the groups; the first commit lasts until `release` is set."""

    def __init__(self, failures: Sequence[Exception | None] = ()) -> None:
        self.groups: list[list[int]] = []
        self.started = threading.Event()
        self.release = threading.Event()
        self._failures = list(failures)

    def __call__(self, items: Sequence[int]) -> list[str]:
        self.groups.append(list(items))
        self.started.set()
        assert self.release.wait(_LONG_S)
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        return [f"result of {item}" for item in items]


def _submitted_together(
    commits: _Commits, items: Sequence[int], pool: ThreadPoolExecutor
) -> list[Future[str]]:
    """Submits the first item, and the others while its commit lasts; returns all results."""
    group = GroupCommit(commits)
    futures = [pool.submit(group.submit, items[0])]
    assert commits.started.wait(_LONG_S)
    futures += [pool.submit(group.submit, item) for item in items[1:]]
    until(lambda: len(group._waiting) == len(items) - 1, _LONG_S, "the others to wait")
    commits.release.set()
    return futures


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that submit items."""
    with ThreadPoolExecutor(8) as threads:
        yield threads


def test_one_item_is_committed_alone() -> None:
    commits = _Commits()
    commits.release.set()
    assert GroupCommit(commits).submit(1) == "result of 1"
    assert commits.groups == [[1]]


def test_what_waits_meanwhile_is_committed_together(pool: ThreadPoolExecutor) -> None:
    commits = _Commits()
    futures = _submitted_together(commits, [1, 2, 3, 4], pool)
    assert [each.result(_LONG_S) for each in futures] == [f"result of {n}" for n in (1, 2, 3, 4)]
    assert commits.groups[0] == [1]
    assert [sorted(group) for group in commits.groups[1:]] == [[2, 3, 4]]


def test_a_transient_failure_is_one_for_the_group_and_is_not_repeated(
    pool: ThreadPoolExecutor,
) -> None:
    commits = _Commits([None, Transient("the database is locked")])
    first, *others = _submitted_together(commits, [1, 2, 3], pool)
    assert first.result(_LONG_S) == "result of 1"
    errors = [each.exception(_LONG_S) for each in others]
    assert [str(error) for error in errors] == ["the database is locked"] * 2
    assert len({id(error) for error in errors}) == 2
    assert len(commits.groups) == 2


def test_a_defect_affects_only_its_item(pool: ThreadPoolExecutor) -> None:
    def commit(items: Sequence[int]) -> list[int]:
        groups.append(list(items))
        if len(groups) == 1:
            started.set()
            assert release.wait(_LONG_S)
        if 3 in items:
            raise ValueError("three")
        return list(items)

    groups: list[list[int]] = []
    started, release = threading.Event(), threading.Event()
    group = GroupCommit(commit)
    first = pool.submit(group.submit, 1)
    assert started.wait(_LONG_S)
    others = [pool.submit(group.submit, item) for item in (2, 3, 4)]
    until(lambda: len(group._waiting) == 3, _LONG_S, "the others to wait")
    release.set()
    assert first.result(_LONG_S) == 1
    assert [others[0].result(_LONG_S), others[2].result(_LONG_S)] == [2, 4]
    with pytest.raises(ValueError, match="three"):
        others[1].result(_LONG_S)
    assert sorted(map(len, groups)) == [1, 1, 1, 1, 3]


def test_after_a_failure_later_items_are_committed() -> None:
    commits = _Commits([Transient("locked")])
    commits.release.set()
    group = GroupCommit(commits)
    with pytest.raises(Transient, match="locked"):
        group.submit(1)
    assert group.submit(2) == "result of 2"


def test_a_thread_that_is_interrupted_leaves_no_other_waiting() -> None:
    def commit(items: Sequence[int]) -> list[int]:
        raise KeyboardInterrupt

    group = GroupCommit(commit)
    for item in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            group.submit(item)
