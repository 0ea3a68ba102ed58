"""Identification of an encoded instance; UIDs that anonymisers emptied are filled in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid, mint_uid
from node.domain.instance import Origin, ReceivedInstance
from node.intake.dataset_elements import (
    DEFLATED,
    Element,
    Encoding,
    encode_uid_element,
    inflated_head,
    iter_elements,
)
from node.intake.header_limits import check_header

_SOP_CLASS = 0x00080016
_SOP_INSTANCE = 0x00080018
_STUDY = 0x0020000D
_SERIES = 0x0020000E
_FRAME_OF_REFERENCE = 0x00200052
_UID_NAMES = {
    _SOP_CLASS: "SOP Class UID",
    _SOP_INSTANCE: "SOP Instance UID",
    _STUDY: "Study Instance UID",
    _SERIES: "Series Instance UID",
}
# Attributes that the instances of a study share, beside the Frame of Reference UID: Patient ID,
# Study Date, Study Time, Accession Number.
_SHARED_BY_STUDY = (0x00100020, 0x00080020, 0x00080030, 0x00080050)
# Attributes that the instances of a series share: Modality, Series Date, Series Time, Series
# Number, Series Description, Protocol Name, Slice Thickness, Convolution Kernel.
_SHARED_BY_SERIES = (
    0x00080060,
    0x00080021,
    0x00080031,
    0x00200011,
    0x0008103E,
    0x00181030,
    0x00180050,
    0x00181210,
)
_TAGS_TO_READ = frozenset({*_UID_NAMES, *_SHARED_BY_STUDY, *_SHARED_BY_SERIES, _FRAME_OF_REFERENCE})


@dataclass(frozen=True)
class IdentifiedInstance:
    """An instance with all its UIDs; `filled_in_uids` names those that the sender left empty."""

    received: ReceivedInstance
    filled_in_uids: tuple[str, ...]


def identify(
    dataset: bytes,
    transfer_syntax_uid: Uid,
    origin: Origin,
    *,
    sop_class_uid: str = "",
    sop_instance_uid: str = "",
) -> IdentifiedInstance:
    """Identifies the instance in an encoded data set; decodes only the head of the data set.

    `sop_class_uid` and `sop_instance_uid` are those of the DIMSE command or the file meta
    information. They are written into a data set that has none. An empty Study or Series Instance
    UID, as anonymisers leave it, is replaced by one that is derived from the Frame of Reference UID
    and other attributes that a series shares. It is the same for each instance of the series,
    whenever it arrives.

    Raises:
        Rejected: the data set cannot be read as DICOM, its header is too large, or a UID is invalid
            or cannot be filled in.
    """
    stream = inflated_head(dataset, transfer_syntax_uid)
    encoding = Encoding.for_transfer_syntax(transfer_syntax_uid)
    elements = _head_elements(stream, encoding)
    check_header(dataset, transfer_syntax_uid)
    texts = {tag: _text(stream, element) for tag, element in elements.items()}
    missing = [tag for tag in _UID_NAMES if not texts.get(tag)]
    if missing:
        if transfer_syntax_uid == DEFLATED:
            raise _missing_uid(missing[0])
        known = {_SOP_CLASS: sop_class_uid, _SOP_INSTANCE: sop_instance_uid, **_derived(texts)}
        for tag in missing:
            if not known.get(tag):
                raise _missing_uid(tag)
            texts[tag] = known[tag]
        filled_in = {tag: Uid(texts[tag]) for tag in missing}
        dataset = _insert_uids(dataset, iter_elements(stream, encoding), filled_in, encoding)
    received = ReceivedInstance(
        sop_class_uid=Uid(texts[_SOP_CLASS]),
        sop_instance_uid=Uid(texts[_SOP_INSTANCE]),
        series_instance_uid=Uid(texts[_SERIES]),
        study_instance_uid=Uid(texts[_STUDY]),
        transfer_syntax_uid=transfer_syntax_uid,
        dataset=dataset,
        origin=origin,
    )
    return IdentifiedInstance(received, tuple(_UID_NAMES[tag] for tag in missing))


@dataclass(frozen=True)
class InstanceUids:
    """What an encoded instance says of itself."""

    sop_class: Uid
    sop_instance: Uid
    series: Uid


def uids_in(
    dataset: bytes, transfer_syntax_uid: Uid, *, sop_class_uid: str = "", sop_instance_uid: str = ""
) -> InstanceUids:
    """Returns the UIDs of an instance that is refused, as `identify` finds them.

    The rest of its data set may be damaged, and its header may be too large.

    Raises:
        Rejected: its head cannot be read, or a UID is invalid, or missing and not derivable.
    """
    stream = inflated_head(dataset, transfer_syntax_uid)
    elements = _head_elements(stream, Encoding.for_transfer_syntax(transfer_syntax_uid))
    texts = {tag: _text(stream, element) for tag, element in elements.items()}
    known = {_SOP_CLASS: sop_class_uid, _SOP_INSTANCE: sop_instance_uid, **_derived(texts)}
    found = known | {tag: text for tag, text in texts.items() if text}
    for tag in (_SOP_CLASS, _SOP_INSTANCE, _SERIES):
        if not found.get(tag):
            raise _missing_uid(tag)
    return InstanceUids(Uid(found[_SOP_CLASS]), Uid(found[_SOP_INSTANCE]), Uid(found[_SERIES]))


def _head_elements(stream: bytes, encoding: Encoding) -> dict[int, Element]:
    """Returns the identifying elements; does not read the rest of the stream."""
    found: dict[int, Element] = {}
    for element in iter_elements(stream, encoding):
        complete = all(
            tag in found and found[tag].value_start < found[tag].end for tag in _UID_NAMES
        )
        if element.tag > (_SERIES if complete else _FRAME_OF_REFERENCE):
            break
        if element.tag in _TAGS_TO_READ:
            found[element.tag] = element
    return found


def _text(stream: bytes, element: Element) -> str:
    # Only UIDs are used as text. Other values go into a digest, so any decoding will do.
    return stream[element.value_start : element.end].decode("ascii", "replace").strip("\0 ")


def _derived(texts: Mapping[int, str]) -> dict[int, str]:
    """Returns derived study and series UIDs; empty without a Frame of Reference UID."""
    frame_of_reference = texts.get(_FRAME_OF_REFERENCE)
    if not frame_of_reference:  # the other attributes could be equal for two patients
        return {}
    study = [frame_of_reference, *(texts.get(tag, "") for tag in _SHARED_BY_STUDY)]
    series = [texts.get(_STUDY, ""), *study, *(texts.get(tag, "") for tag in _SHARED_BY_SERIES)]
    return {_STUDY: mint_uid("study", *study), _SERIES: mint_uid("series of", *series)}


def _insert_uids(
    dataset: bytes, elements: Iterable[Element], uids: Mapping[int, Uid], encoding: Encoding
) -> bytes:
    """Returns the data set with these UID elements inserted or replaced; the rest unchanged."""
    pieces: list[bytes] = []
    copied = 0
    pending = sorted(uids)
    for element in elements:
        while pending and pending[0] <= element.tag:
            tag = pending.pop(0)
            pieces.append(dataset[copied : element.offset])
            pieces.append(encode_uid_element(tag, uids[tag], encoding))
            copied = element.end if element.tag == tag else element.offset
        if not pending:
            break
    pieces.append(dataset[copied:])
    pieces += [encode_uid_element(tag, uids[tag], encoding) for tag in pending]
    return b"".join(pieces)


def _missing_uid(tag: int) -> Rejected:
    return Rejected(
        RejectionReason.INVALID_INSTANCE,
        f"the instance cannot be accepted: it has no {_UID_NAMES[tag]}",
    )
