"""C-MOVE and C-GET of a series as a service class user, Study Root (PS3.4 C.4.2, C.4.3)."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from node.dicom.query import QueryLevel
from node.dimse.answer_limits import MAX_INSTANCE_BYTES, AnswerLimits
from node.dimse.scu import (
    SUCCESS,
    Remote,
    application_entity,
    associated,
    broken_association_as_transient,
    status_text,
)
from node.domain.errors import NodeError, Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle, Uid
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.domain.sop_classes import STORAGE_SOP_CLASSES, STORAGE_TRANSFER_SYNTAXES
from node.intake.identification import identify

MOVE_MODEL = StudyRootQueryRetrieveInformationModelMove
GET_MODEL = StudyRootQueryRetrieveInformationModelGet
# An archive may fetch a series from a slow medium first, and some report no progress.
RETRIEVAL_TIMEOUT_S = 600.0
DESTINATION_UNKNOWN = 0xA801
# Statuses of our C-STORE responses within a C-GET (PS3.4 table B.2-1).
OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0xA700, 0xC000
_PENDING = {0xFF00, 0xFF01}

Accept = Callable[[ReceivedInstance], object]


class NotPerformed(Transient):
    """The remote answered with a failure and sent nothing; maybe it does not have the series."""


@dataclass(frozen=True)
class RetrievalLimits:
    """How many responses may come before the last one, and how long the retrieval may take.

    A peer that only reports progress would hold up the retrievals of all other peers. The largest
    series has some thousand instances, and each has a response or fewer.
    """

    max_pending: int = 100_000
    max_seconds: float = 4 * 3600.0


_LIMITS = RetrievalLimits()


@dataclass(frozen=True)
class MoveDestination:
    """Where the peer sends the series: the node's listener, on its ports in words."""

    ae_title: AeTitle
    ports: str


def move_series(
    remote: Remote,
    destination: MoveDestination,
    study: Uid,
    series: Uid,
    *,
    limits: RetrievalLimits = _LIMITS,
) -> int:
    """Has `remote` send a series to `destination` by C-MOVE; returns the number of instances sent.

    Raises:
        Transient: no association, or not every instance was sent; a later attempt may succeed.
        NotPerformed: the remote answered with a failure and sent nothing.
        Rejected: the remote does not have the series.
    """
    ae = application_entity(destination.ae_title)
    ae.dimse_timeout = ae.network_timeout = RETRIEVAL_TIMEOUT_S
    ae.add_requested_context(MOVE_MODEL)
    refusal = Transient(
        f"{remote} accepts no C-MOVE (Study Root) from {destination.ae_title}: "
        'allow it there, or set retrieve = "get" for this peer'
    )
    with (
        associated(ae, remote, no_context_error=refusal) as association,
        broken_association_as_transient(remote),
    ):
        responses = association.send_c_move(
            _identifier(study, series), destination.ae_title, MOVE_MODEL
        )
        final = _final_response(responses, remote, association, limits)
    return completed_sub_operations(final, remote, series, destination)


def get_series(
    remote: Remote,
    calling: AeTitle,
    study: Uid,
    series: Uid,
    accept: Accept,
    *,
    limits: RetrievalLimits = _LIMITS,
) -> int:
    """Retrieves a series by C-GET and passes each instance to `accept`; returns their number.

    The instances arrive on the same association. One that `accept` refuses ends the retrieval.

    Raises:
        Transient: no association, or not every instance arrived; a later attempt may succeed.
        NotPerformed: the remote answered with a failure and sent nothing.
        Rejected: the remote does not have the series, or sent an invalid instance.
    """
    ae = application_entity(calling)
    ae.dimse_timeout = ae.network_timeout = RETRIEVAL_TIMEOUT_S
    ae.requested_contexts = get_contexts()
    receiver = _Receiver(Origin(Channel.C_GET, str(remote.ae_title)), series, accept)
    with (
        associated(
            ae,
            remote,
            no_context_error=_not_offered(remote),
            # The requestor takes the role of SCP for storage (PS3.4 C.5.3).
            negotiation=[build_role(uid, scp_role=True) for uid in STORAGE_SOP_CLASSES],
            handlers=[(evt.EVT_C_STORE, receiver.store)],
            limits=AnswerLimits(MAX_INSTANCE_BYTES),
        ) as association,
        broken_association_as_transient(remote),
    ):
        _check_contexts(association, remote)
        responses = association.send_c_get(_identifier(study, series), GET_MODEL)
        until_refused = _until_refused(responses, receiver, association)
        final = _final_response(until_refused, remote, association, limits)
    return completed_sub_operations(final, remote, series)


