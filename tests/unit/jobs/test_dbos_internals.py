"""The private interface of DBOS that the node uses is still there."""

import inspect
from importlib.metadata import version

from dbos import DBOS


def test_dbos_still_recovers_the_workflows_of_given_executors() -> None:
    name = "_recover_pending_workflows"
    method = getattr(DBOS, name, None)
    installed = f"dbos {version('dbos')}"
    assert method is not None, f"{installed} has no DBOS.{name}: adapt node/jobs/dbos_internals.py"
    parameters = list(inspect.signature(method).parameters)
    assert parameters[:1] == ["executor_ids"], f"{installed}: DBOS.{name} takes {parameters}"
