"""Which thread of an association serves a request."""

import threading
from collections.abc import Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.events import Event

from node.dimse.quick_service import serve_quickly
from tests.support.waiting import until

if TYPE_CHECKING:
    from pynetdicom.transport import AddressInformation

_CONTEXT = 1
_VERIFICATION = "1.2.840.10008.1.1"
_SERVING_S = 60.0


@pytest.fixture
def served_by() -> list[threading.Thread]:
    """The thread of each C-STORE request that was served."""
    return []


@pytest.fixture
def association(served_by: list[threading.Thread]) -> Iterator[Association]:
    """An established association whose thread for requests waits, and answers nothing itself."""
    made = Association(AE(), "acceptor")
    made.requestor.address_info = cast("AddressInformation", SimpleNamespace(address="127.0.0.1"))
    context = build_context(CTImageStorage, ExplicitVRLittleEndian)
    context.context_id, context.result = _CONTEXT, 0
    made._accepted_cx = {_CONTEXT: context}
    made.is_established = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made.dul, "is_alive", lambda: True)
        serve_quickly(Event(made, evt.EVT_CONN_OPEN, {}))

        def store(_event: Event) -> int:
            served_by.append(threading.current_thread())
            return 0

        made.bind(evt.EVT_C_STORE, store)
        yield made
        evt.trigger(made, evt.EVT_CONN_CLOSE, {})


def _wait_for_requests(association: Association) -> None:
    """Has a thread wait as the one that serves requests does."""
    checkpoint = cast("Any", association._reactor_checkpoint)
    threading.Thread(target=checkpoint.wait, daemon=True).start()
    until(lambda: checkpoint._is_waiting, _SERVING_S, "the thread to wait")


def _store_request(sop_class: str = CTImageStorage) -> C_STORE:
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = "1.2.3"
    request.DataSet = BytesIO(b"")
    return request


def _receive(association: Association, request: object, context_id: int = _CONTEXT) -> None:
    association.dimse.msg_queue.put((context_id, cast("Any", request)))


def test_the_thread_that_has_received_an_image_stores_it(
    association: Association, served_by: list[threading.Thread]
) -> None:
    _wait_for_requests(association)
    _receive(association, _store_request())
    assert served_by == [threading.current_thread()]
    assert association.dimse.msg_queue.empty()
    assert not association.dul.to_provider_queue.empty()  # the response


def test_an_image_that_arrives_while_the_other_thread_works_waits_for_it(
    association: Association, served_by: list[threading.Thread]
) -> None:
    _receive(association, _store_request())
    assert not served_by
    assert association.dimse.msg_queue.qsize() == 1


def _echo() -> C_ECHO:
    request = C_ECHO()
    request.MessageID, request.AffectedSOPClassUID = 1, _VERIFICATION
    return request


@pytest.mark.parametrize(
    ("request_", "context_id"),
    [
        (_echo(), _CONTEXT),
        (_store_request(_VERIFICATION), _CONTEXT),
        (_store_request(), _CONTEXT + 2),
        (C_STORE(), _CONTEXT),
    ],
    ids=["an echo", "no storage class", "a context that was not accepted", "not valid"],
)
def test_all_else_is_left_to_the_other_thread(
    association: Association,
    served_by: list[threading.Thread],
    request_: object,
    context_id: int,
) -> None:
    _wait_for_requests(association)
    _receive(association, request_, context_id)
    assert not served_by
    assert association.dimse.msg_queue.qsize() == 1
