"""The SCP: associations, C-ECHO, C-STORE into the inbox, and storage commitment."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from node.dicom.equipment import this_node
from node.dimse.pynetdicom_internals import disable_message_logs, reject_association
from node.domain.errors import Misconfigured, NodeError, Transient
from node.domain.identifiers import AeTitle, Uid
from node.domain.instance import Channel, Origin
from node.intake.identification import IdentifiedInstance, identify
from node.intake.inbox import Inbox
from pacs_listener.admission import Admission
from pacs_listener.association_cleanup import end_threads_together
from pacs_listener.commitment import CommitmentService
from pacs_listener.limits import LimitedServer, LimitEnforcer, Limits
from pacs_listener.presentation_contexts import (
    STORAGE_COMMITMENT,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    VERIFICATION,
    VERIFICATION_TRANSFER_SYNTAXES,
)
from pacs_listener.rejection_recorder import RejectionRecorder
from pacs_listener.store_status import DoesNotMatch, StoreStatus, error_comment, status_of

_LOG = structlog.get_logger()
# A peer that is silent for longer counts as gone, between messages and within one.
NETWORK_TIMEOUT_S = 60.0
# The time that a peer has to request an association, and to release one.
ACSE_TIMEOUT_S = 30.0
DIMSE_TIMEOUT_S = 60.0
# Rejected transient, by the service provider: temporary congestion (PS3.8 9.3.4).
_TEMPORARY_CONGESTION = (0x02, 0x03, 0x01)
# Rejected transient, by the service provider: local limit exceeded.
_LOCAL_LIMIT = (0x02, 0x03, 0x02)
# Connections above the associations: those to reject, and those without a request yet.
_SPARE_CONNECTIONS = 25
# The interval at which a stop checks whether the last association has ended.
_STOP_POLL_S = 0.05


@dataclass(frozen=True)
class AssociationPolicy:
    """Who may associate, and how; without calling AE titles, anybody may."""

    ae_title: AeTitle
    host: str
    port: int  # 0: any free port
    max_pdu: int  # bytes
    max_associations: int
    calling_ae_titles: tuple[AeTitle, ...]

    @property
    def address(self) -> tuple[str, int]:
        """What a listener cannot change while it listens."""
        return self.host, self.port


class Listener:
    """A Verification, Storage and Storage Commitment SCP; stores before it answers success.

    Without `rejections`, what it rejects appears in the log alone.
    """

    def __init__(
        self,
        policy: AssociationPolicy,
        inbox: Inbox,
        commitment: CommitmentService,
        now: Callable[[], datetime],
        rejections: RejectionRecorder | None = None,
    ) -> None:
        self._policy = policy
        self._inbox = inbox
        self._commitment = commitment
        self._now = now
        self._rejections = rejections
        self._limits = LimitEnforcer(_limits(policy))
        self._admission = Admission()
        self._ae = _application_entity(policy)
        self._server: LimitedServer | None = None

    def start(self) -> int:
        """Starts to listen, on threads of its own; returns the port.

        Raises:
            Misconfigured: the address cannot be listened on.
        """
        disable_message_logs()
        address = (self._policy.host, self._policy.port)
        try:
            server = self._ae.make_server(
                address,
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, end_threads_together),
                    *self._limits.handlers,
                    *self.handlers,
                    *self._commitment.handlers,
                    *([] if self._rejections is None else self._rejections.handlers),
                ],
                server_class=LimitedServer,
            )
        except OSError as error:
            raise Misconfigured(
                f"cannot listen on {address[0]} port {address[1]}: {error.strerror}",
                key="listener.port",
            ) from error
        assert isinstance(server, LimitedServer)  # noqa: S101 the requested class
        server.max_connections = self._policy.max_associations + _SPARE_CONNECTIONS
        threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
        self._server = server
        return int(server.server_address[1])

    def use(self, policy: AssociationPolicy, inbox: Inbox) -> None:
        """Applies to new associations from now on; open ones go on as they began.

        The address of `policy` is the one that it has.
        """
        self._policy, self._inbox = policy, inbox
        self._limits.limits = _limits(policy)
        self._commitment.use(policy.calling_ae_titles)
        _set_policy(self._ae, policy)
        if self._server is not None:
            self._server.max_connections = policy.max_associations + _SPARE_CONNECTIONS
            self._server.ae_title = str(policy.ae_title)

    @property
    def is_idle(self) -> bool:
        """Whether no association is open."""
        server = self._server
        return server is None or not any(a.is_established for a in server.active_associations)

    def stop(self, grace_s: float) -> None:
        """Accepts no new association, and aborts running ones after `grace_s` seconds."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        pause = threading.Event()
        for _ in range(round(grace_s / _STOP_POLL_S)):
            # A connection without an association has nothing to finish.
            if not any(a.is_established for a in server.active_associations):
                break
            pause.wait(_STOP_POLL_S)
        for association in server.active_associations:
            association.abort()

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """The handlers of an association's events."""
        return [
            (evt.EVT_REQUESTED, self._reject),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACCEPTED, _log_association, ["association.accepted"]),
            (evt.EVT_REJECTED, _log_association, ["association.rejected"]),
            (evt.EVT_RELEASED, _log_association, ["association.released"]),
            (evt.EVT_ABORTED, _log_association, ["association.aborted"]),
        ]

    def _reject(self, event: Event) -> None:
        """Rejects an association above the limits, or where nothing can be stored."""
        requestor = event.assoc.requestor
        if not self._admission.admits(event.assoc, self._policy.max_associations):
            reject_association(event.assoc, *_LOCAL_LIMIT)
            if self._rejections is not None:
                self._rejections.record_association(event)
            return
        try:
            self._inbox.check_free_space()
        except Transient as error:
            _LOG.warning(
                "association.rejected_without_space", address=requestor.address, error=str(error)
            )
            reject_association(event.assoc, *_TEMPORARY_CONGESTION)
            if self._rejections is not None:
                self._rejections.record_association(event)

    def _store(self, event: Event) -> Dataset | int:
        """Answers one C-STORE request (PS3.7 9.1.1)."""
        calling = str(event.assoc.requestor.ae_title)
        try:
            identified = _identified(event, Origin(Channel.C_STORE, calling))
            self._inbox.accept(identified.received, self._now())
        except NodeError as error:
            status = status_of(error)
            _LOG.warning(
                "instance.refused", calling_ae=calling, status=f"{status:04X}", error=str(error)
            )
            if self._rejections is not None:
                sop_class = str(cast(C_STORE, event.request).AffectedSOPClassUID)
                self._rejections.record_instance(event, sop_class, status)
            return _response(status, error_comment(error))
        if identified.filled_in_uids:
            names = ", ".join(identified.filled_in_uids)
            _LOG.info("instance.uids_filled_in", calling_ae=calling, filled_in=names)
            return _response(StoreStatus.COMPLETED_UIDS, f"filled in: {names}"[:64])
        return int(StoreStatus.SUCCESS)


