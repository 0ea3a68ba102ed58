"""A site whose configuration is in the database, with what its pages show besides it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from models.installed_packages import find
from node.configuration.site_configuration import SiteConfiguration, import_file
from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectionKey,
    RejectionTally,
)
from node.domain.evaluation.feedback import Feedback, FeedbackComparison, FeedbackState
from node.domain.evaluation.organ_agreement import OrganAgreement
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState, shadow_id
from node.domain.identifiers import Uid
from node.domain.job import Job
from node.store.configuration.revisions import RevisionDraft
from tests.support.browser.overview_site import CONFIGURATION, add_job, deliver, run_worker
from tests.support.servers.served_node import ServedNode

_LIVER = find("liver-ct").reference
_CANDIDATE = find("organs-ct").reference
_CALLED = ListenerRejection.CALLED_AE_TITLE
_CALLING = ListenerRejection.CALLING_AE_TITLE
MANAGED = f"""config = "database"
{CONFIGURATION.rstrip()}
shadow = "{_CANDIDATE}"

[[rules]]
name = "chest and abdomen, thin slices"
model = "organs-ct"
destinations = ["archive"]
enabled = false
[rules.when]
all = [
  {{ attribute = "Modality", equals = "CT" }},
  {{ attribute = "BodyPartExamined", one_of = ["CHEST", "ABDOMEN"] }},
  {{ attribute = "SliceThickness", range = [0.5, 3.0] }},
  {{ at_least_slices = 100 }},
]
"""


def fill_managed(node: ServedNode) -> None:
    """Adds revisions, rejected connections, shadow runs and segmentations by people."""
    now = datetime.now(UTC)
    run_worker(node)
    import_file(node.store, node.settings.file, now - timedelta(days=40))
    configuration = SiteConfiguration(node.store, node.settings.file)
    text = configuration.text().replace('name = "abdomen"', 'name = "abdomen"\npriority = "stat"')
    draft = RevisionDraft(text, "M. Roe", "the emergency room reads these first")
    configuration.propose(draft, 1, now - timedelta(days=2))
    job = add_job(node, 1, "CT_ROOM_1", now - timedelta(minutes=20))
    deliver(node, job, now - timedelta(minutes=19))
    node.store.record_rejections(
        {
            RejectionKey("CT_ROOM 2", "LIVERNODE", "192.0.2.22", _CALLING): _times(12, now),
            RejectionKey("PACS", "OLDNODE", "192.0.2.10", _CALLED): _times(1, now),
        },
        now,
    )
    node.store.add_shadow_runs(_shadow_runs(job, now))
    node.store.add_feedback(_feedback(job, now))


def _times(count: int, now: datetime) -> RejectionTally:
    return RejectionTally(count, now - timedelta(hours=2), now)


def _shadow_runs(job: Job, now: datetime) -> list[ShadowRun]:
    run = ShadowRun(
        shadow_id=shadow_id(job.job_id, _CANDIDATE),
        job_id=job.job_id,
        series_instance_uid=job.series_instance_uid,
        active=_LIVER,
        candidate=_CANDIDATE,
        state=ShadowState.COMPARED,
        created_at=now,
        updated_at=now,
        organs=(OrganAgreement("Liver", 0.94, 1500.0, 1450.0),),
        active_s=22.0,
        candidate_s=41.0,
    )
    failed = replace(
        run, shadow_id="failed", state=ShadowState.FAILED, organs=(), reason="No room."
    )
    return [run, failed]


def _feedback(job: Job, now: datetime) -> list[Feedback]:
    agreement = (OrganAgreement("Liver", 0.954, 1500.0, 1530.0),)
    compared = Feedback(
        sop_instance_uid=Uid("1.2.77.1"),
        series_instance_uid=Uid("1.2.77"),
        study_instance_uid=job.study_instance_uid,
        sender="READING_ROOM",
        state=FeedbackState.COMPARED,
        received_at=now,
        updated_at=now,
        source_series_instance_uid=job.series_instance_uid,
        comparisons=(FeedbackComparison(job.job_id, _LIVER, agreement),),
    )
    failed = replace(
        compared,
        sop_instance_uid=Uid("1.2.77.2"),
        state=FeedbackState.FAILED,
        comparisons=(),
        reason="no segment shows an organ of the models",
    )
    return [compared, failed]
