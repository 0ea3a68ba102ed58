"""Reads and writes DICOM files (PS3.10 7.1)."""

import struct
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from node.dicom.equipment import this_node
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.instance import Origin, ReceivedInstance
from node.intake.dataset_elements import Encoding, encode_uid_element, iter_elements
from node.intake.identification import IdentifiedInstance, InstanceUids, identify, uids_in

_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_META_GROUP = 0x0002
_GROUP_BYTES = 2
# The file meta information is explicit little endian whatever follows it (PS3.10 7.1).
_META_ENCODING = Encoding(explicit=True, little=True)
_META_SOP_CLASS = 0x00020002
_META_SOP_INSTANCE = 0x00020003
_TRANSFER_SYNTAX = 0x00020010
# Preamble and file meta information are rarely longer.
_USUAL_META_BYTES = 1024


def received_from_part10(data: bytes, origin: Origin) -> ReceivedInstance:
    """Returns the instance in a DICOM file, without preamble and file meta information.

    Raises:
        Rejected: the data is not a DICOM file, or its data set does not identify the instance.
    """
    return identified_from_part10(data, origin).received


def received_from_file(path: Path, origin: Origin) -> ReceivedInstance:
    """Returns the instance in the DICOM file at `path`.

    Raises:
        Rejected: the data is not a DICOM file, or its data set does not identify the instance.
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:  # a buffer would cost a copy of the data set
        meta, start = _identifying_meta_in(file)
        file.seek(start)
        return _identified(meta, file.read(), origin).received


def identified_from_part10(data: bytes, origin: Origin) -> IdentifiedInstance:
    """Like `received_from_part10`, with the names of the UIDs that were filled in.

    Raises:
        Rejected: the data is not a DICOM file, or its data set does not identify the instance.
    """
    meta, start = _identifying_meta(data)
    return _identified(meta, data[start:], origin)


def uids_in_part10(data: bytes) -> InstanceUids:
    """Returns the UIDs of an instance that is refused; the rest of its file may be damaged.

    Raises:
        Rejected: the data is not a DICOM file, or its head does not identify the instance.
    """
    meta, start = _identifying_meta(data)
    return uids_in(
        data[start:],
        Uid(meta[_TRANSFER_SYNTAX]),
        sop_class_uid=meta.get(_META_SOP_CLASS, ""),
        sop_instance_uid=meta.get(_META_SOP_INSTANCE, ""),
    )


@dataclass(frozen=True)
class FileMeta:
    """What the file meta information of a DICOM file states."""

    sop_class_uid: Uid
    transfer_syntax_uid: Uid


def file_meta_of(path: Path) -> FileMeta:
    """Returns what the file meta information states; reads little more of the file than that.

    Raises:
        Rejected: it is not a DICOM file, or states too little.
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        meta, _ = _identifying_meta_in(file)
    return FileMeta(Uid(meta.get(_META_SOP_CLASS, "")), Uid(meta[_TRANSFER_SYNTAX]))


def part10_bytes(received: ReceivedInstance) -> bytes:
    """Returns the DICOM file of an instance."""
    return part10_header(received) + received.dataset


def part10_header(received: ReceivedInstance) -> bytes:
    """Returns what precedes the data set in a DICOM file: preamble, prefix, file meta information.

    The preamble is zeros, whatever the sender's was: a preamble that is also an executable header
    is not stored.
    """
    node = this_node()
    name = node.implementation_version_name.encode("ascii")
    name += b" " * (len(name) % 2)
    meta = b"".join(
        (
            # OB has two reserved bytes and a 32-bit length (PS3.5 7.1.2).
            struct.pack("<HH2sHI", _META_GROUP, 0x0001, b"OB", 0, 2) + b"\0\1",
            encode_uid_element(_META_SOP_CLASS, received.sop_class_uid, _META_ENCODING),
            encode_uid_element(_META_SOP_INSTANCE, received.sop_instance_uid, _META_ENCODING),
            encode_uid_element(_TRANSFER_SYNTAX, received.transfer_syntax_uid, _META_ENCODING),
            encode_uid_element(0x00020012, node.implementation_class_uid, _META_ENCODING),
            struct.pack("<HH2sH", _META_GROUP, 0x0013, b"SH", len(name)) + name,
        )
    )
    group_length = struct.pack("<HH2sHI", _META_GROUP, 0x0000, b"UL", 4, len(meta))
    return b"\0" * _PREAMBLE_BYTES + _PREFIX + group_length + meta


def _identified(meta: dict[int, str], dataset: bytes, origin: Origin) -> IdentifiedInstance:
    return identify(
        dataset,
        Uid(meta[_TRANSFER_SYNTAX]),
        origin,
        sop_class_uid=meta.get(_META_SOP_CLASS, ""),
        sop_instance_uid=meta.get(_META_SOP_INSTANCE, ""),
    )


def _identifying_meta_in(file: FileIO) -> tuple[dict[int, str], int]:
    """Like `_identifying_meta`; reads little more of the file than that."""
    head = file.read(_USUAL_META_BYTES)
    with suppress(Rejected):  # it is longer, or not one
        meta, start = _identifying_meta(head)
        if start + _GROUP_BYTES <= len(head):
            return meta, start
    return _identifying_meta(head + file.read())


def _identifying_meta(data: bytes) -> tuple[dict[int, str], int]:
    """Returns the UIDs in the file meta information, and the offset of the data set.

    Raises:
        Rejected: the data is not a DICOM file, or has no transfer syntax.
    """
    start = _PREAMBLE_BYTES + len(_PREFIX)
    if data[_PREAMBLE_BYTES:start] != _PREFIX:
        raise _invalid("it is not a DICOM file")
    meta, start = _file_meta(data, start)
    if not meta.get(_TRANSFER_SYNTAX):
        raise _invalid("its file meta information names no transfer syntax")
    return meta, start


def _file_meta(data: bytes, start: int) -> tuple[dict[int, str], int]:
    """Returns the UIDs in the file meta information at `start`, and the offset after it."""
    found: dict[int, str] = {}
    while data[start : start + _GROUP_BYTES] == struct.pack("<H", _META_GROUP):
        element = next(iter_elements(data, _META_ENCODING, start))
        if element.tag in {_META_SOP_CLASS, _META_SOP_INSTANCE, _TRANSFER_SYNTAX}:
            text = data[element.value_start : element.end].decode("ascii", "replace")
            found[element.tag] = text.strip("\0 ")
        start = element.end
    return found, start


def _invalid(what: str) -> Rejected:
    return Rejected(RejectionReason.INVALID_INSTANCE, f"the instance cannot be accepted: {what}")
