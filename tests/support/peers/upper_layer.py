"""Builds the PDUs of an association byte by byte (PS3.8 9.3, PS3.7 6.3)."""

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    Verification,
)

from tests.support.factories import CT_IMAGE, EXPLICIT

IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
# Presentation context IDs; those for CT images by transfer syntax.
CT_CONTEXTS = {EXPLICIT: 1, IMPLICIT: 3, BIG_ENDIAN: 5, DEFLATED: 7}
ECHO_CONTEXT, COMMITMENT_CONTEXT = 9, 11
# PDU types (PS3.8 9.3.1).
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF = 0x01, 0x02, 0x03, 0x04
_RELEASE_RQ, _RELEASE_RP, _ABORT = 0x05, 0x06, 0x07
# The lowest bits of a message control header (PS3.8 E.2).
DATA, COMMAND, LAST = 0, 1, 2
# Tags of command elements (PS3.7 E.1).
SOP_CLASS, COMMAND_FIELD, MESSAGE_ID, PRIORITY = 0x0002, 0x0100, 0x0110, 0x0700
DATA_SET_TYPE, SOP_INSTANCE = 0x0800, 0x1000
REQUESTED_SOP_CLASS, REQUESTED_SOP_INSTANCE, ACTION_TYPE = 0x0003, 0x1001, 0x1008
EVENT_TYPE = 0x1002
C_STORE_RQ, C_ECHO_RQ, N_EVENT_REPORT_RQ, N_ACTION_RQ = 0x0001, 0x0030, 0x0100, 0x0130
STATUS = 0x0900
_WITH_DATA_SET, _WITHOUT_DATA_SET = 0x0001, 0x0101
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
# Below the maximum PDU length of the listener.
_FRAGMENT_BYTES = 1 << 16


def pdu(pdu_type: int, body: bytes) -> bytes:
    """A PDU of that type."""
    return struct.pack(">BBI", pdu_type, 0, len(body)) + body


RELEASE_RQ = pdu(_RELEASE_RQ, bytes(4))
RELEASE_RP = pdu(_RELEASE_RP, bytes(4))
ABORT = pdu(_ABORT, bytes(4))


def item(item_type: int, value: bytes) -> bytes:
    """A variable item of an association request (PS3.8 9.3.2)."""
    return struct.pack(">BBH", item_type, 0, len(value)) + value


def presentation_context(number: int, abstract: str, syntaxes: Sequence[str]) -> bytes:
    """A proposed presentation context (PS3.8 9.3.2.2)."""
    inner = item(0x30, abstract.encode("ascii"))
    inner += b"".join(item(0x40, syntax.encode("ascii")) for syntax in syntaxes)
    return item(0x20, bytes([number, 0, 0, 0]) + inner)


_CONTEXTS = b"".join(
    [
        *(presentation_context(n, CT_IMAGE, [syntax]) for syntax, n in CT_CONTEXTS.items()),
        presentation_context(ECHO_CONTEXT, str(Verification), [EXPLICIT]),
        presentation_context(COMMITMENT_CONTEXT, str(StorageCommitmentPushModel), [EXPLICIT]),
    ]
)


def associate_rq(contexts: bytes = _CONTEXTS, *, user: bytes = b"", max_pdu: int = 16384) -> bytes:
    """An association request; `user` is added to the usual user information."""
    titles = b"SEGNODE".ljust(16) + b"ATTACKER".ljust(16)
    about_us = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3") + user
    return pdu(
        ASSOCIATE_RQ,
        struct.pack(">HH", 1, 0)
        + titles
        + bytes(32)
        + item(0x10, b"1.2.840.10008.3.1.1.1")
        + contexts
        + item(0x50, about_us),
    )


def value(context: int, control: int, content: bytes) -> bytes:
    """A presentation data value (PS3.8 9.3.5.1)."""
    return struct.pack(">IBB", len(content) + 2, context, control) + content


def p_data(context: int, control: int, content: bytes) -> bytes:
    """A P-DATA-TF PDU with one presentation data value."""
    return pdu(P_DATA_TF, value(context, control, content))


def command(field: int, more: Mapping[int, bytes], *, data_set: bool) -> bytes:
    """A command set, implicit little endian (PS3.7 6.3.1)."""
    elements = {
        COMMAND_FIELD: struct.pack("<H", field),
        MESSAGE_ID: struct.pack("<H", 1),
        DATA_SET_TYPE: struct.pack("<H", _WITH_DATA_SET if data_set else _WITHOUT_DATA_SET),
        **more,
    }
    body = b"".join(
        struct.pack("<HHI", 0, tag, len(content)) + content
        for tag, content in sorted(elements.items())
    )
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _uid(text: str) -> bytes:
    return text.encode("ascii") + b"\0" * (len(text) % 2)


def c_store(
    dataset: bytes,
    sop_instance_uid: str,
    syntax: str = EXPLICIT,
    more: Mapping[int, bytes] = MappingProxyType({}),
) -> list[bytes]:
    """The PDUs of a C-STORE request; `more` are command elements, in place of the right ones."""
    elements = {
        SOP_CLASS: _uid(CT_IMAGE),
        PRIORITY: struct.pack("<H", 2),
        SOP_INSTANCE: _uid(sop_instance_uid),
        **more,
    }
    return _message(CT_CONTEXTS[syntax], C_STORE_RQ, elements, dataset)


def c_echo() -> bytes:
    """The PDU of a C-ECHO request."""
    elements = {SOP_CLASS: _uid(str(Verification))}
    request = command(C_ECHO_RQ, elements, data_set=False)
    return p_data(ECHO_CONTEXT, COMMAND | LAST, request)


def n_action(information: bytes) -> list[bytes]:
    """The PDUs of a request for storage commitment (PS3.4 J.3.2)."""
    elements = {
        REQUESTED_SOP_CLASS: _uid(str(StorageCommitmentPushModel)),
        REQUESTED_SOP_INSTANCE: _uid(COMMITMENT_INSTANCE),
        ACTION_TYPE: struct.pack("<H", 1),
    }
    return _message(COMMITMENT_CONTEXT, N_ACTION_RQ, elements, information)


def n_event_report(information: bytes) -> list[bytes]:
    """The PDUs of a report on storage commitment (PS3.4 J.3.3)."""
    elements = {
        SOP_CLASS: _uid(str(StorageCommitmentPushModel)),
        SOP_INSTANCE: _uid(COMMITMENT_INSTANCE),
        EVENT_TYPE: struct.pack("<H", 1),
    }
    return _message(COMMITMENT_CONTEXT, N_EVENT_REPORT_RQ, elements, information)


def _message(
    context: int, field: int, elements: Mapping[int, bytes], dataset: bytes
) -> list[bytes]:
    pieces = [
        dataset[start : start + _FRAGMENT_BYTES]
        for start in range(0, len(dataset), _FRAGMENT_BYTES)
    ]
    return [
        p_data(context, COMMAND | LAST, command(field, elements, data_set=True)),
        *(p_data(context, DATA, piece) for piece in pieces[:-1]),
        p_data(context, DATA | LAST, pieces[-1]),
    ]
