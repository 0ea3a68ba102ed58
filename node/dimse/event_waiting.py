"""Makes the two threads of an association wait for events, where pynetdicom polls for them.

pynetdicom's threads look for something to do, sleep for a millisecond, and look again. For each
message that costs some milliseconds of waiting and as much processor time as the message itself.
Here both threads sleep until there is something to do:

- The thread that exchanges PDUs waits until the connection has data, until a primitive is to be
  sent, or until its timer expires. `DULServiceProvider._is_transport_event` is replaced by a
  function that waits before it calls the original.
- The thread that serves requests waits until a message or a primitive has arrived. It does so at
  its checkpoint, `Association._reactor_checkpoint`, which its loop passes in each round.

Loops, state machine and timers stay those of pynetdicom. A wait ends after a second in any case.
"""

import os
import queue
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.timer import Timer

from node.dimse.data_pdus import DataReader
from node.dimse.reactor_checkpoint import Checkpoint
from node.dimse.tls.connection import TlsConnection

if TYPE_CHECKING:
    import socket

    from pynetdicom.association import Association
    from pynetdicom.events import Event

# Something that nobody announces is noticed after this time, such as a timeout that was changed.
_MAX_WAIT_S = 1.0
# The time between two checks whether the other thread has ended, which it does not announce.
_ENDING_WAIT_S = 0.001
# The state of an association that has ended and whose connection is to be closed (PS3.8 9.2.1).
_AWAITING_CLOSE = "Sta13"


def wait_for_events(association: "Association") -> "ServiceCheckpoint":
    """Makes the threads of an acceptor's association wait; call it at EVT_CONN_OPEN.

    Returns where the thread that serves requests waits.
    """
    wait_for_pdus(association, DataReader(association))
    checkpoint = ServiceCheckpoint(association)
    association._reactor_checkpoint = checkpoint  # type: ignore[assignment] # no other way
    _call_after_put(association.dimse.msg_queue, checkpoint.notify)
    _call_after_put(association.dul.to_user_queue, checkpoint.notify)
    association.bind(evt.EVT_CONN_CLOSE, checkpoint.expect_end)
    return checkpoint


def wait_for_pdus(association: "Association", data: DataReader | None = None) -> None:
    """Makes the thread that exchanges PDUs wait; call it at EVT_CONN_OPEN.

    With `data`, it reads those that carry data by it.
    """
    dul, wake_up = association.dul, WakeUp()
    _call_after_put(dul.to_provider_queue, wake_up.set)
    stop = dul.kill_dul

    def stop_and_wake_up() -> None:
        stop()
        wake_up.set()

    dul.kill_dul = stop_and_wake_up  # type: ignore[method-assign] # no other way
    reader = _WaitingReader(association, wake_up, data)
    dul._is_transport_event = reader.is_transport_event  # type: ignore[method-assign] # no other way
    association.bind(evt.EVT_CONN_CLOSE, wake_up.close)


def _call_after_put(target: "queue.Queue[Any]", notify: Callable[[], None]) -> None:
    put = target.put

    def put_and_notify(item: object, block: bool = True, timeout: float | None = None) -> None:
        put(item, block, timeout)
        notify()

    target.put = put_and_notify  # type: ignore[method-assign] # the queue is pynetdicom's


class WakeUp:
    """Ends a wait for a file handle from another thread; `handle` is readable after `set`."""

    def __init__(self) -> None:
        self.handle: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._is_set = False

    def set(self) -> None:
        """Ends the current wait, or the next one."""
        # The lock keeps the number of a closed handle from being used, which may be another's.
        with self._lock:
            if self.handle is not None and not self._is_set:
                os.eventfd_write(self.handle, 1)
                self._is_set = True

    def clear(self) -> None:
        """Lets the next wait last until the next `set`."""
        with self._lock:
            if self.handle is not None and self._is_set:
                os.eventfd_read(self.handle)
                self._is_set = False

    def close(self, _event: "Event | None" = None) -> None:
        """Closes the handle; also handles EVT_CONN_CLOSE."""
        with self._lock:
            handle, self.handle = self.handle, None
            if handle is not None:
                os.close(handle)

    def __del__(self) -> None:
        self.close()


