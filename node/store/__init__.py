"""Everything the node remembers: instances, series, jobs, deliveries, retrievals, audit trail."""

from node.store.audit import AuditEvent
from node.store.deliveries import UnknownDelivery
from node.store.instances import IndexedInstance
from node.store.jobs import IllegalChange, UnknownJob
from node.store.outcomes import SeriesOutcome
from node.store.retrievals import Retrieval
from node.store.store import Store

__all__ = [
    "AuditEvent",
    "IllegalChange",
    "IndexedInstance",
    "Retrieval",
    "SeriesOutcome",
    "Store",
    "UnknownDelivery",
    "UnknownJob",
]
