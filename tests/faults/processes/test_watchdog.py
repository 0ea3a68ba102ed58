"""A process of the node that hangs is found: by the health checks and by the service manager.

DICOM, HTTP and the webhook use TLS; the node needs a login.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from node.demo.free_ports import free_ports
from node.processes.role_process import MODULES, Role
from node.settings import load_settings
from node.store.opening import opened_store
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.secured_site import new_token, program_of, secured
from tests.support.servers.http_receiver import HttpReceiver, http_receiver
from tests.support.waiting import until
from tests.support.whole_command_line import app

# A hung worker is found within a minute.
DETECTED_S = 60.0
WATCHDOG_US = 3_000_000
CONFIGURATION = """
data_dir = "data"
access.login = "none"
[listener]
host = "127.0.0.1"
port = {dicom_port}
[web]
port = {web_port}
[alerts.webhook]
{webhook}
[destinations.archive]
kind = "folder"
path = "archive"
[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["archive"]
when = {{ attribute = "Modality", equals = "CT" }}
"""


@dataclass
class ServiceManagerStandIn:
    """The socket of systemd: keeps the notifications."""

    path: Path
    notifications: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        while True:
            message = self._socket.recv(4096).decode()
            if message == "END":
                return
            self.notifications.append(message)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"END", str(self.path))
        self._thread.join()
        self._socket.close()


@dataclass
class Service:
    """A running node, as a service manager started it."""

    config: Path
    manager: ServiceManagerStandIn
    receiver: HttpReceiver
    program: httpx.Client
    log: Path
    supervisor: "subprocess.Popen[bytes]"

    def process_of(self, role: Role) -> int:
        """Returns the process id of a role."""
        wanted = [MODULES[role].encode(), str(self.config).encode()]
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if all(text in arguments for text in wanted):
                    return int(entry.name)
        raise AssertionError(f"no {role} process runs")

    def status(self) -> str:
        """Returns the status that /health reports."""
        return str(self.program.get("/health").json()["status"])

    def health(self, role: Role) -> tuple[int, str]:
        """Returns exit status and text of `segnode health` for a role."""
        arguments = ["health", "--role", role.value, "--config", str(self.config)]
        result = CliRunner().invoke(app, arguments)
        return result.exit_code, result.output

    def hangs_logged(self, role: Role) -> int:
        """Returns how often the log says that the role hangs."""
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        return sum(e["event"] == "process.hangs" and e["role"] == role for e in events)

    def gives_signs(self) -> bool:
        """Whether another sign of life arrives within twice the watchdog's time."""
        before = len(self.manager.notifications)
        try:
            until(
                lambda: "WATCHDOG=1" in self.manager.notifications[before:],
                2 * WATCHDOG_US / 1e6,
                "a sign of life",
            )
        except AssertionError:
            return False
        return True


@contextmanager
def running_service(folder: Path, tls: TlsSite | None) -> Iterator[Service]:
    """Starts the node with a service manager and a webhook."""
    dicom_port, tls_port, web_port = free_ports(3)
    config = folder / "segnode.toml"
    log = folder / "log"
    manager = ServiceManagerStandIn(folder / "notify")
    with http_receiver(None if tls is None else tls.https_context()) as receiver:
        webhook = f'url = "{receiver.url}"'
        if tls is not None:
            webhook += f'\nca_file = "{tls.authority.file}"'
        text = CONFIGURATION.format(dicom_port=dicom_port, web_port=web_port, webhook=webhook)
        config.write_text(secured(text, tls, tls_port))
        environment = os.environ | {
            "NOTIFY_SOCKET": str(manager.path),
            "WATCHDOG_USEC": str(WATCHDOG_US),
        }
        with log.open("wb") as output:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "node.cli", "serve", "--config", str(config)],
                stdout=output,
                stderr=output,
                env=environment,
            )
        try:
            until(lambda: "READY=1" in manager.notifications, 240, "the node to come up")
            with watching(config, tls, web_port) as program:
                yield Service(config, manager, receiver, program, log, supervisor)
        finally:
            supervisor.kill()
            supervisor.wait()
            manager.close()


def watching(config: Path, tls: TlsSite | None, web_port: int) -> httpx.Client:
    """Returns a program that may view the node."""
    if tls is None:
        return program_of(f"http://127.0.0.1:{web_port}", None)
    with closing(opened_store(load_settings(config))) as store:
        token = new_token(store)
    return program_of(f"https://127.0.0.1:{web_port}", tls, token)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tls: TlsSite | None) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), tls) as running:
        yield running


def test_a_hung_worker_is_found_by_its_heartbeat_and_reported_until_it_continues(
    service: Service,
) -> None:
    assert service.status() == "ok"
    worker = service.process_of(Role.WORKER)
    os.kill(worker, signal.SIGSTOP)
    try:
        until(lambda: service.status() == "not well", DETECTED_S, "the hung worker to be found")
        until(lambda: service.receiver.posted, DETECTED_S, "the alert about it")
    finally:
        os.kill(worker, signal.SIGCONT)
    until(lambda: service.status() == "ok", 30, "the worker to continue")
    until(lambda: len(service.receiver.posted) == 2, 30, "the end of the alert")
    started, ended = (posted.content for posted in service.receiver.posted)
    assert (started["event"], started["kind"]) == ("started", "worker-missing")
    assert "The worker hangs" in started["text"]
    assert (ended["event"], ended["kind"]) == ("ended", "worker-missing")


@pytest.mark.parametrize("role", list(Role))
def test_the_signs_to_the_service_manager_stop_while_a_process_hangs(
    service: Service, role: Role
) -> None:
    assert service.gives_signs()
    process = service.process_of(role)
    before = len(service.manager.notifications)
    logged = service.hangs_logged(role)
    os.kill(process, signal.SIGSTOP)
    try:
        until(
            lambda: f"STATUS=the {role} hangs" in service.manager.notifications[before:],
            DETECTED_S,
            "the supervisor to find it",
        )
        assert not service.gives_signs()
        status, text = service.health(role)
        assert status == 1
        assert text.startswith(f"{role}: hangs")
        others = [other for other in Role if other is not role]
        assert [service.health(other)[0] for other in others] == [0, 0]
    finally:
        os.kill(process, signal.SIGCONT)
    until(service.gives_signs, 60, "the signs to return")
    until(lambda: service.health(role)[0] == 0, 10, "the report that it works")
    assert service.hangs_logged(role) == logged + 1


def test_a_stop_is_announced_to_the_service_manager(service: Service) -> None:
    # The last test: it stops the service that all of them share.
    service.supervisor.send_signal(signal.SIGTERM)
    assert service.supervisor.wait(60) == 0
    until(lambda: "STOPPING=1" in service.manager.notifications, 10, "the notification")
