"""Replaces the parts of pynetdicom that cost most for each image that an association receives."""

from functools import partial
from typing import TYPE_CHECKING, Any

from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from node.dimse.data_pdus import decode_without_copies
from node.dimse.event_waiting import ServiceCheckpoint, wait_for_events
from node.dimse.store_request import decode_requests_quickly
from node.dimse.store_response import send_success_quickly

if TYPE_CHECKING:
    from pynetdicom.association import Association


def serve_quickly(event: Event) -> None:
    """Makes an acceptor's association fast; handles EVT_CONN_OPEN before all other handlers."""
    checkpoint = wait_for_events(event.assoc)
    decode_without_copies(event.assoc)
    decode_requests_quickly(event.assoc)
    send_success_quickly(event.assoc)
    _serve_stores_at_once(event.assoc, checkpoint)


def _serve_stores_at_once(association: "Association", checkpoint: ServiceCheckpoint) -> None:
    """Serves a C-STORE request on the thread that has received it.

    pynetdicom hands each request to the other thread of the association, which costs two changes of
    threads for each image. That thread still serves all else, and what arrives while it works.
    """
    queue = association.dimse.msg_queue
    put = queue.put

    def serve_or_put(
        item: tuple[int, Any], block: bool = True, timeout: float | None = None
    ) -> None:
        context_id, request = item
        if isinstance(request, C_STORE):
            context = _storage_context(association, context_id, request)
            service = StorageServiceClass(association)
            if context is not None and checkpoint.replace(partial(service.SCP, request, context)):
                return
        put(item, block, timeout)

    queue.put = serve_or_put  # type: ignore[assignment, method-assign] # the queue is pynetdicom's


def _storage_context(
    association: "Association", context_id: int, request: C_STORE
) -> PresentationContext | None:
    """Returns the context of a valid request; None where it is left to pynetdicom."""
    sop_class = request.AffectedSOPClassUID
    if sop_class is None or not request.is_valid_request:
        return None
    if sop_class in association.acceptor.accepted_common_extended:
        return None
    if association._sent_release or uid_to_service_class(sop_class) is not StorageServiceClass:
        return None
    return association._accepted_cx.get(context_id)
