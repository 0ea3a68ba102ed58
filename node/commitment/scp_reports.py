"""Reports of storage commitment to the senders that have requested it (PS3.4 J.3).

The listener stores each request. The worker checks that the instances are stored and intact, and
reports the result on a new association. It repeats the report until the sender accepts it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import build_role

from node.commitment.push_model import (
    ALL_COMMITTED,
    FAILURES_EXIST,
    FailureReason,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    referenced_instance,
)
from node.dimse.scu import SUCCESS, Remote, application_entity, associated
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle
from node.domain.retry_policy import RetryPolicy
from node.maintenance.verify import Verification
from node.store import Store
from node.store.commitment.received import CommitmentRequest, ReferencedInstance

_LOG = structlog.get_logger()


@dataclass(frozen=True)
class CommitmentReporter:
    """Sends the reports that are due.

    `peers` are the addresses of the senders by AE title, `calling` is our own AE title.
    """

    store: Store
    peers: Mapping[str, Remote]
    calling: AeTitle
    policy: RetryPolicy
    now: Callable[[], datetime]

    def poll(self) -> None:
        """Attempts to report on every request that is due."""
        max_delay = timedelta(seconds=self.policy.max_s)
        for request in self.store.due_commitments(self.now(), max_delay):
            try:
                committed, failed = self._report(request)
            except Transient as error:
                self._postpone(request, error)
            else:
                outcome = f"{committed} committed, {failed} not"
                self.store.finish_commitment(request, self.now(), outcome)
                _LOG.info(
                    "commitment.reported", peer=request.peer, committed=committed, failed=failed
                )

    def _report(self, request: CommitmentRequest) -> tuple[int, int]:
        """Reports on one request; returns the numbers of committed and of failed instances.

        Raises:
            Transient: the sender does not accept the report, or is not a peer any more.
        """
        if request.peer not in self.peers:
            raise Transient(f"no peer has the AE title {request.peer!r}: add it to [peers]")
        committed, failed = self._checked(request)
        report = Dataset()
        report.TransactionUID = request.transaction_uid
        if committed:
            report.ReferencedSOPSequence = Sequence(committed)
        if failed:
            report.FailedSOPSequence = Sequence(failed)
        self._send(self.peers[request.peer], report, FAILURES_EXIST if failed else ALL_COMMITTED)
        return len(committed), len(failed)

    def _checked(self, request: CommitmentRequest) -> tuple[list[Dataset], list[Dataset]]:
        """Returns the items of the committed and of the failed instances of a request."""
        committed, failed = [], []
        for reference in request.references:
            item = referenced_instance(reference.sop_class_uid, reference.sop_instance_uid)
            reason = self._failure_reason(reference)
            if reason is None:
                committed.append(item)
            else:
                item.FailureReason = int(reason)
                failed.append(item)
        return committed, failed

    def _failure_reason(self, reference: ReferencedInstance) -> FailureReason | None:
        """Returns why an instance is not committed; None where it is."""
        found = self.store.find_instance(reference.sop_instance_uid)
        if found is None:
            return FailureReason.NO_SUCH_INSTANCE
        if found.instance.sop_class_uid != reference.sop_class_uid:
            return FailureReason.CLASS_CONFLICT
        intact = Verification(self.store).fault_of(found) is None
        return None if intact else FailureReason.PROCESSING_FAILURE

    def _send(self, peer: Remote, report: Dataset, event_type: int) -> None:
        ae = application_entity(self.calling)
        ae.add_requested_context(StorageCommitmentPushModel)
        # We provide the service although we open the association (PS3.4 J.3.3).
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        with associated(ae, peer, negotiation=[role]) as association:
            try:
                status, _ = association.send_n_event_report(
                    report,
                    event_type,
                    StorageCommitmentPushModel,
                    StorageCommitmentPushModelInstance,
                )
            except (RuntimeError, ValueError) as error:
                raise Transient(f"{peer} does not take the report: {error}") from error
        if status.get("Status") != SUCCESS:
            raise Transient(f"{peer} answered the report with {status.get('Status')}")

    def _postpone(self, request: CommitmentRequest, error: Transient) -> None:
        """Schedules the next attempt, or gives the report up."""
        now = self.now()
        if now - request.requested_at > self.policy.give_up_after:
            self.store.give_up_commitment(request, now, str(error))
            _LOG.error("commitment.given_up", peer=request.peer, error=str(error))
            return
        wait_s = self.policy.delay_s(request.attempts + 1, jitter=0.5)
        self.store.postpone_commitment(request, now + timedelta(seconds=wait_s), str(error))
        _LOG.warning("commitment.postponed", error=str(error), next_attempt_in_s=round(wait_s))
