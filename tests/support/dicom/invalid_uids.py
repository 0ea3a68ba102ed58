"""Data sets whose UIDs are not UIDs: paths, lists and texts that are too long."""

import struct

from tests.support.factories import CT_IMAGE

SOP, STUDY, SERIES = 0x00080018, 0x0020000D, 0x0020000E

INVALID_UIDS = {
    "up": b"../../x",
    "far up": b"../../../../../../../../tmp/segnode-attack",
    "absolute": b"/tmp/segnode-attack",
    "dots": b"..",
    "dot": b".",
    "folder": b"1.2.3/",
    "NUL": b"1.2.3\0/../../x",
    "backslash": b"..\\..\\x",
    "drive": b"C:\\x",
    "line break": b"1.2.3\n1.2.4",
    "65 characters": b"1." * 32 + b"1",
    "10,000 characters": b"1." * 5000,
}


def dataset_with_uid(tag: int, uid: bytes) -> bytes:
    """Encodes the UIDs of a CT image, explicit little endian, with `uid` as the value of `tag`."""
    uids = {0x00080016: CT_IMAGE.encode(), SOP: b"1.2.3.1", STUDY: b"1.2", SERIES: b"1.2.3"}
    uids[tag] = uid
    return b"".join(
        struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"UI", len(padded(value))) + padded(value)
        for tag, value in sorted(uids.items())
    )


def padded(uid: bytes) -> bytes:
    """Pads a UID to even length (PS3.5 6.2)."""
    return uid + b"\0" * (len(uid) % 2)
