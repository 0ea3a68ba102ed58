"""Periodic tasks."""

import threading

from node.runtime.timers import Timers
from tests.support.waiting import until


def test_tasks_that_wait_for_slow_peers_hold_up_no_other() -> None:
    release, ran = threading.Event(), threading.Event()

    def wait() -> None:
        release.wait(60)

    timers = Timers()
    for number in range(30):  # more than the default pool of APScheduler
        timers.add_with_first_run(f"slow {number}", 1000.0, wait, first_after_s=0.0)
    timers.add("quick", 0.2, ran.set)
    timers.start()
    assert ran.wait(30)
    release.set()
    timers.stop()


def test_a_task_runs_long_before_its_interval_where_it_asks_for_that() -> None:
    ran = threading.Event()
    timers = Timers()
    timers.add_with_first_run("query", 100_000.0, ran.set, first_after_s=0.1)
    timers.start()
    until(ran.is_set, 30, "the first run")
    timers.stop()


def test_a_task_runs_sooner_where_somebody_asks_for_that_and_one_that_is_gone_does_not() -> None:
    ran = threading.Event()
    timers = Timers()
    timers.add("poll", 100_000.0, ran.set)
    timers.start()
    timers.run_after("gone", 0.1)
    timers.run_after("poll", 0.1)
    until(ran.is_set, 30, "the run")
    timers.stop()


def test_replaced_tasks_run_one_after_the_other_and_others_are_left_alone() -> None:
    timers = Timers()
    started, release, kept = threading.Event(), threading.Event(), threading.Event()
    order: list[str] = []

    def old() -> None:
        started.set()
        release.wait(60)
        order.append("old")

    timers.add("kept", 0.1, kept.set)
    with timers.replacing():
        timers.add("replaced", 0.05, old)
        timers.add("removed", 0.05, lambda: order.append("removed") if kept.is_set() else None)
    timers.start()
    assert started.wait(30)
    with timers.replacing():
        timers.add("replaced", 0.05, lambda: order.append("new"))
    order.clear()
    kept.clear()
    assert kept.wait(30)
    assert "new" not in order  # the old one still runs
    release.set()
    until(lambda: "new" in order, 30, "the new task")
    assert order[: order.index("new") + 1] == ["old", "new"]
    timers.handle_clock_change()
    timers.stop()