class _WaitingReader:
    """Reads PDUs of one association, and waits for them."""

    def __init__(
        self, association: "Association", wake_up: WakeUp, data: DataReader | None
    ) -> None:
        self._dul = association.dul
        self._data = data
        self._read = self._dul._is_transport_event
        self._wake_up = wake_up

    def is_transport_event(self) -> bool:
        """Reads a PDU and returns True; returns False where there is something else to do."""
        dul = self._dul
        while not dul._kill_thread:
            # Cleared before the queue is checked, so that what is added after it ends the wait.
            self._wake_up.clear()
            is_queued = not dul.event_queue.empty()
            if not is_queued and dul._process_recv_primitive():
                return False
            connection = None if dul.socket is None else dul.socket.socket
            handle = self._wake_up.handle
            # What a peer has sent before it closed the connection is read before that event.
            if is_queued or connection is None or handle is None:
                return self._read()
            if not self._reads_now(connection):
                ready = self._wait(connection, handle)
                if ready is None:
                    return False  # pynetdicom checks its timer
                if not ready:
                    continue
            if self._data is None or not self._data.is_in_use:
                return self._read()
            if not self._data.read():
                return True
            dul._idle_timer.restart()
        return False

    def _reads_now(self, connection: "socket.socket") -> bool:
        """Whether reading needs no wait: there is data, or the connection is to be closed."""
        is_ending = self._dul.state_machine.current_state == _AWAITING_CLOSE
        return is_ending or _holds_data(connection)

    def _wait(self, connection: "socket.socket", wake_up: int) -> bool | None:
        """Returns whether the connection has data; None after the longest wait."""
        number = connection.fileno()
        if number < 0:  # closed meanwhile, which reading reports
            return True
        poll = select.poll()
        poll.register(number, select.POLLIN)
        poll.register(wake_up, select.POLLIN)
        found = poll.poll(_remaining_s(self._dul.artim_timer) * 1000)
        return any(ready == number for ready, _ in found) if found else None


def _holds_data(connection: "socket.socket") -> bool:
    """Whether data of the peer has left the system's buffer and has not been read yet."""
    return isinstance(connection, TlsConnection) and (
        connection.has_read_ahead or connection.pending() > 0
    )


def _remaining_s(timer: Timer) -> float:
    """Returns how long a thread may wait: until the timer expires, and at most a second."""
    return min(_MAX_WAIT_S, max(0.0, timer.remaining) + _ENDING_WAIT_S)


class ServiceCheckpoint(Checkpoint):
    """Takes the place of the event at which the thread that serves requests pauses.

    `wait` returns when there is something to do. While another thread sends a request, between
    `clear` and `set`, it does not return, so that the response stays for that thread.
    """

    def __init__(self, association: "Association") -> None:
        super().__init__()
        self._association = association
        self._is_ending = False
        self._is_waiting = False  # the thread is in `wait`
        self._is_replaced = False  # another thread serves a request, and this one is to wait

    def clear(self) -> None:
        """Pauses the thread."""
        with self._changed:
            self._is_set = False

    def notify(self) -> None:
        """Has the thread check what there is to do."""
        with self._changed:
            self._changed.notify_all()

    def expect_end(self, _event: "Event") -> None:
        """Has the thread watch for the end of the other one; handles EVT_CONN_CLOSE."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Returns once there is something to do."""
        with self._changed:
            self._is_waiting = True
            while self._is_replaced or not self._is_set or not self._has_work():
                timer = self._association.dul._idle_timer
                self._changed.wait(_ENDING_WAIT_S if self._is_ending else _remaining_s(timer))
            self._is_waiting = False

    def replace(self, serve: Callable[[], None]) -> bool:
        """Has the calling thread serve a request by `serve` while the other one waits here.

        Returns False, and does nothing, where the other one does not wait or has something to do.
        The time that this takes is not counted as time without a request.
        """
        with self._changed:
            if not self._is_waiting or not self._is_set or self._has_work():
                return False
            self._is_replaced = True
        try:
            serve()
        finally:
            self._association.dul._idle_timer.restart()
            with self._changed:
                self._is_replaced = False
        return True

    def _has_work(self) -> bool:
        association, dul = self._association, self._association.dul
        return (
            association._kill
            or not association.dimse.msg_queue.empty()
            or not dul.to_user_queue.empty()
            or not dul.is_alive()
            or dul.idle_timer_expired()
        )
