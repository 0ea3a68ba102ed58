"""The threads of an association wait for events; the installed pynetdicom fits."""

import inspect
import queue
import select
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pynetdicom import AE, evt, fsm
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import A_ABORT, P_DATA
from pynetdicom.transport import AddressInformation

from node.dimse import event_waiting
from node.dimse.event_waiting import ServiceCheckpoint, WakeUp, wait_for_events
from tests.support.waiting import until
from tests.unit.dimse.test_pynetdicom_internals import incompatible

_LONG_S = 60.0


@pytest.fixture
def association() -> Association:
    """An acceptor's association whose threads have not started."""
    made = Association(AE(), "acceptor")
    made.requestor.address_info = cast("AddressInformation", SimpleNamespace(address="127.0.0.1"))
    return made


def _is_readable(handle: int) -> bool:
    return bool(select.select([handle], [], [], 0)[0])


@pytest.mark.parametrize(
    "text",
    [
        "self._process_recv_primitive()",
        "self._is_transport_event()",
        "self.event_queue.get(block=False)",
        "self.artim_timer.expired",
        "self._kill_thread",
    ],
)
def test_the_thread_for_pdus_has_the_loop_that_waits(text: str) -> None:
    source = inspect.getsource(DULServiceProvider.run_reactor)
    assert text in source, incompatible(f"DULServiceProvider.run_reactor has no {text}")


@pytest.mark.parametrize(
    "text", ["self._reactor_checkpoint.wait()", "self.dimse.get_msg(block=False)"]
)
def test_the_thread_for_requests_passes_the_checkpoint_in_each_round(text: str) -> None:
    source = inspect.getsource(Association._run_reactor)
    assert text in source, incompatible(f"Association._run_reactor has no {text}")


def test_the_state_before_the_end_is_known() -> None:
    states = {state for _, state in fsm.TRANSITION_TABLE}
    assert event_waiting._AWAITING_CLOSE in states


def test_a_wake_up_ends_one_wait() -> None:
    wake_up = WakeUp()
    handle = cast("int", wake_up.handle)
    assert not _is_readable(handle)
    wake_up.set()
    wake_up.set()
    assert _is_readable(handle)
    wake_up.clear()
    assert not _is_readable(handle)
    wake_up.clear()
    wake_up.close()


def test_a_closed_wake_up_writes_to_no_file() -> None:
    wake_up = WakeUp()
    wake_up.close()
    successor = WakeUp()  # has the number of the closed handle
    wake_up.set()
    assert not _is_readable(cast("int", successor.handle))
    wake_up.clear()
    wake_up.close()
    successor.close()


class _Connection:
    """A connection of an association: a pipe that nobody has written to."""

    def __init__(self) -> None:
        self._pipe = WakeUp()
        self.socket = self

    def fileno(self) -> int:
        return cast("int", self._pipe.handle)

    @property
    def ready(self) -> bool:
        return _is_readable(self.fileno())

    def send(self) -> None:
        """Makes the connection have data."""
        self._pipe.set()


def _waiting(association: Association) -> tuple[_Connection, "queue.Queue[bool]"]:
    """Waits for the next event on a thread; returns the connection and what the wait returns."""
    connection = _Connection()
    association.dul.socket = cast("Any", connection)
    association.dul.event_queue.queue.clear()
    results: queue.Queue[bool] = queue.Queue()
    reader = association.dul._is_transport_event

    def run() -> None:
        results.put(reader())

    threading.Thread(target=run, daemon=True).start()
    return connection, results


def test_a_primitive_ends_the_wait_and_becomes_an_event(association: Association) -> None:
    wait_for_events(association)
    _connection, results = _waiting(association)
    association.dul.to_provider_queue.put(P_DATA())
    assert results.get(timeout=_LONG_S) is False
    assert association.dul.event_queue.get(block=False) == "Evt9"


def test_a_wait_does_not_outlast_the_thread(association: Association) -> None:
    wait_for_events(association)
    _connection, results = _waiting(association)
    association.dul.kill_dul()
    assert results.get(timeout=_LONG_S) is False
    assert association.dul._kill_thread


