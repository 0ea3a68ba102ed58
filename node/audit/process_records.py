"""Records that a process of the node starts and stops (PS3.15 A.5.3.1)."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version

from node.audit.losses import AuditLosses
from node.audit.recording import record_if_possible
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.errors import NodeError


@contextmanager
def recorded_process(
    write: Callable[[AuditRecord], None],
    role: str,
    now: Callable[[], datetime],
    losses: AuditLosses,
) -> Iterator[None]:
    """Records the start of this process, and its stop when the block ends.

    `role` is what the process is on this host. A process that cannot record runs all the same: it
    must receive images and finish jobs. A process that is killed has a start without a stop.
    """

    def record(action: AuditAction, outcome: AuditOutcome, detail: str) -> None:
        process = AuditObject(AuditObjectType.PROCESS, f"{socket.gethostname()}/{role}")
        actor = AuditActor("segnode", AuditInterface.NODE)
        entry = AuditRecord(now(), action, outcome, actor, (process,), detail)
        record_if_possible(write, entry, losses)

    record(AuditAction.STARTED, AuditOutcome.SUCCESS, f"segnode {version('segnode')}")
    try:
        yield
    except Exception as error:
        record(AuditAction.STOPPED, AuditOutcome.SERIOUS_FAILURE, _reason(error))
        raise
    record(AuditAction.STOPPED, AuditOutcome.SUCCESS, "")


def _reason(error: Exception) -> str:
    """The message of an error on one line; that of a defect may name a patient."""
    return " ".join(str(error).split()) if isinstance(error, NodeError) else type(error).__name__
