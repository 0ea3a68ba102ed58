"""What the processes of a node ask the database again and again, by name."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from node.domain.audit.records import AuditAction, AuditOutcome
from node.domain.evaluation.feedback import FeedbackState
from node.domain.evaluation.shadow_run import ShadowState
from node.domain.identifiers import Uid
from node.domain.instance import ReceivedInstance
from node.domain.job import JobState
from node.domain.listing.listed_states import ListedState
from node.domain.monitoring.alert import AlertChannel
from node.domain.queues.selection import DeliverySelection
from node.domain.result_objects import SEG, ObjectUids
from node.domain.series import SeriesState
from node.health.problems import site_problems
from node.settings import Settings
from node.store import Store
from node.store.audit_trail.searching import AuditSearch
from node.store.queues.job_search import JobCriteria
from node.store.search.query import SeriesQuery
from tests.support.factories import received
from tests.support.many_series import START, series_uid

Ask = Callable[[Store, datetime], object]
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_SERIES, _JOB = series_uid(5), "job5"
_RESULT = ObjectUids(_JOB, SEG)
_UNFINISHED = {JobState.QUEUED, JobState.RUNNING, JobState.DELIVERING}


def _clock() -> datetime:
    """The time on the clock: requests by REST leave records of the audit trail with it."""
    return datetime.now(UTC)


def _receive(store: Store, now: datetime) -> None:
    """Adds an instance to a new series, and another to the same one."""
    for number in (1, 2):
        path = store.data_dir / str(number)
        store.add_instance(_instance(number, now), path, 1, now)


def _instance(number: int, now: datetime) -> ReceivedInstance:
    uid = f"1.10.{now:%Y%m%d%H%M}"
    return received(sop_instance_uid=Uid(f"{uid}.{number}"), series_instance_uid=Uid(uid))


def _decide(store: Store, now: datetime) -> None:
    """Decides about that series, with a job."""
    uid = _instance(1, now).series_instance_uid
    job = store.get_job(_JOB)
    assert job is not None
    new = replace(
        job, job_id=f"new{now:%Y%m%d%H%M}", series_instance_uid=uid, state=JobState.QUEUED
    )
    store.record_decision(uid, "{}", SeriesState.ACCEPTED, now, 2, jobs=[new])
    store.record_without_images(uid, keeps_patients=True)


INTAKE: Mapping[str, Ask] = {
    "find instance": lambda store, _now: store.find_instance(f"{_SERIES}.1"),
    "add instances": _receive,
    "add job": _decide,
}
WORKER: Mapping[str, Ask] = {
    "open series": lambda store, _now: store.open_series(),
    "series complete by a hint": lambda store, _now: store.hinted_series(store.open_series()),
    "incomplete series": lambda store, _now: store.incomplete_series(),
    "instances of series": lambda store, _now: store.instances_of(_SERIES),
    "indexed instances of series": lambda store, _now: store.indexed_instances_of(_SERIES),
    "previous result": lambda store, _now: store.previous_result("new", _SERIES, "liver-ct"),
    "requested rules": lambda store, _now: store.requested_rules(_SERIES),
    "queued jobs": lambda store, _now: store.queued_jobs(),
    "unfinished jobs": lambda store, _now: store.list_jobs(10_000, _UNFINISHED),
    "delivery requests": lambda store, _now: store.delivery_requests(100),
    "pause": lambda store, _now: store.is_inference_paused(),
    "commitments to settle": lambda store, now: store.commitments_to_settle(now, _HOUR),
    "commitment of delivery": lambda store, _now: store.latest_requested_commitment(
        _JOB, "archive"
    ),
    "commitments to report": lambda store, now: store.due_commitments(now, _HOUR),
    "open retrievals": lambda store, _now: store.open_retrievals(),
    "open retrievals of source": lambda store, _now: store.open_retrievals("archive"),
    "queried series": lambda store, _now: store.queried_counts("archive", [Uid(_SERIES)]),
    "retention, nothing due": lambda store, _now: store.clearable_series(START - _DAY),
    "retention": lambda store, now: store.clearable_series(now),
    "audit retention": lambda store, now: store.remove_audit_records("past", START - _DAY, now),
    "audit to forward": lambda store, _now: store.unsent_audit_records("host", 10),
    "audit that waits": lambda store, _now: store.waiting_audit_records(),
    "lost audit records": lambda store, _now: store.lost_audit_records(START),
    "feedback to compare": lambda store, _now: store.feedback_to_compare(),
    "old feedback": lambda store, now: store.remove_waiting_feedback(now - _DAY),
    "series to index": lambda store, _now: store.series_without_attributes(50),
    "rows to repair": lambda store, now: store.repair_recent(now - timedelta(minutes=10)),
    "shadow runs": lambda store, _now: store.shadow_runs(ShadowState.WAITING, oldest_first=True),
    "work items": lambda store, _now: store.open_work_items("ris"),
    "alerts": lambda store, _now: store.open_alerts(),
    "alert messages": lambda store, now: store.claim_message([AlertChannel.MAIL], now, now),
    "failed messages": lambda store, _now: store.failed_messages(),
    "old alerts": lambda store, _now: store.remove_old_alerts(START - _DAY),
    "problems": lambda store, now: site_problems(Settings(data_dir=store.data_dir), store, now),
    "destinations": lambda store, _now: store.destination_health(),
    "finished jobs": lambda store, now: store.finished_jobs(now - _HOUR),
    "failed attempts": lambda store, _now: store.failed_attempts(_JOB),
    "code of refusal": lambda store, _now: store.rejection_of(_JOB),
}
LISTS: Mapping[str, Ask] = {
    "oldest queued job": lambda store, _now: store.oldest_queued_at(),
    "activity": lambda store, now: store.activity_since(now - _HOUR),
    "turnaround": lambda store, now: store.turnarounds_s(now - _HOUR),
    "senders": lambda store, now: store.senders_since(now - _HOUR),
    "parked jobs": lambda store, _now: store.parked_jobs(21),
    "latest alerts": lambda store, _now: store.latest_alerts(10),
    "queues": lambda store, _now: store.destination_queues(["archive"]),
    "queued jobs by turn": lambda store, _now: store.queued_by_turn(50),
    "open deliveries": lambda store, _now: store.open_deliveries(DeliverySelection(), 50),
    "retrievals": lambda store, _now: store.list_retrievals(),
    "list of work items": lambda store, _now: store.list_work_items(),
    "work item": lambda store, _now: store.work_items_with_uid("1.8.5"),
    "feedback": lambda store, _now: store.feedback(FeedbackState.COMPARED, 20),
    "feedback of series": lambda store, _now: store.feedback_of_series(_SERIES),
    "shadow runs of series": lambda store, _now: store.shadow_runs_of(_SERIES),
    "missing images of series": lambda store, _now: store.incomplete_series([_SERIES]),
    "history": lambda store, _now: store.history_of_all([_SERIES, _JOB]),
    "use of a model": lambda store, _now: store.model_use("liver-ct", "1.0"),
    "first page": lambda store, _now: store.search_series(SeriesQuery()),
    "tab with few series": lambda store, _now: store.search_series(
        SeriesQuery(states=frozenset({ListedState.ATTENTION}))
    ),
    "series not indexed": lambda store, _now: store.count_unindexed(),
    "audit trail": lambda store, _now: store.audit_page(AuditSearch(clock=_clock()), 50),
    "rare action in audit trail": lambda store, _now: store.audit_page(
        AuditSearch(action=AuditAction.AUDIT_LOST, clock=_clock()), 50
    ),
    "failures in audit trail": lambda store, _now: store.audit_page(
        AuditSearch(outcome=AuditOutcome.SERIOUS_FAILURE, clock=_clock()), 50
    ),
    "audit trail of an hour": lambda store, now: store.audit_page(
        AuditSearch(since=now - _HOUR, user="nobody", clock=_clock()), 50
    ),
}
JOBS_LIST: Mapping[str, JobCriteria] = {
    "all": JobCriteria(),
    "since": JobCriteria(since=START),
    "to a destination": JobCriteria(destination="archive"),
    "held": JobCriteria(state=JobState.PARKED, only_held=True),
    "receiving": JobCriteria(state=SeriesState.RECEIVING),
    # A person discards a job; all of them are read.
    **{s.value: JobCriteria(state=s) for s in JobState if s is not JobState.DISCARDED},
}
# The page of models is not among them: it summarizes the last 5000 shadow runs.
REQUESTS = (
    "/",
    "/?older=20260101000500000000_",
    "/?newer=20260101000100000000_",
    "/?show=delivered",
    "/?show=attention",
    "/overview",
    "/queues",
    "/metrics",
    "/?uid=1.2.840.1.4",
    "/?from=2025-01-01&to=2025-01-02",
    "/api/series?limit=5",
    "/api/jobs?limit=5",
    "/dicom-web/studies?limit=2",
    "/dicom-web/series?limit=2&offset=3",
    "/dicom-web/instances?limit=2",
    "/dicom-web/instances?SOPInstanceUID=1.2.3",
    "/dicom-web/studies?AccessionNumber=A0000001",
    "/dicom-web/studies?PatientID=P0000001",
    "/dicom-web/studies?StudyDate=20250101",
    "/dicom-web/series?AccessionNumber=none",
    "/dicom-web/instances?PatientID=nobody",
    "/dicom-web/series?StudyInstanceUID=1.2.840.1",
    "/dicom-web/series?SeriesInstanceUID=1.2.3",
    f"/dicom-web/instances?SeriesInstanceUID={_SERIES}",
    f"/dicom-web/instances?SOPInstanceUID={_SERIES}.1",
    f"/dicom-web/series?SeriesInstanceUID={_RESULT.series_instance_uid}",
    f"/dicom-web/instances?SeriesInstanceUID={_RESULT.series_instance_uid}",
    f"/dicom-web/instances?SOPInstanceUID={_RESULT.sop_instance_uid()}",
)
