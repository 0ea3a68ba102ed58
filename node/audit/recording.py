"""Writes records about what must go on without its record."""

from collections.abc import Callable

from node.audit.losses import AuditLosses
from node.domain.audit.records import AuditRecord
from node.domain.errors import NodeError


def record_if_possible(
    write: Callable[[AuditRecord], None], record: AuditRecord, losses: AuditLosses
) -> bool:
    """Writes the record; returns whether it could be written.

    The log names the action of a record that could not be written, and `losses` counts it.
    """
    try:
        write(record)
    except NodeError as error:
        import structlog  # here: commands start faster without it

        structlog.get_logger().error(
            "audit.not_recorded", action=record.action.value, error=str(error)
        )
        losses.add(record.happened_at)
        return False
    return True
