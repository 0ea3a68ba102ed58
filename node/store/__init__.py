"""Everything the node remembers: instances, series, jobs, deliveries, retrievals, audit trail."""

from node.store.audit import AuditEvent
from node.store.received.instances import IndexedInstance
from node.store.received.retrievals import Retrieval
from node.store.store import Store
from node.store.work.deliveries import UnknownDelivery
from node.store.work.jobs import IllegalChange, UnknownJob
from node.store.work.outcomes import SeriesOutcome

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
