"""What many series of the past leave in the other tables, inserted at once, without images."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Executable, delete, insert, literal, update

from node.domain.audit.records import AuditAction, AuditInterface, AuditOutcome
from node.domain.delivery import DeliveryState
from node.domain.evaluation.feedback import FeedbackState
from node.domain.evaluation.shadow_run import ShadowState
from node.domain.monitoring.problem import ProblemKind, Urgency
from node.domain.result_objects import SEG, ObjectUids
from node.domain.worklists.work_item import WorkItemState
from node.store import Store
from node.store.audit_trail.tables import AUDIT_CHAINS, AUDIT_RECORDS
from node.store.evaluation.tables import FEEDBACK, SHADOW_RUNS
from node.store.monitoring.tables import ALERT_MESSAGES, ALERTS
from node.store.schema import (
    COMMITMENTS,
    DELIVERIES,
    HISTORY,
    INSTANCES,
    JOBS,
    QUERIED_SERIES,
    REQUESTED_COMMITMENTS,
    RESULT_OBJECTS,
    RESULT_UIDS,
    RETRIEVALS,
    SERIES,
)
from node.store.worklists.tables import WORK_ITEM_INPUTS, WORK_ITEMS
from tests.support.many_series import START, has_job, series_uid, study_uid

_SLICES = 2
_CHAIN = "past"
_FIRST_WITH_IMAGES, _LAST_WITH_IMAGES = 10, 120
_Row = dict[str, object]


def insert_past_work(store: Store, numbers: range, slices: int = _SLICES) -> None:
    """Inserts what the series of `insert_series` with these numbers have left.

    Everything has ended: jobs are delivered, alerts are over, requests are answered. Retention has
    deleted the images of all series but the first and the last ones.
    """
    with_job = [n for n in numbers if has_job(n)]
    tables = (
        (INSTANCES, [_instance(n, i) for n in numbers for i in range(slices)]),
        (HISTORY, [row for n in numbers for row in _history(n)]),
        (DELIVERIES, [_delivery(n) for n in with_job]),
        (RESULT_OBJECTS, [_result_object(n) for n in with_job]),
        (RESULT_UIDS, [row for n in with_job for row in _result_uids(n)]),
        (REQUESTED_COMMITMENTS, [_requested_commitment(n) for n in with_job]),
        (COMMITMENTS, [_received_commitment(n) for n in numbers]),
        (RETRIEVALS, [_retrieval(n) for n in numbers]),
        (QUERIED_SERIES, [_queried(n) for n in numbers]),
        (AUDIT_RECORDS, [row for n in numbers for row in _audit_records(n)]),
        (ALERTS, [_alert(n) for n in numbers]),
        (ALERT_MESSAGES, [_alert_message(n) for n in numbers]),
        (SHADOW_RUNS, [_shadow_run(n) for n in with_job]),
        (FEEDBACK, [_feedback(n) for n in numbers]),
        (WORK_ITEMS, [_work_item(n) for n in numbers]),
        (WORK_ITEM_INPUTS, [_work_item_input(n) for n in numbers]),
    )
    with store._database.writing() as connection:
        for table, rows in tables:
            connection.execute(insert(table), rows)
        connection.execute(_chain_head(store, numbers))
        result_path = literal("results/") + JOBS.c.job_id
        has_result = JOBS.c.job_id.in_([_job(n) for n in with_job])
        connection.execute(update(JOBS).where(has_result).values(result_path=result_path))
        old = [series_uid(n) for n in range(_FIRST_WITH_IMAGES, numbers.stop - _LAST_WITH_IMAGES)]
        cleared = SERIES.c.series_instance_uid.in_(old)
        connection.execute(update(SERIES).where(cleared).values(instance_count=0))
        connection.execute(delete(INSTANCES).where(INSTANCES.c.series_instance_uid.in_(old)))


def _at(number: int) -> datetime:
    return START + timedelta(minutes=number)


def _job(number: int) -> str:
    return f"job{number}"


def _instance(number: int, slice_number: int) -> _Row:
    uid = f"{series_uid(number)}.{slice_number}"
    return {
        "sop_instance_uid": uid,
        "series_instance_uid": series_uid(number),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": f"instances/{series_uid(number)}/{uid}.dcm",
        "size_bytes": 525_000,
        "dataset_digest": "0" * 64,
        "received_at": _at(number),
    }


def _history(number: int) -> Iterator[_Row]:
    for subject, event in (
        (series_uid(number), "series.accepted"),
        (_job(number), "job.queued"),
        (_job(number), "job.delivered"),
    ):
        yield {"happened_at": _at(number), "subject": subject, "event": event, "detail": ""}


def _delivery(number: int) -> _Row:
    return {
        "job_id": _job(number),
        "destination": "archive",
        "state": DeliveryState.DELIVERED,
        "attempts": 1,
        "waiting_since": _at(number),
        "next_try_at": None,
        "last_error": "",
        "receipt": "stored",
        "claimed_by": "workflow",
        "claimed_number": 1,
    }


def _result_object(number: int) -> _Row:
    return {
        "job_id": _job(number),
        "name": "seg",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.66.4",
        "paths": [f"results/{_job(number)}.dcm"],
        "size_bytes": 50_000,
    }


def _result_uids(number: int) -> Iterator[_Row]:
    uids = ObjectUids(_job(number), SEG)
    for uid in (uids.series_instance_uid, uids.sop_instance_uid()):
        yield {"uid": uid, "job_id": _job(number)}


def _requested_commitment(number: int) -> _Row:
    return {
        "transaction_uid": f"1.4.{number}",
        "job_id": _job(number),
        "destination": "archive",
        "peer": "PACS",
        "asked_at": _at(number),
        "answered_at": _at(number),
        "failure": "",
        "closed_at": _at(number),
    }


def _received_commitment(number: int) -> _Row:
    return {
        "transaction_uid": f"1.5.{number}",
        "peer": "CT1",
        "references": [],
        "requested_at": _at(number),
        "attempts": 1,
        "next_try_at": _at(number),
        "finished_at": _at(number),
        "outcome": "sent",
    }


def _retrieval(number: int) -> _Row:
    return {
        "source": "archive",
        "study_instance_uid": study_uid(number),
        "series_instance_uid": series_uid(number),
        "requested_at": _at(number),
        "finished_at": _at(number),
        "error": "",
        "attempts": 0,
        "next_try_at": None,
    }


def _queried(number: int) -> _Row:
    return {
        "source": "archive",
        "series_instance_uid": series_uid(number),
        "study_instance_uid": study_uid(number),
        "instance_count": 300,
        "decided_at": _at(number),
    }


def _audit_records(number: int) -> Iterator[_Row]:
    for i, action in enumerate((AuditAction.RECEIVED, AuditAction.DELIVERED)):
        yield {
            "chain": _CHAIN,
            "sequence": 2 * number + i + 1,
            "happened_at": _at(number),
            "action": action,
            "outcome": AuditOutcome.SUCCESS,
            "actor": "segnode",
            "interface": AuditInterface.NODE,
            "address": "",
            "objects": [["series", series_uid(number)]],
            "detail": "300 instances",
            "change": "",
            "previous_hash": "0" * 64,
            "hash": f"{2 * number + i:064x}",
        }


def _chain_head(store: Store, numbers: range) -> Executable:
    values = {"sequence": 2 * numbers.stop, "hash": "0" * 64}
    added = store._database.insert(AUDIT_CHAINS).values(chain=_CHAIN, **values)
    return added.on_conflict_do_update(index_elements=["chain"], set_=values)


def _alert(number: int) -> _Row:
    return {
        "alert_id": number + 1,
        "kind": ProblemKind.DESTINATION_FAILING,
        "subject": "archive",
        "open_key": None,
        "urgency": Urgency.WARNING,
        "text": "The destination archive does not take results.",
        "remedy": "Correct the cause.",
        "started_at": _at(number),
        "ended_at": _at(number),
    }


def _alert_message(number: int) -> _Row:
    return {
        "alert_id": number + 1,
        "phase": "started",
        "channel": "mail",
        "attempts": 1,
        "next_try_at": None,
        "last_error": "",
        "sent_at": _at(number),
    }


def _shadow_run(number: int) -> _Row:
    return {
        "shadow_id": f"shadow{number}",
        "job_id": _job(number),
        "series_instance_uid": series_uid(number),
        "active": "liver-ct@1.0",
        "candidate": "liver-ct@1.1",
        "state": ShadowState.COMPARED,
        "reason": "",
        "attempts": 1,
        "organs": [],
        "created_at": _at(number),
        "updated_at": _at(number),
    }


def _feedback(number: int) -> _Row:
    return {
        "sop_instance_uid": f"1.6.{number}",
        "series_instance_uid": f"1.7.{number}",
        "study_instance_uid": study_uid(number),
        "source_series_instance_uid": series_uid(number),
        "sender": "WORKSTATION",
        "state": FeedbackState.COMPARED,
        "reason": "",
        "comparisons": [],
        "received_at": _at(number),
        "updated_at": _at(number),
    }


def _work_item(number: int) -> _Row:
    return {
        "worklist": "ris",
        "work_item_uid": f"1.8.{number}",
        "transaction_uid": f"1.9.{number}",
        "state": WorkItemState.COMPLETED,
        "rule": "liver",
        "reason": "",
        "progress": 100,
        "report": "",
        "attempts": 0,
        "error": "",
        "created_at": _at(number),
        "updated_at": _at(number),
    }


def _work_item_input(number: int) -> _Row:
    return {
        "worklist": "ris",
        "work_item_uid": f"1.8.{number}",
        "series_instance_uid": series_uid(number),
        "study_instance_uid": study_uid(number),
        "sop_instance_uids": [],
        "source": "archive",
    }
