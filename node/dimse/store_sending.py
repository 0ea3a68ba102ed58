"""Sends images by C-STORE with their encoded data sets as they are.

pynetdicom decodes a file and encodes it again, and lets the thread of the association run once
between two images. That takes several times as long as sending.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import build_context

from node.dicom.uid_names import uid_name
from node.dimse.command_sets import (
    COMMAND_FRAGMENT,
    DATA_FRAGMENT,
    ITEM_HEADER_BYTES,
    LAST_COMMAND_FRAGMENT,
    LAST_DATA_FRAGMENT,
    encoded_command,
)
from node.dimse.data_pdus import Fragment, send_together
from node.dimse.scu import (
    SUCCESS,
    Remote,
    application_entity,
    associated,
    broken_association_as_transient,
    status_text,
)
from node.dimse.store_response import decode_answers_quickly
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle, Uid
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.intake.part10 import file_meta_of, part10_bytes, received_from_file

# Command field and priority of the request, and the data set type of a message with one
# (PS3.7 E.1).
_C_STORE_RQ, _LOW_PRIORITY, _WITH_DATASET = 0x0001, 0x0002, 0x0001
# An association carries at most 128 presentation contexts (PS3.8 9.3.2: odd IDs from 1 to 255).
_MAX_CONTEXTS = 128
# The Message ID is an unsigned short (PS3.7 9.1.1.1).
_MESSAGE_IDS = 1 << 16


@dataclass(frozen=True)
class SendSummary:
    """The outcome of sending a set of files: how many were accepted, and why others were not."""

    accepted: int
    failures: tuple[str, ...]


def send(
    files: Sequence[Path],
    remote: Remote,
    calling: AeTitle,
    progress: Callable[[int], None] = lambda sent: None,
) -> SendSummary:
    """Sends `files` by C-STORE on one association, each in its own transfer syntax.

    `progress` gets the number of files sent so far.

    Raises:
        Transient: no association, or it broke; files already accepted stay accepted.
        Rejected: the files need more presentation contexts than one association has, or `remote`
            accepts none of them.
    """
    pairs = _required_contexts(files)
    if len(pairs) > _MAX_CONTEXTS:
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"the files use {len(pairs)} combinations of SOP class and transfer syntax; "
            f"one association can carry {_MAX_CONTEXTS}: send fewer folders at a time",
        )
    ae = application_entity(calling)
    ae.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in pairs]
    failures: list[str] = []
    unaccepted = _none_accepted(pairs, remote)
    with (
        associated(ae, remote, no_context_error=unaccepted) as association,
        for_many_images(association),
    ):
        for sent, (path, instance) in enumerate(zip(files, _read_ahead(files), strict=True), 1):
            failure = _send_image(association, path, instance, remote, sent)
            if failure:
                failures.append(failure)
            progress(sent)
    return SendSummary(len(files) - len(failures), tuple(failures))


def _none_accepted(pairs: Sequence[tuple[Uid, Uid]], remote: Remote) -> Rejected:
    kinds = ", ".join(f"{uid_name(kind)} in {uid_name(syntax)}" for kind, syntax in pairs)
    message = f"{remote} accepts none of the files: they are {kinds}"
    return Rejected(RejectionReason.INVALID_INSTANCE, message)


def _required_contexts(files: Sequence[Path]) -> list[tuple[Uid, Uid]]:
    """Returns the distinct pairs of SOP class and transfer syntax of `files`."""
    pairs: dict[tuple[Uid, Uid], None] = {}
    for path in files:
        try:
            meta = file_meta_of(path)
        except Rejected as error:
            raise Rejected(RejectionReason.UNREADABLE, f"{path} is not readable") from error
        pairs[meta.sop_class_uid, meta.transfer_syntax_uid] = None
    return list(pairs)


def _read_ahead(files: Sequence[Path]) -> Iterator[ReceivedInstance]:
    """Yields the image in each file; reads the next one while the caller sends."""

    def read(path: Path) -> ReceivedInstance:
        return received_from_file(path, Origin(Channel.FOLDER, str(path)))

    with ThreadPoolExecutor(1, thread_name_prefix="read ahead") as reader:
        following = deque(reader.submit(read, path) for path in files[:1])
        for path in [*files[1:], None]:
            if path is not None:
                following.append(reader.submit(read, path))
            yield following.popleft().result()


def _send_image(
    association: Association, path: Path, image: ReceivedInstance, remote: Remote, number: int
) -> str:
    """Sends the image in a file; returns why `remote` did not accept it, empty where it did."""
    try:
        with broken_association_as_transient(remote):
            status = store(association, image, number)
    except ValueError:  # no accepted presentation context for this file
        return (
            f"{path.name}: {remote.ae_title} does not accept {uid_name(image.sop_class_uid)} "
            f"in {uid_name(image.transfer_syntax_uid)}"
        )
    code = status.get("Status")
    if code is None:
        raise Transient(f"{remote} stopped answering while {path.name} was sent")
    # PS3.4 B.2.3: 0000 is success, Bxxx a warning with which the object is stored.
    if code == SUCCESS or code & 0xF000 == 0xB000:
        return ""
    return f"{path.name}: {remote.ae_title} answered with {status_text(status)}"


@contextmanager
def for_many_images(association: Association) -> Iterator[None]:
    """Prepares an association for images, and keeps its thread paused within the block.

    The association pauses by a `ReactorCheckpoint`; see `pause_reliably`.
    """
    send_together(association)
    decode_answers_quickly(association)
    association._reactor_checkpoint.clear()
    try:
        yield
    finally:
        association._reactor_checkpoint.set()


def store(association: Association, instance: ReceivedInstance, number: int) -> Dataset:
    """Sends an image by C-STORE; returns the response, empty if there is none.

    The data set is sent unchanged, or in another uncompressed encoding if the peer has accepted
    only that. `number` is that of the image on the association. Call it within `for_many_images`.

    Raises:
        RuntimeError: the association is not established.
        ValueError: there is no accepted presentation context for the image.
    """
    try:
        return store_encoded(association, instance, number % _MESSAGE_IDS)
    except ValueError:
        return association.send_c_store(dcmread(BytesIO(part10_bytes(instance))))


def store_encoded(association: Association, instance: ReceivedInstance, message_id: int) -> Dataset:
    """Sends the data set of an instance unchanged, as `store` does.

    Raises:
        RuntimeError: the association is not established.
        ValueError: the peer has not accepted the SOP class in this transfer syntax.
    """
    if not association.is_established:
        raise RuntimeError("the association must be established before an image is sent")
    syntax = UID(instance.transfer_syntax_uid)
    context = association._get_valid_context(
        instance.sop_class_uid, syntax, "scu", allow_conversion=False
    )
    if context.context_id is None:
        raise ValueError("the presentation context has no identifier")
    # `send_c_store` lets the thread run, if it was called meanwhile.
    association._reactor_checkpoint.clear()
    data = P_DATA()
    data.presentation_data_value_list.extend(
        (context.context_id, cast("bytes", fragment))
        for fragment in _fragments(instance, message_id, association.dimse.maximum_pdu_size)
    )
    association.dul.send_pdu(data)
    _context, response = association.dimse.get_msg(block=True)
    if response is None:
        association._handle_no_response()
        return Dataset()
    return association._check_received_status(response)


def _fragments(instance: ReceivedInstance, message_id: int, max_pdu: int) -> Iterator[Fragment]:
    """Yields the presentation data values of a request; `max_pdu` is 0 where there is no limit."""
    command = encoded_command(
        (
            (0x0002, instance.sop_class_uid),
            (0x0100, _C_STORE_RQ),
            (0x0110, message_id),
            (0x0700, _LOW_PRIORITY),
            (0x0800, _WITH_DATASET),
            (0x1000, instance.sop_instance_uid),
        )
    )
    dataset = memoryview(instance.dataset)
    size = max(len(command), len(dataset)) if max_pdu == 0 else max_pdu - ITEM_HEADER_BYTES
    yield from _split(memoryview(command), size, COMMAND_FRAGMENT, LAST_COMMAND_FRAGMENT)
    yield from _split(dataset, size, DATA_FRAGMENT, LAST_DATA_FRAGMENT)


def _split(content: memoryview, size: int, header: bytes, last_header: bytes) -> Iterator[Fragment]:
    for start in range(0, len(content), size):
        is_last = start + size >= len(content)
        control = last_header if is_last else header
        yield Fragment(control[0], content[start : start + size])
