"""`python -m node.processes.web --config FILE`: serves console, REST and DICOMweb."""

import signal
import socket
import sys
import time
from dataclasses import dataclass, field

import structlog
import uvicorn
from fastapi import FastAPI

from node.access.first_start import announce_set_up
from node.alerts.monitoring import monitoring_from
from node.audit.losses import AuditLosses
from node.audit.process_records import recorded_process
from node.configuration.follower import POLL_SECONDS
from node.configuration.site_configuration import SiteConfiguration
from node.intake.refused_images import FLUSH_SECONDS
from node.processes.audit_losses import add_loss_report
from node.processes.entry_point import Host, RestartNeeded, run_process, utc_now
from node.runtime.signals import ReloadSignal
from node.runtime.supervisor_pipe import SIGN_SECONDS, SupervisorPipe
from node.runtime.timers import Timers
from node.settings import Settings
from node.store import Store
from node.tls.contexts import ServerCertificate
from node.tls.renewal import CertificateRenewal
from node.web.app import create_app, use_settings
from node.web.dependencies import refused_images_of, settings_of
from node.web.event_streams import streams_of
from node.web.server.certificate import server_certificate
from node.web.server.ports import WebAddress, WebPort, open_ports
from node.web.server_config import server_config

_LOG = structlog.get_logger()
# The time after which a renewed certificate is in use.
_CERTIFICATES_S = 10.0


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
    losses = AuditLosses(host.settings.data_dir)
    process = WebProcess(store, SiteConfiguration(store, host.file), losses)
    try:
        store.files.remove_abandoned()
        with recorded_process(store.record_soon, "web", utc_now, losses):
            follower = host.follower(store, "web", reload_signal.requested, process.use)
            follower.start()
            process.timers.add("configuration", POLL_SECONDS, follower.poll)
            process.timers.add("certificates", _CERTIFICATES_S, process.certificates.poll)
            add_loss_report(process.timers, store, losses)
            process.serve(received_signals, supervisor)
    finally:
        process.close()
        store.close()
    if not received_signals:
        raise RestartNeeded


@dataclass
class WebProcess:
    """The web application, its ports and the tasks of monitoring beside it."""

    store: Store
    configuration: SiteConfiguration
    losses: AuditLosses
    timers: Timers = field(default_factory=Timers)
    needs_restart: bool = False
    ports: list[WebPort] = field(default_factory=list)
    _app: FastAPI | None = None
    _address: WebAddress | None = None
    _certificate: ServerCertificate | None = None

    def __post_init__(self) -> None:
        self.certificates = CertificateRenewal(self._renew_certificate)

    def use(self, settings: Settings) -> None:
        """Opens the ports, or switches to other settings; another address needs a restart.

        Raises:
            Misconfigured: the address, the certificate or a channel of alerts cannot be used.
        """
        address = WebAddress.of(settings)
        self.needs_restart = self._address is not None and self._address != address
        if self.needs_restart:
            return
        monitoring = monitoring_from(settings, self.store, utc_now, compares_results=False)
        self._certificate = server_certificate(settings, utc_now(), self._certificate)
        if self._app is None:
            app = create_app(settings, self.store, self.configuration, self.losses)
            tls = None if self._certificate is None else self._certificate.context
            self.ports = open_ports(settings, app, tls)
            if settings.access.login == "required":
                announce_set_up(self.store)
            self.timers.add("refused images", FLUSH_SECONDS, refused_images_of(app).flush)
            self._app = app
        else:
            use_settings(self._app, settings)
        self._address = address
        files = (settings.web.certificate_file, settings.web.key_file)
        self.certificates.use([file for file in files if file is not None])
        with self.timers.replacing():
            monitoring.add_to(self.timers)

    def serve(self, received_signals: list[int], supervisor: SupervisorPipe) -> None:
        """Serves until a signal arrives or a restart is needed."""
        assert self._app is not None  # noqa: S101 `use` comes first
        self.timers.start()
        try:
            _Server(self, self._app, received_signals, supervisor).run()
        finally:
            self.timers.stop()

    def close(self) -> None:
        """Closes the ports."""
        for port in self.ports:
            port.socket.close()

    def _renew_certificate(self) -> None:
        if self._app is not None and self._certificate is not None:
            server_certificate(settings_of(self._app), utc_now(), self._certificate)


class _Server(uvicorn.Server):
    """Logs when and on which port it serves; exits if a signal arrived before.

    Its event loop gives the signs of life: one that is blocked serves nobody.
    """

    def __init__(
        self,
        process: WebProcess,
        app: FastAPI,
        received_signals: list[int],
        supervisor: SupervisorPipe,
    ) -> None:
        super().__init__(server_config(app))
        self._received_signals = received_signals
        self._supervisor = supervisor
        self._process = process
        self._streams = streams_of(app)
        self._next_sign_at = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self.servers = [await port.serve(self) for port in self._process.ports]
        if self._received_signals:
            self.should_exit = True
        for web_port in self._process.ports:
            host, port = web_port.address
            _LOG.info("web.ready", host=host, port=port, tls=web_port.tls is not None)

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
