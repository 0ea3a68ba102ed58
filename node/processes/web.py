"""`python -m node.processes.web --config FILE`: serves console, REST and DICOMweb."""

import signal
import socket
import sys
import time
from dataclasses import dataclass, field

import structlog
import uvicorn
from fastapi import FastAPI

from node.alerts.monitoring import monitoring_from
from node.configuration.follower import POLL_SECONDS
from node.configuration.site_configuration import SiteConfiguration
from node.domain.errors import Misconfigured
from node.processes.entry_point import Host, RestartNeeded, run_process, utc_now
from node.runtime.signals import ReloadSignal
from node.runtime.supervisor_pipe import SIGN_SECONDS, SupervisorPipe
from node.runtime.timers import Timers
from node.settings import Settings
from node.store import Store
from node.web.app import create_app, use_settings
from node.web.event_streams import EventStreams, streams_of
from node.web.server_config import server_config

_LOG = structlog.get_logger()
_BACKLOG = 128


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit status."""
    return run_process("web", "node.processes.web", __doc__, run, arguments)


def run(host: Host) -> None:
    """Serves until SIGTERM or SIGINT, then lets running responses finish.

    Raises:
        Misconfigured: the address or the database cannot be used.
        Transient: the database does not answer.
        RestartNeeded: another address is configured.
    """
    # uvicorn handles these signals while it serves, then raises them again for these handlers.
    received_signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: received_signals.append(number))
    reload_signal = ReloadSignal()
    supervisor = SupervisorPipe()
    store = host.open_store()
    process = WebProcess(store, SiteConfiguration(store, host.file))
    try:
        store.files.remove_abandoned()
        follower = host.follower(store, "web", reload_signal.requested, process.use)
        follower.start()
        process.timers.add("configuration", POLL_SECONDS, follower.poll)
        process.serve(received_signals, supervisor)
    finally:
        process.close()
        store.close()
    if not received_signals:
        raise RestartNeeded


@dataclass
class WebProcess:
    """The web application, its socket and the tasks of monitoring beside it."""

    store: Store
    configuration: SiteConfiguration
    timers: Timers = field(default_factory=Timers)
    needs_restart: bool = False
    _app: FastAPI | None = None
    _address: tuple[str, int] | None = None
    _socket: socket.socket | None = None

    def use(self, settings: Settings) -> None:
        """Opens the socket, or switches to other settings; another address needs a restart.

        Raises:
            Misconfigured: the address or a channel of alerts cannot be used.
        """
        address = (settings.web.host, settings.web.port)
        self.needs_restart = self._address is not None and self._address != address
        if self.needs_restart:
            return
        monitoring = monitoring_from(settings, self.store, utc_now, compares_results=False)
        if self._app is None:
            self._socket = _open_socket(settings)
            self._app = create_app(settings, self.store, self.configuration)
        else:
            use_settings(self._app, settings)
        self._address = address
        with self.timers.replacing():
            monitoring.add_to(self.timers)

    def serve(self, received_signals: list[int], supervisor: SupervisorPipe) -> None:
        """Serves until a signal arrives or a restart is needed."""
        assert self._app is not None  # noqa: S101 `use` comes first
        assert self._socket is not None  # noqa: S101 as above
        config = server_config(self._app)
        self.timers.start()
        try:
            server = _Server(config, received_signals, supervisor, self, streams_of(self._app))
            server.run(sockets=[self._socket])
        finally:
            self.timers.stop()

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()


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
        process: WebProcess,
        streams: EventStreams,
    ) -> None:
        super().__init__(config)
        self._received_signals = received_signals
        self._supervisor = supervisor
        self._process = process
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
        if self._process.needs_restart:
            self.should_exit = True
        now = time.monotonic()
        if now >= self._next_sign_at:
            self._next_sign_at = now + SIGN_SECONDS
            self._supervisor.send_sign()
            self._process.timers.handle_clock_change()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.close()
        await super().shutdown(sockets)


if __name__ == "__main__":
    sys.exit(main())