def _application_entity(policy: AssociationPolicy) -> AE:
    ae = AE(ae_title=policy.ae_title)
    node = this_node()
    ae.implementation_class_uid = node.implementation_class_uid
    ae.implementation_version_name = node.implementation_version_name
    ae.require_called_aet = True
    _set_policy(ae, policy)
    ae.network_timeout = NETWORK_TIMEOUT_S
    ae.acse_timeout = ACSE_TIMEOUT_S
    ae.dimse_timeout = DIMSE_TIMEOUT_S
    for service in (VERIFICATION, STORAGE_COMMITMENT):
        # A destination that reports on our request is the SCP, although it opens the association.
        both_roles = service == STORAGE_COMMITMENT or None
        ae.add_supported_context(
            service,
            list(VERIFICATION_TRANSFER_SYNTAXES),
            scu_role=both_roles,
            scp_role=both_roles,
        )
    for sop_class in STORAGE_SOP_CLASSES:
        ae.add_supported_context(sop_class, list(STORAGE_TRANSFER_SYNTAXES))
    return ae


def _set_policy(ae: AE, policy: AssociationPolicy) -> None:
    """Sets what pynetdicom reads for each new association."""
    ae.ae_title = policy.ae_title
    ae.maximum_pdu_size = policy.max_pdu
    # `Admission` counts those that are admitted; pynetdicom also counts those that it rejects.
    ae.maximum_associations = policy.max_associations + _SPARE_CONNECTIONS
    ae.require_calling_aet = [str(title) for title in policy.calling_ae_titles]


def _limits(policy: AssociationPolicy) -> Limits:
    return Limits(policy.max_pdu, NETWORK_TIMEOUT_S)


def _identified(event: Event, origin: Origin) -> IdentifiedInstance:
    """Returns the instance in a request, its data set unchanged.

    Raises:
        Rejected: it cannot be read, or it differs from the command.
    """
    request = cast(C_STORE, event.request)
    identified = identify(
        event.encoded_dataset(include_meta=False),
        Uid(event.context.transfer_syntax),
        origin,
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
    )
    received = identified.received
    if received.sop_instance_uid != Uid(str(request.AffectedSOPInstanceUID)):
        raise DoesNotMatch("the SOP Instance UID")
    if not (
        received.sop_class_uid
        == Uid(str(request.AffectedSOPClassUID))
        == Uid(event.context.abstract_syntax)
    ):
        raise DoesNotMatch("the SOP Class UID")
    return identified


def _response(status: StoreStatus, comment: str) -> Dataset:
    response = Dataset()
    response.Status = int(status)
    response.ErrorComment = comment
    return response


def _log_association(event: Event, name: str) -> None:
    requestor = event.assoc.requestor
    _LOG.info(name, calling_ae=str(requestor.ae_title), address=requestor.address)
