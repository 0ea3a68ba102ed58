"""DIMSE as a user: C-ECHO and C-STORE of files to a remote application entity."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.dicom.equipment import this_node
from node.domain.errors import NodeError, Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle
from node.domain.instance import Door, Origin
from node.intake.part10 import file_of, identified_from_part10

# One association carries at most 128 presentation contexts (PS3.8 9.3.2: odd IDs from 1 to 255).
_MOST_CONTEXTS = 128
# Large PDUs save system calls; every toolkit accepts less than it is offered.
_MAX_PDU = 131072
# Silence after which a peer counts as gone.
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Remote:
    """A remote application entity: where it listens and what it is called."""

    ae_title: AeTitle
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `AE_TITLE@host:port`.

        Raises:
            ValueError: the text has another form.
        """
        title, at, address = text.partition("@")
        host, colon, port = address.rpartition(":")
        if not (at and colon and host and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{text!r} is not of the form AE_TITLE@host:port")
        return cls(AeTitle(title), host, int(port))

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class SendSummary:
    """What became of a set of files: how many were taken, and why the others were not."""

    accepted: int
    failures: tuple[str, ...]


def associate(
    ae: AE,
    remote: Remote,
    *,
    accepting_none: NodeError | None = None,
    negotiation: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Association:
    """An association with `remote` for what `ae` requests, in the roles that are negotiated.

    `handlers` serve what the remote requests on it.

    Raises:
        Transient: no answer, or the association is rejected.
        NodeError: `accepting_none`, where the remote accepts no presentation context at all.
    """
    association = ae.associate(
        remote.host,
        remote.port,
        ae_title=remote.ae_title,
        max_pdu=_MAX_PDU,
        ext_neg=list(negotiation),
        evt_handlers=list(handlers),
    )
    if association.is_established:
        _send_at_once(association)
        return association
    if association.is_rejected:
        raise Transient(
            f"{remote} answered but rejected the association: check both AE titles and whether "
            f"{ae.ae_title} is known there"
        )
    if association.rejected_contexts and accepting_none is not None:
        raise accepting_none
    raise Transient(f"{remote} does not answer: check host, port and firewall")


def _send_at_once(association: Association) -> None:
    """Else the data set waits until the peer has acknowledged the command before it: 40 ms."""
    transport = association.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def entity(calling: AeTitle) -> AE:
    """An application entity of ours, with the time-outs that we grant a peer."""
    ae = AE(ae_title=calling)
    node = this_node()
    ae.implementation_class_uid = node.implementation_class_uid
    ae.implementation_version_name = node.implementation_version_name
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _TIMEOUT_SECONDS
    ae.connection_timeout = _TIMEOUT_SECONDS
    return ae


def echo(remote: Remote, calling: AeTitle) -> None:
    """Ask `remote` for C-ECHO (PS3.7 9.1.5).

    Raises:
        Transient: no answer, a rejected association or a failure status.
    """
    ae = entity(calling)
    ae.add_requested_context(Verification)
    association = associate(ae, remote)
    try:
        status = association.send_c_echo()
    finally:
        association.release()
    code = status.get("Status")
    if code != 0x0000:
        told = "no status" if code is None else f"status 0x{code:04X}"
        raise Transient(f"{remote} answered C-ECHO with {told}")


def _contexts(files: Sequence[Path]) -> list[tuple[UID, UID]]:
    """The pairs of SOP class and transfer syntax that `files` need."""
    pairs: dict[tuple[UID, UID], None] = {}
    for path in files:
        try:
            meta = dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
        except InvalidDicomError as error:
            raise Rejected(RejectionReason.UNREADABLE, f"{path} is not readable") from error
        pairs[(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)] = None
    return list(pairs)


def send(
    files: Sequence[Path],
    remote: Remote,
    calling: AeTitle,
    progress: Callable[[int], None] = lambda sent: None,
) -> SendSummary:
    """C-STORE `files` to `remote` on one association, each as it is encoded.

    Raises:
        Transient: no association, or it broke; files already accepted stay accepted.
        Rejected: the files need more presentation contexts than one association has.
    """
    pairs = _contexts(files)
    if len(pairs) > _MOST_CONTEXTS:
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"the files use {len(pairs)} combinations of SOP class and transfer syntax; "
            f"one association can carry {_MOST_CONTEXTS}: send fewer folders at a time",
        )
    ae = entity(calling)
    ae.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in pairs]
    association = associate(ae, remote)
    failures: list[str] = []
    try:
        for sent, path in enumerate(files, start=1):
            failure = _send_one(association, path, remote)
            if failure:
                failures.append(failure)
            progress(sent)
    finally:
        if association.is_established:
            association.release()
    return SendSummary(len(files) - len(failures), tuple(failures))


def _send_one(association: Association, path: Path, remote: Remote) -> str:
    """Why `remote` did not take the file; empty when it did."""
    identified = identified_from_part10(path.read_bytes(), Origin(Door.FOLDER, str(path)))
    # What an anonymiser has emptied cannot be sent, by anybody, until it is filled in.
    emptied = identified.completed
    to_send = dcmread(BytesIO(file_of(identified.received))) if emptied else path
    try:
        status = association.send_c_store(to_send)
    except ValueError as error:  # no accepted presentation context for this file
        return f"{path.name}: {remote.ae_title} does not accept this kind of object ({error})"
    except RuntimeError as error:
        raise Transient(f"the association with {remote} broke: {error}") from error
    code = status.get("Status")
    if code is None:
        raise Transient(f"{remote} stopped answering while {path.name} was sent")
    # PS3.4 B.2.3: 0000 is success, Bxxx a warning with which the object is stored.
    if code == 0x0000 or code & 0xF000 == 0xB000:
        return ""
    return f"{path.name}: {remote.ae_title} answered with status 0x{code:04X}"
