"""A task runs when something may have changed, and otherwise seldom."""

from dataclasses import dataclass, field

import pytest

from node.domain.errors import Transient
from node.runtime.when_changed import WhenChanged

_IDLE_S = 5.0


@dataclass
class Task:
    """A task with its surroundings, which a test changes."""

    version: int = 1
    idle: bool = True
    fails: bool = False
    seconds: float = 100.0
    runs: int = 0
    when_changed: WhenChanged = field(init=False)

    def __post_init__(self) -> None:
        self.when_changed = WhenChanged(
            self.run, lambda: self.version, _IDLE_S, lambda: self.idle, lambda: self.seconds
        )

    def run(self) -> None:
        self.runs += 1
        if self.fails:
            raise Transient("the database does not answer")


def runs_of_a_call(task: Task) -> int:
    before = task.runs
    task.when_changed()
    return task.runs - before


def test_the_first_call_runs_and_the_next_does_not() -> None:
    task = Task()
    assert [runs_of_a_call(task) for _ in range(3)] == [1, 0, 0]


def test_a_change_runs_the_task_once() -> None:
    task = Task()
    task.when_changed()
    task.version = 2
    assert [runs_of_a_call(task) for _ in range(2)] == [1, 0]


def test_a_change_during_a_run_is_not_missed() -> None:
    task = Task()

    def change() -> None:
        task.runs += 1
        task.version += task.runs < 2

    task.when_changed.run = change
    assert [runs_of_a_call(task) for _ in range(3)] == [1, 1, 0]


def test_a_task_with_more_to_do_runs_at_each_call() -> None:
    task = Task(idle=False)
    assert [runs_of_a_call(task) for _ in range(3)] == [1, 1, 1]


def test_without_a_change_the_task_runs_after_the_idle_time() -> None:
    task = Task()
    task.when_changed()
    task.seconds += _IDLE_S
    assert [runs_of_a_call(task) for _ in range(2)] == [1, 0]


def test_a_task_that_failed_runs_again() -> None:
    task = Task(fails=True)
    for _ in range(2):
        with pytest.raises(Transient):
            task.when_changed()
    task.fails = False
    assert [runs_of_a_call(task) for _ in range(2)] == [1, 0]
