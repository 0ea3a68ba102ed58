"""Rules that select different versions of one model."""

from dataclasses import replace
from pathlib import Path

from node.domain.job import JobState
from node.routing.conditions import Equals
from node.routing.rules import Rule
from tests.support.factories import SERIES
from tests.support.processes.worker_parts import WorkerParts


def select(node: WorkerParts, name: str) -> None:
    """Changes the model of the first rule, as a changed configuration does."""
    rules = node.series_completion.rules
    node.series_completion.rules = [replace(rules[0], model=name), *rules[1:]]
    node.installed = node.version_of(name)


def test_two_versions_that_rules_select_for_a_series_stand_beside_each_other(
    tmp_path: Path,
) -> None:
    ct = Equals("Modality", "CT")
    newer = Rule("newer", "liver-ct@2.0", ("archive",), ct, 0.001)
    node = WorkerParts(tmp_path, more_rules=(newer,))
    node.start()
    try:
        node.receive()
        select(node, "liver-ct@1.0")
        node.poll()
        jobs = node.ended_jobs(SERIES, 2)
        assert {job.model_version: job.rules for job in jobs} == {
            "1.0": ("liver",),
            "2.0": ("newer",),
        }
        assert {job.state for job in jobs} == {JobState.DELIVERED}
        # The version of a rule changes: its new result replaces that of the same rule alone.
        select(node, "liver-ct@1.1")
        node.poll()
        newest = max(node.ended_jobs(SERIES, 3), key=lambda job: job.created_at)
        assert newest.model_version == "1.1"
        assert [each and each.model_version for each in node.replaces] == [None, None, "1.0"]
    finally:
        node.stop()
