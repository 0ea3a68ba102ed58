"""Sends an encoded data set by C-STORE as it is.

pynetdicom decodes a file and encodes it again, and lets the thread of the association run once
between two images. That takes several times as long as sending.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.pdu_primitives import P_DATA

from node.dimse.command_sets import (
    COMMAND_FRAGMENT,
    DATA_FRAGMENT,
    ITEM_HEADER_BYTES,
    LAST_COMMAND_FRAGMENT,
    LAST_DATA_FRAGMENT,
    encoded_command,
)
from node.domain.instance import ReceivedInstance
from node.intake.part10 import part10_bytes

if TYPE_CHECKING:
    from pynetdicom.association import Association

# Command field and priority of the request, and the data set type of a message with one
# (PS3.7 E.1).
_C_STORE_RQ, _LOW_PRIORITY, _WITH_DATASET = 0x0001, 0x0002, 0x0001

# The Message ID is an unsigned short (PS3.7 9.1.1.1).
_MESSAGE_IDS = 1 << 16


@contextmanager
def for_many_images(association: "Association") -> Iterator[None]:
    """Keeps the thread of the association paused within the block.

    The association pauses by a `ReactorCheckpoint`; see `pause_reliably`.
    """
    association._reactor_checkpoint.clear()
    try:
        yield
    finally:
        association._reactor_checkpoint.set()


def store(association: "Association", instance: ReceivedInstance, number: int) -> Dataset:
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


def store_encoded(
    association: "Association", instance: ReceivedInstance, message_id: int
) -> Dataset:
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
    for fragment in _fragments(instance, message_id, association.dimse.maximum_pdu_size):
        data = P_DATA()
        data.presentation_data_value_list.append((context.context_id, fragment))
        association.dul.send_pdu(data)
    _context, response = association.dimse.get_msg(block=True)
    if response is None:
        association._handle_no_response()
        return Dataset()
    return association._check_received_status(response)


def _fragments(instance: ReceivedInstance, message_id: int, max_pdu: int) -> Iterator[bytes]:
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


def _split(content: memoryview, size: int, header: bytes, last_header: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        is_last = start + size >= len(content)
        yield (last_header if is_last else header) + content[start : start + size]
