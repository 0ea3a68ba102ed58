"""The only use of DBOS's private interface; a test reports when an upgrade changes it."""

from collections.abc import Sequence

from dbos import DBOS


def recover_pending_workflows(executor_ids: Sequence[str]) -> None:
    """Queues the pending workflows of these executors again.

    The public interface recovers only the workflows of the executor that starts.
    """
    DBOS._recover_pending_workflows(list(executor_ids))
