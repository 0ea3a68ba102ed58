"""Probes of a DICOM peer: C-ECHO, and which SOP classes it accepts. Nothing is stored."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.dimse import scu
from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.domain.errors import NodeError, Transient
from node.domain.identifiers import AeTitle
from node.probes.tcp import connected, speaks_tls

# A person waits for the answer. A delivery waits longer.
TIMEOUT_S = 10.0


class _NoContext(NodeError):
    """The peer accepts none of the proposed SOP classes."""


def echo(remote: scu.Remote, calling: AeTitle) -> None:
    """Sends C-ECHO to `remote` (PS3.7 9.1.5).

    Raises:
        ConnectionFailure: no answer, a rejected association, or a failure status.
    """
    ae = _application_entity(calling)
    ae.add_requested_context(Verification)
    try:
        with _failures(remote), scu.associated(ae, remote, no_context_error=_NoContext()) as opened:
            status = opened.send_c_echo()
    except _NoContext as error:
        raise ConnectionFailure(
            ConnectionFault.SOP_CLASS,
            f"{remote} answered but does not accept C-ECHO (Verification)",
            "allow it there; images and results may be exchanged nevertheless",
        ) from error
    if status.get("Status") != scu.SUCCESS:
        raise ConnectionFailure(
            ConnectionFault.DIMSE_STATUS,
            f"{remote} answered C-ECHO with {scu.status_text(status)}",
            "look into its log",
        )


def accepted_sop_classes(
    remote: scu.Remote, calling: AeTitle, sop_classes: Iterable[str]
) -> frozenset[str]:
    """Returns the SOP classes that `remote` accepts from us, in an uncompressed transfer syntax.

    Raises:
        ConnectionFailure: no answer, or a rejected association.
    """
    ae = _application_entity(calling)
    for sop_class in sop_classes:
        ae.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    try:
        with _failures(remote), scu.associated(ae, remote, no_context_error=_NoContext()) as opened:
            return frozenset(str(context.abstract_syntax) for context in opened.accepted_contexts)
    except _NoContext:
        return frozenset()


def _application_entity(calling: AeTitle) -> AE:
    ae = scu.application_entity(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = TIMEOUT_S
    return ae


@contextmanager
def _failures(remote: scu.Remote) -> Iterator[None]:
    """Names the reason where there is no association."""
    try:
        with scu.broken_association_as_transient(remote):
            yield
    except ConnectionFailure:
        raise
    except Transient as error:
        # pynetdicom does not say why it has no connection.
        with connected(remote.host, remote.port, TIMEOUT_S) as connection:
            expects_tls = remote.tls is None and speaks_tls(connection)
        if expects_tls:
            raise ConnectionFailure(
                ConnectionFault.TLS,
                f"{remote.host}:{remote.port} expects TLS",
                "set tls = true for this peer, and check its port",
            ) from error
        raise ConnectionFailure(
            ConnectionFault.NO_DICOM,
            f"{remote.host}:{remote.port} takes connections but does not answer as a DICOM node",
            "check the port: another service may use it",
        ) from error
