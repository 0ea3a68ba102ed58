"""Answers to senders that want us to commit ourselves to what they have sent (PS3.4 J.3).

The listener keeps each request; the worker looks whether the instances are there, whole, and
reports so on an association of its own, again and again until the sender has taken the report.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from node.dimse.scu import Remote, associate, entity
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle
from node.domain.retry_policy import RetryPolicy
from node.maintenance.verify import Verification
from node.store import Store
from node.store.commitment.received import CommitmentRequest, Reference

_LOG = structlog.get_logger()
# PS3.4 J.3.3.1: all is committed, or there are failures.
_ALL, _FAILURES_EXIST = 1, 2
# PS3.3 C.14.1.1
NO_SUCH_INSTANCE, CLASS_CONFLICT, PROCESSING_FAILURE = 0x0112, 0x0119, 0x0110


@dataclass(frozen=True)
class CommitmentAnswers:
    """Answers what is due. `peers` are where each AE title listens, `calling` is our own."""

    store: Store
    peers: Mapping[str, Remote]
    calling: AeTitle
    policy: RetryPolicy
    now: Callable[[], datetime]

    def look(self) -> None:
        """Try to answer every request that is due."""
        longest = timedelta(seconds=self.policy.longest_s)
        for request in self.store.due_commitments(self.now(), longest):
            try:
                committed, failed = self._report(request)
            except Transient as error:
                self._try_later(request, error)
            else:
                outcome = f"{committed} committed, {failed} not"
                self.store.finish_commitment(request, self.now(), outcome)
                _LOG.info(
                    "commitment.answered", peer=request.peer, committed=committed, failed=failed
                )

    def _report(self, request: CommitmentRequest) -> tuple[int, int]:
        """Tell the sender which instances are here and which are not; how many of each.

        Raises:
            Transient: it does not take the report, or is no peer any more.
        """
        if request.peer not in self.peers:
            raise Transient(f"no peer has the AE title {request.peer!r}: add it to [peers]")
        told = Dataset()
        told.TransactionUID = request.transaction_uid
        committed, failed = Sequence(), Sequence()
        for reference in request.references:
            item = Dataset()
            item.ReferencedSOPClassUID = reference.sop_class_uid
            item.ReferencedSOPInstanceUID = reference.sop_instance_uid
            reason = self._reason_against(reference)
            if reason is None:
                committed.append(item)
            else:
                item.FailureReason = reason
                failed.append(item)
        if committed:
            told.ReferencedSOPSequence = committed
        if failed:
            told.FailedSOPSequence = failed
        self._send(self.peers[request.peer], told, _FAILURES_EXIST if failed else _ALL)
        return len(committed), len(failed)

    def _reason_against(self, reference: Reference) -> int | None:
        """Why we cannot commit ourselves to an instance; None where we can."""
        found = self.store.find_instance(reference.sop_instance_uid)
        if found is None:
            return NO_SUCH_INSTANCE
        if found.instance.sop_class_uid != reference.sop_class_uid:
            return CLASS_CONFLICT
        whole = Verification(self.store).fault_of(found) is None
        return None if whole else PROCESSING_FAILURE

    def _send(self, peer: Remote, told: Dataset, event_type: int) -> None:
        ae = entity(self.calling)
        ae.add_requested_context(StorageCommitmentPushModel)
        # It is we who provide the service, though it is we who open the association (PS3.4 J.3.3).
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        association = associate(ae, peer, negotiation=[role])
        try:
            status, _ = association.send_n_event_report(
                told, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
        except (RuntimeError, ValueError) as error:
            raise Transient(f"{peer} does not take the report: {error}") from error
        finally:
            association.release()
        if status.get("Status") != 0x0000:
            raise Transient(f"{peer} answered the report with {status.get('Status')}")

    def _try_later(self, request: CommitmentRequest, error: Transient) -> None:
        now = self.now()
        if now - request.requested_at > self.policy.give_up_after:
            self.store.finish_commitment(request, now, f"given up: {error}")
            _LOG.error("commitment.given_up", peer=request.peer, error=str(error))
            return
        wait_s = self.policy.delay_s(request.attempts + 1, jitter=0.5)
        self.store.postpone_commitment(request, now + timedelta(seconds=wait_s), str(error))
        _LOG.warning("commitment.waits", error=str(error), next_try_in_s=round(wait_s))
