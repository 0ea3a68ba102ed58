"""Archives that answer a query or a retrieval without end: the node ends the association."""

import ssl
import struct

import pytest

from node.dicom.query import QueryLevel
from node.dimse import retrieve
from node.dimse.answer_limits import MAX_ANSWER_BYTES
from node.dimse.find import QUERY_MODEL, finding
from node.dimse.retrieve import MOVE_MODEL, MoveDestination, move_series
from node.dimse.scu import Remote
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


def test_a_retrieval_that_only_reports_progress_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieve, "_MAX_PENDING", 500)
    progress = pending(C_MOVE_RSP, MOVE_MODEL, data_set=False)
    with RawAcceptor(progress).running() as archive:
        remote = Remote(AeTitle("PACS"), "127.0.0.1", archive.port)
        with pytest.raises(Transient, match="does not end the retrieval"):
            move_series(remote, MoveDestination(US, "port 104"), Uid("1.2"), Uid("1.2.3"))
