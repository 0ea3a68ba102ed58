"""DIMSE as a service class user: associations with remote application entities."""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from node.dicom.equipment import this_node
from node.dimse.answer_limits import AnswerLimits
from node.dimse.event_waiting import wait_for_pdus
from node.dimse.pynetdicom_internals import (
    RequestingEntity,
    connection_of,
    disable_message_logs,
    pause_reliably,
    read_ahead,
    read_late_rejection,
)
from node.dimse.rejection import association_rejected
from node.dimse.tls.connection import ClientContext, TlsConnection
from node.dimse.tls.contexts import PeerTls
from node.dimse.tls.failures import peer_tls_failure
from node.dimse.tls.peer_certificate import PeerCertificate
from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.domain.errors import NodeError, Transient
from node.domain.identifiers import AeTitle

SUCCESS = 0x0000
# Large PDUs save system calls. A toolkit that wants smaller ones says so in its acceptance.
_MAX_PDU = 131072
# A peer that is silent for longer counts as gone.
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Remote:
    """The address of a remote application entity; without `tls`, the connection is plain."""

    ae_title: AeTitle
    host: str
    port: int
    tls: PeerTls | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses `AE_TITLE@host:port`.

        Raises:
            ValueError: the text has another form.
        """
        title, at, address = text.partition("@")
        host, colon, port = address.rpartition(":")
        if not (at and colon and host and port.isdigit()):
            raise ValueError(f"{text!r} is not of the form AE_TITLE@host:port")
        if not 0 < int(port) < 65536:
            raise ValueError(f"port {port} of {text!r} is not between 1 and 65535")
        return cls(AeTitle(title), host, int(port))

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def application_entity(calling: AeTitle) -> AE:
    """Returns our application entity, with the timeouts that apply to every peer."""
    ae = RequestingEntity(ae_title=calling)
    node = this_node()
    ae.implementation_class_uid = node.implementation_class_uid
    ae.implementation_version_name = node.implementation_version_name
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _TIMEOUT_SECONDS
    ae.connection_timeout = _TIMEOUT_SECONDS
    return ae


@contextmanager
def associated(
    ae: AE,
    remote: Remote,
    *,
    no_context_error: NodeError | None = None,
    negotiation: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[evt.EventHandlerType] = (),
    limits: AnswerLimits | None = None,
) -> Iterator[Association]:
    """Opens an association for the contexts that `ae` requests, and releases it at the end.

    `negotiation` proposes roles. `handlers` serve requests of the remote on this association.
    `limits` apply to what the remote sends; None are those of answers.

    Raises:
        Transient: no answer, or one that exceeds a limit.
        ConnectionFailure: the name is not known, there is no TLS, or the association is rejected.
        NodeError: `no_context_error`, where the remote accepts no presentation context at all.
    """
    limits = limits or AnswerLimits()
    disable_message_logs()
    context = None if remote.tls is None else remote.tls.context()
    tls_args = None if context is None or remote.tls is None else (context, remote.tls.server_name)
    try:
        association = ae.associate(
            remote.host,
            remote.port,
            ae_title=remote.ae_title,
            max_pdu=_MAX_PDU,
            ext_neg=list(negotiation),
            tls_args=tls_args,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _prepare, [remote]),
                *limits.handlers,
                *handlers,
            ],
        )
    except socket.gaierror as error:
        raise ConnectionFailure(
            ConnectionFault.NAME_NOT_FOUND,
            f"{remote} cannot be reached: this machine does not know the name {remote.host}",
            "check its spelling, or enter the IP address",
        ) from error
    if not association.is_established:
        _close(association)
        limits.check(remote)
        _raise_tls_failure(context, remote)
        read_late_rejection(association)
        raise _association_error(association, ae, remote, no_context_error)
    pause_reliably(association)
    _disable_delays(association)
    try:
        yield association
    except NodeError as error:
        limits.check(remote, error)
        raise
    finally:
        if association.is_established:
            association.release()


@contextmanager
def broken_association_as_transient(remote: Remote) -> Iterator[None]:
    """Converts what pynetdicom raises where an association is not established any more."""
    try:
        yield
    except RuntimeError as error:
        raise Transient(f"the association with {remote} broke: {error}") from error


def _association_error(
    association: Association, ae: AE, remote: Remote, no_context_error: NodeError | None
) -> NodeError:
    if association.is_rejected:
        return association_rejected(association, remote, remote.ae_title, ae.ae_title)
    if association.rejected_contexts and no_context_error is not None:
        return no_context_error
    port = "port" if remote.tls is None else "that the port is its TLS port"
    return Transient(f"{remote} does not answer: check host, {port} and firewall")


def _raise_tls_failure(context: ClientContext | None, remote: Remote) -> None:
    if context is not None and remote.tls is not None and context.failure is not None:
        raise peer_tls_failure(context.failure, str(remote)) from context.failure


def _prepare(event: Event, remote: Remote) -> None:
    """Lets the connection wait for data, and one by TLS read what arrives without more."""
    wait_for_pdus(event.assoc)
    connection = connection_of(event.assoc)
    if isinstance(connection, TlsConnection) and remote.tls is not None:
        # pynetdicom removes the timeout; the rest of a record could then be awaited for ever.
        connection.settimeout(_TIMEOUT_SECONDS)
        read_ahead(event.assoc)
        certificate = PeerCertificate.of(connection)
        if certificate is not None and remote.tls.observe is not None:
            remote.tls.observe(certificate)


def _close(association: Association) -> None:
    """Closes the connection, which pynetdicom leaves open where the peer has closed it first."""
    connection = connection_of(association)
    if connection is not None:
        connection.close()


def _disable_delays(association: Association) -> None:
    """Makes TCP send data and acknowledgements at once.

    Otherwise the data set waits until the peer has acknowledged the command before it: 40 ms. So
    does the response of a peer that sends it in two parts, as DCMTK does (Orthanc, for example).
    """
    connection = connection_of(association)
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        # Linux delays acknowledgements again after it has sent data.
        association.bind(evt.EVT_DATA_SENT, _acknowledge_at_once)


def _acknowledge_at_once(event: Event) -> None:
    connection = connection_of(event.assoc)
    if connection is not None:
        with suppress(OSError):  # it may have been closed meanwhile
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def status_text(status: Dataset) -> str:
    """Returns the status of a DIMSE response in words; a response may have none."""
    code = status.get("Status")
    return "no status" if code is None else f"status 0x{code:04X}"
