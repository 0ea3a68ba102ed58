"""What an encoded data set says it is; what anonymisers emptied is filled in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid, mint_uid
from node.domain.instance import Origin, ReceivedInstance
from node.intake.dataset_elements import DEFLATED, Element, Encoding, head_of, uid_element, walk

_SOP_CLASS = 0x00080016
_SOP_INSTANCE = 0x00080018
_STUDY = 0x0020000D
_SERIES = 0x0020000E
_FRAME_OF_REFERENCE = 0x00200052
_NAMES = {
    _SOP_CLASS: "SOP Class UID",
    _SOP_INSTANCE: "SOP Instance UID",
    _STUDY: "Study Instance UID",
    _SERIES: "Series Instance UID",
}
# What the instances of one study, or series, have in common, beside the Frame of Reference UID:
# Patient ID, Study Date and Time, Accession Number ...
_SHARED_BY_STUDY = (0x00100020, 0x00080020, 0x00080030, 0x00080050)
# ... and Modality, Series Date, Time, Number and Description, Protocol Name, Slice Thickness,
# Convolution Kernel.
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
_READ = frozenset({*_NAMES, *_SHARED_BY_STUDY, *_SHARED_BY_SERIES, _FRAME_OF_REFERENCE})


@dataclass(frozen=True)
class Identified:
    """An instance that names itself; `completed` are the UIDs that its sender had left out."""

    received: ReceivedInstance
    completed: tuple[str, ...]


def identify(
    dataset: bytes,
    transfer_syntax_uid: Uid,
    origin: Origin,
    *,
    sop_class_uid: str = "",
    sop_instance_uid: str = "",
) -> Identified:
    """The instance in an encoded data set, of which only the head is read.

    `sop_class_uid` and `sop_instance_uid` are what came beside the data set, in a command or a
    file's head; they are written into it where it has none. Where the Study or Series Instance
    UID is empty, as anonymisers leave it, one is minted from the Frame of Reference UID and what
    else a series has in common: the same for each of its instances, whenever they come.

    Raises:
        Rejected: it cannot be read as DICOM, or a UID is invalid, or missing for good.
    """
    stream = head_of(dataset, transfer_syntax_uid)
    encoding = Encoding.of(transfer_syntax_uid)
    elements = _head_elements(stream, encoding)
    texts = {tag: _text(stream, element) for tag, element in elements.items()}
    missing = [tag for tag in _NAMES if not texts.get(tag)]
    if missing:
        if transfer_syntax_uid == DEFLATED:
            raise _without(missing[0])
        known = {_SOP_CLASS: sop_class_uid, _SOP_INSTANCE: sop_instance_uid, **_minted(texts)}
        for tag in missing:
            if not known.get(tag):
                raise _without(tag)
            texts[tag] = known[tag]
        filled = {tag: Uid(texts[tag]) for tag in missing}
        dataset = _filled_in(dataset, walk(stream, encoding), filled, encoding)
    received = ReceivedInstance(
        sop_class_uid=Uid(texts[_SOP_CLASS]),
        sop_instance_uid=Uid(texts[_SOP_INSTANCE]),
        series_instance_uid=Uid(texts[_SERIES]),
        study_instance_uid=Uid(texts[_STUDY]),
        transfer_syntax_uid=transfer_syntax_uid,
        dataset=dataset,
        origin=origin,
    )
    return Identified(received, tuple(_NAMES[tag] for tag in missing))


def _head_elements(stream: bytes, encoding: Encoding) -> dict[int, Element]:
    """The elements that tell one instance from another; the rest of the stream stays unread."""
    found: dict[int, Element] = {}
    for element in walk(stream, encoding):
        complete = all(tag in found and found[tag].start < found[tag].end for tag in _NAMES)
        if element.tag > (_SERIES if complete else _FRAME_OF_REFERENCE):
            break
        if element.tag in _READ:
            found[element.tag] = element
    return found


def _text(stream: bytes, element: Element) -> str:
    # Only UIDs are used as text; the others go into a digest, where any reading does.
    return stream[element.start : element.end].decode("ascii", "replace").strip("\0 ")


def _minted(texts: Mapping[int, str]) -> dict[int, str]:
    """Study and series UIDs for instances without; empty where nothing ties them together."""
    frame_of_reference = texts.get(_FRAME_OF_REFERENCE)
    if not frame_of_reference:  # without it, two patients might share all the rest
        return {}
    study = [frame_of_reference, *(texts.get(tag, "") for tag in _SHARED_BY_STUDY)]
    series = [texts.get(_STUDY, ""), *study, *(texts.get(tag, "") for tag in _SHARED_BY_SERIES)]
    return {_STUDY: mint_uid("study", *study), _SERIES: mint_uid("series of", *series)}


def _filled_in(
    dataset: bytes, elements: Iterable[Element], uids: Mapping[int, Uid], encoding: Encoding
) -> bytes:
    """The data set with these elements put in their places, all else as it was."""
    pieces: list[bytes] = []
    copied = 0
    waiting = sorted(uids)
    for element in elements:
        while waiting and waiting[0] <= element.tag:
            tag = waiting.pop(0)
            pieces += [dataset[copied : element.head], uid_element(tag, uids[tag], encoding)]
            copied = element.end if element.tag == tag else element.head
        if not waiting:
            break
    pieces.append(dataset[copied:])
    pieces += [uid_element(tag, uids[tag], encoding) for tag in waiting]
    return b"".join(pieces)


def _without(tag: int) -> Rejected:
    return Rejected(
        RejectionReason.INVALID_INSTANCE, f"the instance cannot be taken: it has no {_NAMES[tag]}"
    )
