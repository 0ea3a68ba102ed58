"""The installed pynetdicom has every internal that the adapter uses."""

import inspect
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pynetdicom
import pytest
from pynetdicom import AE, _config, evt, fsm
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import (
    AddressInformation,
    AssociationServer,
    AssociationSocket,
    ThreadedAssociationServer,
)

from node.dimse import pynetdicom_internals as internals
from node.dimse.reactor_checkpoint import ReactorCheckpoint

_HOW_TO_CONTINUE = "adapt node/dimse/pynetdicom_internals.py and run tests/faults/input"


def incompatible(what: str) -> str:
    """The message of a test that fails after an upgrade."""
    return f"pynetdicom {pynetdicom.__version__}: {what}; {_HOW_TO_CONTINUE}"


@pytest.fixture
def association() -> Association:
    """An acceptor's association whose threads have not started."""
    made = Association(AE(), "acceptor")
    made.requestor.address_info = cast("AddressInformation", SimpleNamespace(address="127.0.0.1"))
    return made


_SIGNATURES: dict[str, tuple[type | object, str, list[str]]] = {
    "AssociationSocket.recv": (AssociationSocket, "recv", ["self", "nr_bytes"]),
    "AssociationSocket._shutdown_socket": (AssociationSocket, "_shutdown_socket", ["self"]),
    "AE._create_socket": (AE, "_create_socket", ["self", "assoc", "address", "tls_args"]),
    "DULServiceProvider.kill_dul": (DULServiceProvider, "kill_dul", ["self"]),
    "Association.run": (Association, "run", ["self"]),
    "DULServiceProvider.run": (DULServiceProvider, "run", ["self"]),
    "Association.kill": (Association, "kill", ["self"]),
    "ACSE.send_reject": (ACSE, "send_reject", ["self", "result", "source", "diagnostic"]),
    "A_ABORT_RQ.encode": (A_ABORT_RQ, "encode", ["self"]),
    "evt.trigger": (evt, "trigger", ["assoc", "event", "attrs"]),
    "AssociationServer.shutdown": (AssociationServer, "shutdown", ["self"]),
    "AssociationServer.verify_request": (
        AssociationServer,
        "verify_request",
        ["self", "request", "client_address"],
    ),
}


@pytest.mark.parametrize("name", _SIGNATURES)
def test_a_function_of_pynetdicom_has_the_expected_parameters(name: str) -> None:
    owner, attribute, expected = _SIGNATURES[name]
    function = getattr(owner, attribute, None)
    assert function is not None, incompatible(f"{name} is missing")
    parameters = list(inspect.signature(function).parameters)
    assert parameters == expected, incompatible(f"{name} has the parameters {parameters}")


_PAUSING = {
    "_run_reactor": ["wait"],
    "release": ["clear", "set"],
    "send_c_echo": ["clear", "set"],
    "send_c_store": ["clear", "set"],
    "send_c_find": ["clear"],
    "_wrap_find_responses": ["set"],
    "send_c_move": ["clear"],
    "send_c_get": ["clear"],
    "_wrap_get_move_responses": ["set"],
    "send_n_action": ["clear", "set"],
    "send_n_event_report": ["clear", "set"],
}
_INSTANCE_ATTRIBUTES = [
    "dul",
    "dul.socket",
    "dul.to_user_queue.put",
    "dul.state_machine.current_state",
    "dul.peek_next_pdu",
    "_dul_ready.set",
    "acse",
    "requestor.primitive",
    "requestor.address",
    "dimse.msg_queue.qsize",
    "_sent_release",
    "_accepted_cx",
    "acceptor.accepted_common_extended",
    "dul._idle_timer.restart",
]


@pytest.mark.parametrize("path", _INSTANCE_ATTRIBUTES)
def test_an_association_of_pynetdicom_has_the_expected_attributes(
    association: Association, path: str
) -> None:
    value: Any = association
    for name in path.split("."):
        assert hasattr(value, name), incompatible(f"Association.{path} is missing at {name!r}")
        value = getattr(value, name)