def test_data_ends_the_wait_and_is_read(
    association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = threading.Event()
    monkeypatch.setattr(association.dul, "_read_pdu_data", read.set)
    wait_for_events(association)
    connection, results = _waiting(association)
    connection.send()
    assert results.get(timeout=_LONG_S) is True
    assert read.is_set()


def test_what_is_queued_already_is_not_waited_for(association: Association) -> None:
    wait_for_events(association)
    association.dul.socket = cast("Any", _Connection())
    association.dul.event_queue.put("Evt18")
    assert association.dul._is_transport_event() is False


def test_data_is_read_also_where_an_event_is_queued(
    association: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = threading.Event()
    monkeypatch.setattr(association.dul, "_read_pdu_data", read.set)
    wait_for_events(association)
    connection = _Connection()
    connection.send()
    association.dul.socket = cast("Any", connection)
    association.dul.event_queue.put("Evt17")
    assert association.dul._is_transport_event() is True
    assert read.is_set()


def test_the_wait_ends_when_the_timer_of_pynetdicom_expires(association: Association) -> None:
    wait_for_events(association)
    association.dul.artim_timer.timeout = 0
    association.dul.artim_timer.start()
    _connection, results = _waiting(association)
    assert results.get(timeout=_LONG_S) is False
    assert association.dul.artim_timer.expired


def test_a_closed_connection_is_left_to_pynetdicom(association: Association) -> None:
    wait_for_events(association)
    association.dul.socket = None
    association.dul.event_queue.queue.clear()
    assert association.dul._is_transport_event() is False


class _Passing:
    """A thread that passes the checkpoint of an association once."""

    def __init__(self, association: Association) -> None:
        self.passed = threading.Event()
        self._checkpoint = association._reactor_checkpoint
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self._checkpoint.wait()
        self.passed.set()


@pytest.fixture
def running(association: Association, monkeypatch: pytest.MonkeyPatch) -> Association:
    """An association whose thread for PDUs seems to run."""
    wait_for_events(association)
    monkeypatch.setattr(association.dul, "is_alive", lambda: True)
    return association


def _message(association: Association) -> None:
    association.dimse.msg_queue.put((1, cast("Any", object())))


def _abort(association: Association) -> None:
    association.dul.to_user_queue.put(A_ABORT())


def _kill(association: Association) -> None:
    association._kill = True
    association._reactor_checkpoint.set()


@pytest.mark.parametrize("cause", [_message, _abort, _kill])
def test_the_thread_for_requests_passes_when_there_is_something_to_do(
    running: Association, cause: Any
) -> None:
    passing = _Passing(running)
    cause(running)
    assert passing.passed.wait(_LONG_S)


def test_the_thread_for_requests_notices_the_end_of_the_other(
    running: Association, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = _Passing(running)
    evt.trigger(running, evt.EVT_CONN_CLOSE, {})
    monkeypatch.setattr(running.dul, "is_alive", lambda: False)
    assert passing.passed.wait(_LONG_S)


def test_the_thread_for_requests_notices_a_silent_peer(running: Association) -> None:
    running.dul._idle_timer.timeout = 0
    running.dul._idle_timer.start()
    assert _Passing(running).passed.wait(_LONG_S)


def test_while_another_thread_sends_a_request_the_response_stays_for_it(
    running: Association,
) -> None:
    checkpoint: object = running._reactor_checkpoint
    assert isinstance(checkpoint, ServiceCheckpoint)
    checkpoint.clear()
    assert not checkpoint.is_set()
    passing = _Passing(running)
    _message(running)
    assert not running.dimse.msg_queue.empty()
    assert not passing.passed.is_set()
    checkpoint.set()
    assert passing.passed.wait(_LONG_S)


def _checkpoint(association: Association) -> ServiceCheckpoint:
    checkpoint: object = association._reactor_checkpoint
    assert isinstance(checkpoint, ServiceCheckpoint)
    return checkpoint


def test_a_thread_that_waits_is_replaced_and_goes_on_to_wait(running: Association) -> None:
    checkpoint, passing = _checkpoint(running), _Passing(running)
    until(lambda: checkpoint._is_waiting, _LONG_S, "the thread to wait")
    running.dul._idle_timer.timeout = 0.2
    running.dul._idle_timer.start()
    served: list[bool] = []

    def serve() -> None:
        until(running.dul.idle_timer_expired, _LONG_S, "the time without a request")
        _message(running)
        served.append(passing.passed.wait(0.1))

    assert checkpoint.replace(serve)
    assert served == [False]  # it does not pass meanwhile
    assert passing.passed.wait(_LONG_S)


def test_the_time_of_serving_is_no_time_without_a_request(running: Association) -> None:
    checkpoint, timer = _checkpoint(running), running.dul._idle_timer
    _Passing(running)
    until(lambda: checkpoint._is_waiting, _LONG_S, "the thread to wait")
    timer.timeout = _LONG_S
    timer.start()

    def serve() -> None:
        timer._start_time = cast("float", timer._start_time) - 2 * _LONG_S
        assert timer.expired

    assert checkpoint.replace(serve)
    assert not timer.expired


def test_a_thread_that_does_not_wait_is_not_replaced(running: Association) -> None:
    assert not _checkpoint(running).replace(pytest.fail)


def test_a_thread_that_is_paused_is_not_replaced(running: Association) -> None:
    checkpoint = _checkpoint(running)
    checkpoint.clear()
    _Passing(running)
    until(lambda: checkpoint._is_waiting, _LONG_S, "the thread to wait")
    assert not checkpoint.replace(pytest.fail)


def test_a_failure_to_serve_lets_the_thread_pass_again(running: Association) -> None:
    checkpoint, passing = _checkpoint(running), _Passing(running)
    until(lambda: checkpoint._is_waiting, _LONG_S, "the thread to wait")

    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        checkpoint.replace(fails)
    _message(running)
    assert passing.passed.wait(_LONG_S)


def test_the_end_of_a_connection_closes_the_handle(association: Association) -> None:
    made: list[WakeUp] = []

    class Recorded(WakeUp):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_waiting, "WakeUp", Recorded)
        wait_for_events(association)
    evt.trigger(association, evt.EVT_CONN_CLOSE, {})
    assert [each.handle for each in made] == [None]
