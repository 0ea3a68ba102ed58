"""`python -m node.processes.web --config FILE`: serves console, REST and DICOMweb."""

import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from node.alerts.monitoring import monitoring_from
from node.domain.errors import Misconfigured
from node.processes.entry_point import run_process
from node.runtime.supervisor_pipe import SIGN_SECONDS, SupervisorPipe
from node.runtime.timers import Timers
from node.settings import Settings
from node.store import Store
from node.store.files.factory import open_files
from node.web.app import create_app
from node.web.dependencies import utc_now
from node.web.event_streams import EventStreams, streams_of

_LOG = structlog.get_logger()
# Time for running responses to finish after a stop signal.
_GRACE_S = 10
_BACKLOG = 128


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit status."""
    return run_process("web", "node.processes.web", __doc__, run, arguments)


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then lets running responses finish.

    Raises:
        Misconfigured: the address or the database cannot be used.
        Transient: the database does not answer.
    """
    # uvicorn handles these signals while it serves, then raises them again for these handlers.
    received_signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: received_signals.append(number))
    supervisor = SupervisorPipe()
    store = Store.open(settings.database_url, settings.data_dir, open_files(settings))
    try:
        store.files.remove_abandoned()
        with _open_socket(settings) as server_socket:
            app = create_app(settings, store)
            # No access log: QIDO-RS URLs can contain patient names.
            config = uvicorn.Config(
                app,
                access_log=False,
                ws="none",
                log_config=None,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
            with _running_timers(settings, store) as timers:
                server = _Server(config, received_signals, supervisor, timers, streams_of(app))
                server.run(sockets=[server_socket])
    finally:
        store.close()


@contextmanager
def _running_timers(settings: Settings, store: Store) -> Iterator[Timers]:
    """Runs the tasks of monitoring beside the server."""
    timers = Timers()
    monitoring_from(settings, store, utc_now, compares_results=False).add_to(timers)
    timers.start()
    try:
        yield timers
    finally:
        timers.stop()


def _open_socket(settings: Settings) -> socket.socket:
    """Opens the socket to serve on; port 0 selects a free port."""
    host, port = settings.web.host, settings.web.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        server_socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            file=settings.file,
            key="web",
        ) from error
    # Connections inherit it; otherwise each part of a response waits for an acknowledgement.
    server_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server_socket


class _Server(uvicorn.Server):
    """Logs when and on which port it serves; exits if a signal arrived before.

    Its event loop gives the signs of life: one that is blocked serves nobody.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        received_signals: list[int],
        supervisor: SupervisorPipe,
        timers: Timers,
        streams: EventStreams,
    ) -> None:
        super().__init__(config)
        self._received_signals = received_signals
        self._supervisor = supervisor
        self._timers = timers
        self._streams = streams
        self._next_sign_at = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._received_signals:
            self.should_exit = True
        for server_socket in sockets or []:
            host, port = server_socket.getsockname()[:2]
            _LOG.info("web.ready", host=host, port=port)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn calls this every 0.1 s."""
        now = time.monotonic()
        if now >= self._next_sign_at:
            self._next_sign_at = now + SIGN_SECONDS
            self._supervisor.send_sign()
            self._timers.handle_clock_change()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.close()
        await super().shutdown(sockets)


if __name__ == "__main__":
    sys.exit(main())
