"""Subscribes the node to the events of its work items, where the server supports it."""

from dataclasses import dataclass, field
from urllib.parse import quote

import structlog

from node.domain.error_classification import Defect, attempt
from node.domain.worklists.work_item import WorkItem
from node.worklists.ups_client import UpsServer

_LOG = structlog.get_logger()


@dataclass
class Subscriptions:
    """Subscriptions of single work items, under the node's AE title.

    A server need not support them: a failure stops nothing, and is logged when it starts.
    """

    worklist: str
    server: UpsServer
    ae_title: str
    is_wanted: bool
    _error: str = field(default="")

    def subscribe(self, item: WorkItem) -> None:
        """Asks for the events of a work item."""
        if not self.is_wanted:
            return
        title = quote(self.ae_title, safe="")
        failure = attempt(lambda: self.server.subscribe(item.work_item_uid, title))
        error = "" if failure is None else _text(failure)
        if error and not self._error:
            _LOG.warning("worklist.subscription_failed", worklist=self.worklist, error=error)
        self._error = error

    def unsubscribe(self, item: WorkItem) -> None:
        """Ends the events of a work item; the server may forget it anyway."""
        if self.is_wanted:
            title = quote(self.ae_title, safe="")
            attempt(lambda: self.server.unsubscribe(item.work_item_uid, title))


def _text(failure: Exception | Defect) -> str:
    return failure.message if isinstance(failure, Defect) else str(failure)