def test_pynetdicom_has_the_other_internals() -> None:
    assert hasattr(_config, "LOG_HANDLER_LEVEL"), incompatible(
        "_config.LOG_HANDLER_LEVEL is missing"
    )
    assert hasattr(ThreadedAssociationServer, "active_associations"), incompatible(
        "ThreadedAssociationServer.active_associations is missing"
    )
    for owner in (Association, DULServiceProvider):
        assert issubclass(owner, threading.Thread), incompatible(
            f"{owner.__name__} is not a thread"
        )
    states = {state for _, state in fsm.TRANSITION_TABLE}
    assert internals.AWAITING_CLOSE in states, incompatible(
        f"fsm.TRANSITION_TABLE has no state {internals.AWAITING_CLOSE}"
    )
    source = inspect.getsource(DULServiceProvider)
    assert ".recv(" in source, incompatible("DULServiceProvider does not read by socket.recv")


def test_message_logs_are_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "standard")
    internals.disable_message_logs()
    assert _config.LOG_HANDLER_LEVEL == "none"


def test_an_association_without_connection_has_none(association: Association) -> None:
    assert internals.connection_of(association) is None


def test_a_request_pauses_by_the_checkpoint_of_the_association(association: Association) -> None:
    internals.pause_reliably(association)
    checkpoint: object = association._reactor_checkpoint
    assert isinstance(checkpoint, ReactorCheckpoint)
    checkpoint.clear()  # the thread has not started, so there is nothing to wait for
    association.kill()
    assert checkpoint.is_set(), incompatible("Association.kill does not use _reactor_checkpoint")
    sources = {name: inspect.getsource(getattr(Association, name)) for name in _PAUSING}
    for name, calls in _PAUSING.items():
        for call in calls:
            text = f"self._reactor_checkpoint.{call}()"
            assert text in sources[name], incompatible(f"Association.{name} has no {text}")


def test_a_replaced_receive_function_reads_from_the_connection(association: Association) -> None:
    connection = object()
    association.dul.socket = cast("AssociationSocket", SimpleNamespace(socket=connection))
    internals.replace_receive(association, bytearray)
    assert internals.connection_of(association) is connection
    assert association.dul.socket.recv(3) == bytearray(3)


def test_wrapped_threads_run_within_the_given_functions(association: Association) -> None:
    calls: list[str] = []

    def wrapper(name: str) -> Callable[[Callable[[], None]], None]:
        return lambda run: calls.extend([name, getattr(run, "__name__", "")])

    internals.wrap_threads(association, service=wrapper("service"), reactor=wrapper("reactor"))
    association.run()
    association.dul.run()
    assert calls == ["service", "run", "reactor", "run"]


def test_a_closed_connection_ends_the_wait_for_a_request(association: Association) -> None:
    closed: list[object] = []
    association.bind(evt.EVT_CONN_CLOSE, lambda event: closed.append(event.address))
    internals.report_closed_connection(association)
    assert closed == ["127.0.0.1"]
    assert association.dul.to_user_queue.get_nowait() is None


def test_an_association_awaits_close_in_its_last_state_alone(association: Association) -> None:
    assert not internals.awaits_close(association)
    association.dul.state_machine.current_state = internals.AWAITING_CLOSE
    assert internals.awaits_close(association)


def test_a_rejection_that_pynetdicom_has_not_read_counts() -> None:
    unanswered, association = (Association(AE(), "requestor") for _ in range(2))
    internals.read_late_rejection(unanswered)
    assert not unanswered.is_rejected
    answer = A_ASSOCIATE()
    answer.result, answer.result_source, answer.diagnostic = 1, 1, 3
    association.dul.to_user_queue.put(answer)
    internals.read_late_rejection(association)
    assert association.is_rejected
    assert association.acceptor.primitive is answer


def test_an_abort_is_encoded_as_the_standard_says() -> None:
    # PS3.8 9.3.8: type 07, length 4, source 2 (service provider), reason 0.
    assert internals.encoded_abort() == bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 0])
