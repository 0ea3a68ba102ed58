"""`python -m node.processes.web --config FILE`: serves console, REST and DICOMweb."""

import argparse
import signal
import socket
import sys
from pathlib import Path

import structlog
import uvicorn

from node.domain.errors import Misconfigured, NodeError
from node.log import configure_logging
from node.processes.supervisor import MISCONFIGURED_STATUS
from node.runtime.readiness import notify_ready
from node.settings import Settings, load_settings
from node.store import Store
from node.store.files.factory import open_files
from node.web.app import create_app

_LOG = structlog.get_logger()
# Answers under way at a stop get this long to end by themselves.
_GRACE_S = 10
_BACKLOG = 128


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m node.processes.web", description=__doc__)
    parser.add_argument("--config", type=Path, help="the configuration, TOML")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(options.config)
        configure_logging(settings.log_level)
        run(settings)
    except Misconfigured as error:
        _LOG.error("web.misconfigured", error=str(error))
        return MISCONFIGURED_STATUS
    except NodeError as error:
        _LOG.error("web.failed", error=str(error))
        return 1
    return 0


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then lets running answers end.

    Raises:
        Misconfigured: the address or the database cannot be used.
        Transient: the database does not answer.
    """
    # uvicorn stops on these while it serves, then raises them again for whoever had asked before.
    stop_asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stop_asked.append(number))
    store = Store.open(settings.database_url, settings.data_dir, open_files(settings))
    try:
        store.files.remove_abandoned()
        with _listening(settings) as listening:
            # Addresses of requests can hold names of patients (QIDO-RS): no access log.
            config = uvicorn.Config(
                create_app(settings, store),
                access_log=False,
                ws="none",
                log_config=None,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
            _Server(config, stop_asked).run(sockets=[listening])
    finally:
        store.close()


def _listening(settings: Settings) -> socket.socket:
    """The socket to serve on; port 0 takes a free one."""
    host, port = settings.web.host, settings.web.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            file=settings.file,
            key="web",
        ) from error
    # Its connections have it from here; else an answer in pieces waits for each to be acknowledged.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class _Server(uvicorn.Server):
    """Says in the log when it serves, and on which port; ends at once if that was asked before."""

    def __init__(self, config: uvicorn.Config, stop_asked: list[int]) -> None:
        super().__init__(config)
        self._stop_asked = stop_asked

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._stop_asked:
            self.should_exit = True
        for listening in sockets or []:
            host, port = listening.getsockname()[:2]
            _LOG.info("web.ready", host=host, port=port)
        notify_ready()


if __name__ == "__main__":
    sys.exit(main())
