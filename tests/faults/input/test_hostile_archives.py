"""Archives that answer a query or a retrieval without end: the node ends the association."""

import ssl
import struct

import pytest
from pydicom.dataset import Dataset

from node.dicom.query import QueryLevel
from node.dimse.answer_limits import MAX_ANSWER_BYTES, AnswerLimits
from node.dimse.find import QUERY_MODEL, finding
from node.dimse.retrieve import MOVE_MODEL, MoveDestination, RetrievalLimits, move_series
from node.dimse.scu import Remote, application_entity, associated
from node.dimse.tls.contexts import PeerTls
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle, Uid
from node.settings import DicomTlsOptions
from tests.support.peers.raw_acceptor import RawAcceptor
from tests.support.peers.secure_port import TlsSite
from tests.support.peers.upper_layer import (
    COMMAND,
    DATA,
    LAST,
    P_DATA_TF,
    SOP_CLASS,
    STATUS,
    command,
    p_data,
)

pytestmark = pytest.mark.timeout(120)
US = AeTitle("SEGNODE")
CONTEXT = 1
C_FIND_RSP, C_MOVE_RSP = 0x8020, 0x8021
ANSWERED_MESSAGE = 0x0120
PENDING = 0xFF00


def pending(field: int, model: str, *, data_set: bool) -> bytes:
    """The command of a response after which others follow."""
    elements = {
        SOP_CLASS: model.encode() + b"\0" * (len(model) % 2),
        ANSWERED_MESSAGE: struct.pack("<H", 1),
        STATUS: struct.pack("<H", PENDING),
    }
    return p_data(CONTEXT, COMMAND | LAST, command(field, elements, data_set=data_set))


MATCH = pending(C_FIND_RSP, QUERY_MODEL, data_set=True)
ENDLESS = {
    "a PDU of gigabytes": (b"", struct.pack(">BBI", P_DATA_TF, 0, 0xFFFFFFF0), "a PDU of"),
    "a command": (b"", p_data(CONTEXT, COMMAND, bytes(16_000)), "a command of over"),
    "a data set": (MATCH, p_data(CONTEXT, DATA, bytes(16_000)), "a data set of over"),
}


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, certificates: TlsSite) -> PeerTls | None:
    if request.param == "plain":
        return None
    authority = certificates.authority.file
    return PeerTls(DicomTlsOptions(ca_file=authority), "127.0.0.1", authority)


def server_context(site: TlsSite) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site.node.certificate, site.node.key)
    return context


@pytest.mark.parametrize(("first", "piece", "sent"), ENDLESS.values(), ids=ENDLESS)
def test_an_answer_without_end_ends_the_association(
    tls: PeerTls | None, certificates: TlsSite, first: bytes, piece: bytes, sent: str
) -> None:
    context = None if tls is None else server_context(certificates)
    with RawAcceptor(piece, first, context).running() as archive:
        remote = Remote(AeTitle("PACS"), "127.0.0.1", archive.port, tls)
        with pytest.raises(Transient, match=f"sent {sent}"), finding(remote, US) as find:
            find(QueryLevel.SERIES, {"SeriesInstanceUID": ""}, 10)
    assert archive.sent < 2 * MAX_ANSWER_BYTES


@pytest.mark.parametrize("sent_of_pdu", [3, 20], ids=["in its head", "in its content"])
def test_an_answer_that_stops_within_a_pdu_ends_the_association(
    tls: PeerTls | None, certificates: TlsSite, sent_of_pdu: int
) -> None:
    context = None if tls is None else server_context(certificates)
    ae = application_entity(US)
    ae.dimse_timeout = ae.network_timeout = None  # only the limit of a PDU ends the association
    ae.add_requested_context(QUERY_MODEL)
    with RawAcceptor(b"", MATCH[:sent_of_pdu], context).running() as archive:
        remote = Remote(AeTitle("PACS"), "127.0.0.1", archive.port, tls)
        sent = r"sent a part of a PDU, and no more within 0\.5 s"
        with (
            pytest.raises(Transient, match=sent),
            associated(ae, remote, limits=AnswerLimits(pdu_s=0.5)) as association,
        ):
            responses = association.send_c_find(Dataset(), QUERY_MODEL)
            assert [status.get("Status") for status, _ in responses] == [None]
            raise Transient("no response")


def test_messages_that_nobody_reads_end_the_association() -> None:
    progress = pending(C_MOVE_RSP, MOVE_MODEL, data_set=False)
    ae = application_entity(US)
    ae.add_requested_context(MOVE_MODEL)
    with RawAcceptor(progress).running() as archive:
        remote = Remote(AeTitle("PACS"), "127.0.0.1", archive.port)
        with (
            pytest.raises(Transient, match="sent messages faster than the node can read them"),
            associated(ae, remote, limits=AnswerLimits(message_bytes=10_000)) as association,
        ):
            responses = association.send_c_move(Dataset(), US, MOVE_MODEL)
            next(responses)
            assert archive.ended.wait(60), "the node takes any number of messages"
            raise Transient("the association has ended")


LOW_LIMITS = {
    "too many responses": RetrievalLimits(max_pending=500),
    "too long": RetrievalLimits(max_pending=1 << 40, max_seconds=0.0),
}


@pytest.mark.parametrize("limits", LOW_LIMITS.values(), ids=LOW_LIMITS)
def test_a_retrieval_that_only_reports_progress_is_ended(limits: RetrievalLimits) -> None:
    progress = pending(C_MOVE_RSP, MOVE_MODEL, data_set=False)
    with RawAcceptor(progress).running() as archive:
        remote = Remote(AeTitle("PACS"), "127.0.0.1", archive.port)
        with pytest.raises(Transient, match="does not end the retrieval"):
            move_series(
                remote, MoveDestination(US, "port 104"), Uid("1.2"), Uid("1.2.3"), limits=limits
            )
