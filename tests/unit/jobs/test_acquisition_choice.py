"""The rule of a job says which of several acquisitions is segmented."""

from pathlib import Path

import pytest

from node.domain.series import AcquisitionChoice
from tests.support.processes.worker_parts import WorkerParts


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
        assert node.choices == [choice]
    finally:
        node.stop()
