"""The contract of the store for shadow runs and feedback, on SQLite and on PostgreSQL."""

from dataclasses import replace

from node.domain.evaluation.feedback import Feedback, FeedbackComparison, FeedbackState
from node.domain.evaluation.organ_agreement import OrganAgreement
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState, shadow_id
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.store import Store
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of

LIVER = OrganAgreement("Liver", 0.97, 1500.0, 1480.0)
RUN = ShadowRun(
    shadow_id=shadow_id("job", "liver-ct@2.0"),
    job_id="job",
    series_instance_uid=SERIES,
    active="liver-ct@1.0",
    candidate="liver-ct@2.0",
    state=ShadowState.WAITING,
    created_at=NOON,
    updated_at=NOON,
)
FEEDBACK = Feedback(
    sop_instance_uid=Uid("1.2.9.1"),
    series_instance_uid=Uid("1.2.9"),
    study_instance_uid=Uid("1.2"),
    sender="WORKSTATION",
    state=FeedbackState.WAITING,
    received_at=NOON,
    updated_at=NOON,
)


def test_a_shadow_run_is_added_once(store: Store) -> None:
    store.add_shadow_runs([RUN])
    store.add_shadow_runs([replace(RUN, reason="second")])
    assert store.shadow_runs() == store.shadow_runs_of(SERIES) == [RUN]


def test_one_worker_claims_a_shadow_run(store: Store) -> None:
    store.add_shadow_runs([RUN])
    assert store.claim_shadow_run(RUN, LATER)
    assert not store.claim_shadow_run(RUN, LATER)
    assert store.shadow_runs(ShadowState.WAITING) == []
    (claimed,) = store.shadow_runs(ShadowState.RUNNING)
    assert (claimed.attempts, claimed.updated_at) == (1, LATER)


def test_a_compared_shadow_run_keeps_its_agreement(store: Store) -> None:
    store.add_shadow_runs([RUN])
    path = store.data_dir / "results" / "job" / "shadow.dcm"
    compared = replace(
        RUN,
        state=ShadowState.COMPARED,
        organs=(LIVER, OrganAgreement("Spleen", None, 0.0, 0.0)),
        active_s=2.5,
        candidate_s=3.5,
        result_path=path,
    )
    store.record_shadow_run(compared)
    assert store.shadow_runs() == [compared]


def test_shadow_runs_are_no_jobs(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    store.add_job(job_of(SERIES))
    store.add_shadow_runs([RUN])
    assert store.count_jobs()[JobState.QUEUED] == 1
    assert len(store.list_jobs()) == len(store.jobs_of(SERIES)) == 1


def test_feedback_is_added_once_and_keeps_its_comparison(store: Store) -> None:
    store.add_feedback([FEEDBACK])
    comparison = FeedbackComparison("job", "liver-ct@1.0", (LIVER,))
    compared = replace(
        FEEDBACK,
        state=FeedbackState.COMPARED,
        source_series_instance_uid=SERIES,
        comparisons=(comparison,),
    )
    store.record_feedback(compared)
    store.add_feedback([FEEDBACK])
    assert store.feedback() == store.feedback_of_series("1.2.9") == [compared]
    assert store.feedback(FeedbackState.WAITING) == []
    store.remove_feedback(FEEDBACK.sop_instance_uid)
    assert store.feedback() == []


def test_the_use_of_a_model_counts_the_jobs_of_that_version(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    store.add_job(replace(job, job_id="other", model_version="2.0"))
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.change_job(
        job.job_id,
        JobState.DELIVERING,
        LATER,
        timings_s={"segment": 4.0},
        result_path=store.data_dir / "result.dcm",
    )
    use = store.model_use("liver-ct", "1.0")
    assert (use.job_count, use.last_result_at, use.last_timings_s) == (1, LATER, {"segment": 4.0})
    assert store.model_use("liver-ct", "2.0").last_result_at is None
