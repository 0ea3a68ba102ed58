"""The SCP: associations, C-ECHO, C-STORE into the inbox, and storage commitment."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from node.dimse.pynetdicom_internals import disable_message_logs, reject_association
from node.dimse.quick_service import serve_quickly
from node.dimse.tls.seen_certificates import SeenCertificates
from node.domain.connections.rejected_connection import ListenerRejection
from node.domain.errors import NodeError, Transient
from node.domain.instance import Channel, Origin
from node.intake.completion_hints import ReleaseHints
from node.intake.inbox import Inbox
from node.intake.refused_images import RefusedImages
from pacs_listener.admission import TEMPORARY_CONGESTION, Admission, Refusal, WrongIdentities
from pacs_listener.application_entity import (
    ACSE_TIMEOUT_S,
    NETWORK_TIMEOUT_S,
    application_entity,
    set_policy,
)
from pacs_listener.association_cleanup import end_threads_together
from pacs_listener.commitment import CommitmentService
from pacs_listener.limits import LimitEnforcer, Limits
from pacs_listener.policy import AssociationPolicy, SenderPolicy
from pacs_listener.processes.open_associations import OpenAssociations
from pacs_listener.processes.ports import OpenPorts
from pacs_listener.processes.share import ListenerShare
from pacs_listener.quotas import QuotaReached, Quotas
from pacs_listener.rejection_recorder import RejectionRecorder
from pacs_listener.store_request import identified_instance
from pacs_listener.store_status import (
    MayNotStore,
    StoreStatus,
    error_comment,
    response_with,
    status_of,
)
from pacs_listener.tls_handshakes import TlsHandshakes

_LOG = structlog.get_logger()
# Reasons that pass: what the sender has still to send may continue a series.
_TEMPORARY = {
    ListenerRejection.NO_SPACE,
    ListenerRejection.IMAGES_PER_MINUTE,
    ListenerRejection.GIB_PER_DAY,
    ListenerRejection.TOO_MANY_ASSOCIATIONS,
    ListenerRejection.TOO_MANY_OF_ADDRESS,
}
_REJECTION_EVENTS = {ListenerRejection.NO_SPACE: "association.rejected_without_space"}


class Listener:
    """A Verification, Storage and Storage Commitment SCP; stores before it answers success.

    Without `rejections`, what it rejects appears in the log alone. `refused` records the images
    without which a series is not complete. `certificates` remembers those that peers show. `beside`
    is what it has in common with other listener processes.
    """

    def __init__(
        self,
        policy: AssociationPolicy,
        inbox: Inbox,
        commitment: CommitmentService,
        now: Callable[[], datetime],
        rejections: RejectionRecorder | None = None,
        *,
        refused: RefusedImages | None = None,
        certificates: SeenCertificates | None = None,
        beside: ListenerShare | None = None,
    ) -> None:
        self._share = ListenerShare.alone() if beside is None else beside
        shared = self._share.limits
        self._policy = policy
        self._inbox = inbox
        self._commitment = commitment
        self._now = now
        self._rejections = rejections
        self._refused_images = refused
        self._certificates = certificates
        self._limits = LimitEnforcer(
            Limits(policy.max_pdu, NETWORK_TIMEOUT_S), self._record_connection, shared
        )
        self._tls = TlsHandshakes(ACSE_TIMEOUT_S, self._record_connection)
        self._quotas = Quotas(now, shared)
        self._open = OpenAssociations(shared)
        self._hints = ReleaseHints(commitment.store, now, policy.completing_titles("release"))
        identities = WrongIdentities(now, shared.processes)
        self._admission = Admission(self._quotas, self._tls.certificate_of, identities)
        self._ae = application_entity(policy)
        self._ports: OpenPorts | None = None

    def start(self) -> int:
        """Starts to listen, on threads of its own; returns the port, without TLS if there is one.

        Raises:
            Misconfigured: the address cannot be listened on, or the certificates cannot be used.
        """
        disable_message_logs()
        handlers = [
            (evt.EVT_CONN_OPEN, serve_quickly),
            (evt.EVT_CONN_OPEN, self._tls.handshake_first),
            (evt.EVT_CONN_OPEN, end_threads_together),
            *self._limits.handlers,
            (evt.EVT_CONN_CLOSE, self._open.release),
            *self.handlers,
            *self._commitment.handlers,
            *([] if self._rejections is None else self._rejections.handlers),
        ]
        self._ports = OpenPorts(self._ae, self._policy, handlers, self._share)
        return self._ports.plain or self._ports.tls

    @property
    def tls_port(self) -> int:
        """The port for TLS; 0 without one."""
        return 0 if self._ports is None else self._ports.tls

    def use(self, policy: AssociationPolicy, inbox: Inbox) -> None:
        """Applies to new associations from now on; open ones go on as they began.

        The address of `policy` is the one that it has.

        Raises:
            Misconfigured: the certificates cannot be used; nothing has changed.
        """
        if self._ports is not None:
            self._ports.renew_certificates(policy)
            self._ports.set_policy(policy)
        self._policy, self._inbox = policy, inbox
        self._limits.limits = Limits(policy.max_pdu, NETWORK_TIMEOUT_S)
        self._commitment.use(policy.committing_titles, policy.completing_titles("commitment"))
        self._hints.peers = policy.completing_titles("release")
        set_policy(self._ae, policy)

    def renew_certificates(self) -> None:
        """Uses the certificates that the files hold now; open associations go on.

        Raises:
            Misconfigured: they cannot be used; the earlier ones stay in use.
        """
        if self._ports is not None:
            self._ports.renew_certificates(self._policy)

    @property
    def is_idle(self) -> bool:
        """Whether no association is open."""
        ports = self._ports
        return ports is None or not any(a.is_established for a in ports.associations)

    def stop(self, grace_s: float) -> None:
        """Accepts no new association, and aborts running ones after `grace_s` seconds."""
        ports, self._ports = self._ports, None
        if ports is not None:
            ports.close(grace_s)

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """The handlers of an association's events."""
        return [
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACCEPTED, _log_association, ["association.accepted"]),
            (evt.EVT_REJECTED, _log_association, ["association.rejected"]),
            (evt.EVT_RELEASED, _log_association, ["association.released"]),
            (evt.EVT_RELEASED, self._end_series),
            (evt.EVT_ABORTED, _log_association, ["association.aborted"]),
            (evt.EVT_ABORTED, self._end_series),
        ]

    def _admit(self, event: Event) -> None:
        """Rejects an association that the peer may not open, or for which there is no space."""
        try:
            refusal = (
                self._admission.refusal(event.assoc, self._policy)
                or self._without_space()
                or self._open.refusal(event.assoc, self._policy.max_associations)
            )
        except Exception:
            # pynetdicom logs what a handler raises, and would accept the association.
            reject_association(event.assoc, *TEMPORARY_CONGESTION)
            raise
        if refusal is None:
            self._remember_certificate(event.assoc)
            return
        requestor = event.assoc.requestor
        if self._refused_images is not None and refusal.reason in _TEMPORARY:
            origin = Origin(Channel.C_STORE, _calling_title(event.assoc))
            self._refused_images.add_sender(origin, refusal.text)
        _LOG.warning(
            _REJECTION_EVENTS.get(refusal.reason, "association.not_admitted"),
            address=requestor.address,
            reason=refusal.reason,
            error=refusal.text,
        )
        if self._rejections is not None:
            self._rejections.record_association(event, refusal.reason)
        reject_association(event.assoc, *refusal.answer)

    def _remember_certificate(self, association: Association) -> None:
        """Keeps the certificate of a peer, whose expiry is watched."""
        title, shown = _calling_title(association), self._tls.certificate_of(association)
        if self._certificates is not None and shown and self._policy.senders_called(title):
            self._certificates.add(title, shown)

    def _without_space(self) -> Refusal | None:
        """Returns the refusal where instances could not be stored at present."""
        try:
            self._inbox.check_free_space()
        except Transient as error:
            return Refusal(ListenerRejection.NO_SPACE, str(error), TEMPORARY_CONGESTION)
        return None

    def _store(self, event: Event) -> Dataset | int:
        """Answers one C-STORE request (PS3.7 9.1.1)."""
        calling = str(event.assoc.requestor.ae_title)
        try:
            peers = self._check_permission(event.assoc, calling)
            identified = identified_instance(event, Origin(Channel.C_STORE, calling))
            accepted = self._inbox.accept(identified.received, self._now())
        except NodeError as error:
            return self._refused(event, calling, error)
        except Exception:
            # pynetdicom logs what a handler raises, and answers with a failure.
            self._record_refused(event, "a defect of the node, which its log shows")
            raise
        if accepted.is_new:
            self._quotas.count(calling, peers, len(identified.received.dataset))
        self._hints.stored(event.assoc, calling, identified.received.series_instance_uid)
        if identified.filled_in_uids:
            names = ", ".join(identified.filled_in_uids)
            _LOG.info("instance.uids_filled_in", calling_ae=calling, filled_in=names)
            return response_with(StoreStatus.COMPLETED_UIDS, f"filled in: {names}"[:64])
        return int(StoreStatus.SUCCESS)

    def _end_series(self, event: Event) -> None:
        """Takes the series of an association that was released as complete."""
        self._hints.ended(event.assoc, is_released=event.event == evt.EVT_RELEASED)

    def _check_permission(self, association: Association, calling: str) -> list[SenderPolicy]:
        """Checks that the peer may store an image now; returns the peers that it can be.

        Raises:
            MayNotStore: it may never.
            QuotaReached: it may later.
        """
        peers = self._admission.peers_of(association)
        if peers and not any(peer.may_store for peer in peers):
            raise MayNotStore(calling)
        self._quotas.check(calling, peers)
        return peers

    def _refused(self, event: Event, calling: str, error: NodeError) -> Dataset:
        status = status_of(error)
        _LOG.warning(
            "instance.refused", calling_ae=calling, status=f"{status:04X}", error=str(error)
        )
        if self._rejections is not None:
            sop_class = str(cast(C_STORE, event.request).AffectedSOPClassUID)
            instance = ListenerRejection.INSTANCE
            reason = error.reason if isinstance(error, QuotaReached) else instance
            self._rejections.record_instance(event, sop_class, status, reason)
        if not isinstance(error, MayNotStore):
            self._record_refused(event, str(error))
        return response_with(status, error_comment(error))

    def _record_refused(self, event: Event, reason: str) -> None:
        """Records an image that is refused: its series is not complete without it."""
        if self._refused_images is None:
            return
        request = cast(C_STORE, event.request)
        self._refused_images.add(
            event.encoded_dataset(include_meta=False),
            event.context.transfer_syntax,
            reason,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
        )

    def _record_connection(self, association: Association, reason: ListenerRejection) -> None:
        if self._rejections is not None:
            self._rejections.record_connection(association, reason)


def _calling_title(association: Association) -> str:
    """Returns the AE title of the peer, from its request; empty before that."""
    request = association.requestor.primitive
    return "" if request is None else str(request.calling_ae_title).strip()


def _log_association(event: Event, name: str) -> None:
    sender = event.assoc.requestor
    _LOG.info(name, calling_ae=str(sender.ae_title), address=sender.address)
