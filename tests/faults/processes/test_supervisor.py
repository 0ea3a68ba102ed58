"""A node that cannot run logs the reason and exits; a node exits on a stop signal.

Its configuration has DICOM over TLS, HTTPS and a login.
"""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from node.demo.free_ports import free_ports
from node.domain.errors import Transient
from node.processes.role_process import Role
from node.processes.supervisor import Supervisor
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.secured_site import secured
from tests.support.waiting import until

_SERVE = [sys.executable, "-m", "node.cli", "serve", "--config"]


def write_configuration(
    folder: Path, tls: TlsSite | None, *, dicom_port: int | None = None, model: str = "liver-ct"
) -> Path:
    """Writes a configuration with free ports and a folder as its destination."""
    free_port, tls_port, web_port = free_ports(3)
    file = folder / "segnode.toml"
    text = f"""
data_dir = "data"
access.login = "none"

[listener]
host = "127.0.0.1"
port = {free_port if dicom_port is None else dicom_port}

[web]
port = {web_port}

[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "liver"
model = "{model}"
destinations = ["archive"]
when = {{ attribute = "Modality", equals = "CT" }}
"""
    file.write_text(secured(text, tls, tls_port))
    return file


def test_a_node_whose_port_is_in_use_exits_with_the_reason(
    tmp_path: Path, tls: TlsSite | None
) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        config = write_configuration(tmp_path, tls, dicom_port=occupied.getsockname()[1])
        ended = subprocess.run(
            [*_SERVE, str(config), "--role", "listener"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert ended.returncode == 1
    assert "the listener cannot run" in ended.stderr
    assert "port" in ended.stderr


def test_a_node_whose_model_is_not_installed_exits_with_the_reason(
    tmp_path: Path, tls: TlsSite | None
) -> None:
    ended = subprocess.run(
        [
            *_SERVE,
            str(write_configuration(tmp_path, tls, model="no-such-model")),
            "--role",
            "worker",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 1
    assert "no-such-model" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_stops_soon_after_a_stop_signal(
    tmp_path: Path, tls: TlsSite | None, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        node = subprocess.Popen(
            [*_SERVE, str(write_configuration(tmp_path, tls))], stderr=file, stdout=file
        )
    try:
        until(lambda: "node.ready" in log.read_text(), 120, "the node to come up")
        node.send_signal(number)
        assert node.wait(20) == 0
        assert "node.stopped" in log.read_text()
    finally:
        node.kill()
        node.wait()


def test_a_process_that_the_system_cannot_start_again_is_started_later(
    tmp_path: Path,
    tls: TlsSite | None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    config = write_configuration(tmp_path, tls)
    supervisor = Supervisor(config, (Role.LISTENER,))
    port = supervisor.settings.listener.port
    logged: list[str] = []

    def has_logged(event: str) -> bool:
        logged.extend(capfd.readouterr())
        return event in "".join(logged)

    supervisor.start()
    try:
        supervisor.wait_ready(120)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", str(tmp_path / "away"))
            kill_listener(config)
            until(lambda: has_logged("process.not_started"), 60, "the failed start")
        until(lambda: answers(port), 120, "the listener to run again")
        assert not supervisor.failure
    finally:
        supervisor.stop()


def test_a_node_whose_processes_cannot_be_started_gives_up(
    tmp_path: Path, tls: TlsSite | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(write_configuration(tmp_path, tls), (Role.LISTENER,))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "away"))
    supervisor.start()
    try:
        with pytest.raises(Transient, match=r"the listener cannot be started: .*No such file"):
            supervisor.wait_ready(60)
    finally:
        supervisor.stop()


def kill_listener(config: Path) -> None:
    """Kills the listener of the configuration."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            if "pacs_listener" in words and str(config) in words:
                os.kill(int(entry.name), signal.SIGKILL)


def answers(port: int | None) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port or 0))) == 0
