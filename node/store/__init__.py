"""Persistence of instances, series, jobs, deliveries, retrievals and the audit trail."""

from node.store.history import HistoryEvent
from node.store.jobs.deliveries import UnknownDelivery
from node.store.jobs.jobs import IllegalChange, UnknownJob
from node.store.jobs.outcomes import SeriesOutcome
from node.store.received.instances import IndexedInstance
from node.store.received.retrievals import Retrieval
from node.store.store import Store

__all__ = [
    "HistoryEvent",
    "IllegalChange",
    "IndexedInstance",
    "Retrieval",
    "SeriesOutcome",
    "Store",
    "UnknownDelivery",
    "UnknownJob",
]
