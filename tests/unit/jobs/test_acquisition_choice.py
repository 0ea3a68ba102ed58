"""The rules of a job say which of several acquisitions is segmented, and what marks or holds it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.domain.findings import Finding, FindingKind
from node.domain.series import AcquisitionChoice
from node.routing.conditions import Equals
from node.routing.rules import Rule
from tests.support.processes.worker_parts import WorkerParts

_ALSO = Rule(
    "research, all phases",
    "liver-ct",
    ("archive",),
    Equals("Modality", "CT"),
    0.001,
    mark_on=frozenset({FindingKind.CUT_BY_SERIES}),
    hold_on=frozenset({FindingKind.HOLES}),
    min_agreement=0.95,
    acquisitions=AcquisitionChoice.LAST,
)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[WorkerParts]:
    """A worker with two rules for one model; the first one makes no choice."""
    node = WorkerParts(tmp_path, hold_on=frozenset({FindingKind.SEVERAL_COMPONENTS}))
    node.more_rules = (_ALSO, replace(_ALSO, name="later", acquisitions=AcquisitionChoice.FIRST))
    node.start()
    yield node
    node.stop()


@pytest.mark.parametrize("choice", AcquisitionChoice)
def test_the_choice_of_the_rule_reaches_the_model(
    choice: AcquisitionChoice, tmp_path: Path
) -> None:
    node = WorkerParts(tmp_path, acquisitions=choice)
    node.start()
    try:
        node.receive()
        node.poll()
        node.ended_job()
        assert [request.acquisitions for request in node.requests] == [choice]
    finally:
        node.stop()


def test_rules_for_one_model_are_combined(both: WorkerParts) -> None:
    both.receive()
    both.poll()
    job = both.ended_job()
    assert job.rules == ("liver", "research, all phases", "later")
    assert job.rule == "liver, research, all phases, later"
    (request,) = both.requests
    assert request.acquisitions is AcquisitionChoice.LAST, "the first rule with a choice decides"
    assert request.mark_on == {FindingKind.CUT_BY_SERIES}
    assert request.min_agreement == 0.95, "the highest counts"


@pytest.mark.parametrize("kind", [FindingKind.SEVERAL_COMPONENTS, FindingKind.HOLES])
def test_a_result_is_held_for_the_findings_of_any_of_its_rules(
    kind: FindingKind, both: WorkerParts
) -> None:
    both.findings = (Finding(kind, "Liver", "It is odd."),)
    both.receive()
    both.poll()
    assert both.ended_job().is_held