def get_contexts() -> list[PresentationContext]:
    """The presentation contexts of a C-GET: the query, and each storage class with each syntax.

    One context for each transfer syntax lets the peer send every instance as it is stored.
    """
    storage = [
        build_context(sop_class, syntax)
        for sop_class in STORAGE_SOP_CLASSES
        for syntax in STORAGE_TRANSFER_SYNTAXES
    ]
    return [build_context(GET_MODEL), *storage]


@dataclass
class _Receiver:
    """Handles the C-STORE sub-operations of a C-GET; `error` is the first that occurred."""

    origin: Origin
    series: Uid
    accept: Accept
    error: NodeError | None = None

    def store(self, event: Event) -> int:
        """Accepts one instance; returns the status of the response."""
        try:
            self._accept(event)
        except NodeError as error:
            self.error = self.error or error
            return CANNOT_UNDERSTAND if isinstance(error, Rejected) else OUT_OF_RESOURCES
        return SUCCESS

    def _accept(self, event: Event) -> None:
        request = cast(C_STORE, event.request)
        received = identify(
            event.encoded_dataset(include_meta=False),
            Uid(event.context.transfer_syntax),
            self.origin,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
        ).received
        if received.series_instance_uid != self.series:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"{self.origin.peer} sent an instance of another series, "
                f"{received.series_instance_uid}",
            )
        self.accept(received)


Responses = Iterable[tuple[Dataset, Dataset | None]]


def _until_refused(
    responses: Responses, receiver: _Receiver, association: Association
) -> Responses:
    """Passes the responses on; ends the association once an instance was refused."""
    for response in responses:
        if receiver.error is not None:
            association.abort()
            raise receiver.error
        yield response


def _final_response(
    responses: Responses, remote: Remote, association: Association, limits: RetrievalLimits
) -> Dataset:
    """Returns the last response; ends the association where there are too many, or for too long."""
    deadline = time.monotonic() + limits.max_seconds
    for pending, (status, _) in enumerate(responses):
        if pending > limits.max_pending or time.monotonic() > deadline:
            association.abort()
            raise Transient(
                f"{remote} does not end the retrieval: it reports progress again and again"
            )
        if status.get("Status") is None:
            raise Transient(f"{remote} stopped answering during the retrieval")
        if status.Status not in _PENDING:
            return status
    raise Transient(f"{remote} ended the retrieval without a response")


def _identifier(study: Uid, series: Uid) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = QueryLevel.SERIES.value
    identifier.StudyInstanceUID = study
    identifier.SeriesInstanceUID = series
    return identifier


def completed_sub_operations(
    final: Dataset, remote: Remote, series: Uid, destination: MoveDestination | None = None
) -> int:
    """Returns the number of completed sub-operations (PS3.4 C.4.2.1.8); `destination` of a C-MOVE.

    Raises:
        Transient: some failed, or the remote does not know the destination.
        NotPerformed: the remote did not perform them.
        Rejected: there were none.
    """
    failed = int(final.get("NumberOfFailedSuboperations") or 0)
    completed = int(final.get("NumberOfCompletedSuboperations") or 0)
    completed += int(final.get("NumberOfWarningSuboperations") or 0)
    status = status_text(final)
    if final.Status == DESTINATION_UNKNOWN and destination is not None:
        title = destination.ae_title
        raise Transient(
            f"{remote} does not know the C-MOVE destination {title} ({status}): enter the AE title "
            f"{title} there, with the address of this machine and {destination.ports}"
        )
    hint = "" if destination is None else _destination_hint(destination)
    if failed:
        family = Transient if completed else NotPerformed
        total = failed + completed
        raise family(f"{remote} could not send {failed} of {total} images ({status}){hint}")
    # B000 without a failed sub-operation: instances were stored with warnings.
    if final.Status not in (SUCCESS, 0xB000):
        raise NotPerformed(f"{remote} did not perform the retrieval ({status}){hint}")
    if completed == 0:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE, f"{remote} has no images of series {series}"
        )
    return completed


def _destination_hint(destination: MoveDestination) -> str:
    """What to check where a peer does not name the cause."""
    return (
        f"; check that it knows {destination.ae_title} and reaches it on {destination.ports} "
        "of this machine"
    )


def _check_contexts(association: Association, remote: Remote) -> None:
    accepted = association.accepted_contexts
    if not any(context.abstract_syntax == GET_MODEL for context in accepted):
        raise _not_offered(remote)
    if not any(context.as_scp for context in accepted):
        raise Transient(
            f"{remote} accepts C-GET, but would send no CT images by it: "
            'set retrieve = "move" for this peer'
        )


def _not_offered(remote: Remote) -> Transient:
    return Transient(
        f"{remote} accepts no C-GET (Study Root): allow it there, "
        'or set retrieve = "move" for this peer'
    )
