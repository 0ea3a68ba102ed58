"""Notifications to systemd follow sd_notify(3)."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.runtime.machine import machine_status
from node.runtime.service_manager import ServiceManager


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(5)
        yield bound


def test_the_notifications_have_the_documented_text(
    receiver: socket.socket, tmp_path: Path
) -> None:
    manager = ServiceManager(str(tmp_path / "notify"))
    manager.notify_ready()
    manager.send_sign()
    manager.notify_status("the worker hangs")
    manager.notify_stopping()
    received = [receiver.recv(100) for _ in range(4)]
    assert received == [b"READY=1", b"WATCHDOG=1", b"STATUS=the worker hangs", b"STOPPING=1"]


def test_an_address_in_the_abstract_namespace_is_used() -> None:
    name = f"segnode-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(f"\0{name}")
        bound.settimeout(5)
        ServiceManager(f"@{name}").notify_ready()
        assert bound.recv(100) == b"READY=1"


def test_a_service_manager_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    ServiceManager(str(tmp_path / "missing")).notify_ready()


def test_the_environment_names_the_service_manager_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert ServiceManager.from_environment() == ServiceManager("/run/notify", 60.0)
    assert ServiceManager.from_environment() == ServiceManager()


def test_the_watchdog_of_another_process_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert ServiceManager.from_environment().watchdog_s is None


def test_the_machine_reports_its_memory() -> None:
    status = machine_status("CPU")
    assert status.memory_total_bytes is not None
    assert status.memory_available_bytes is not None
    assert 0 < status.memory_available_bytes < status.memory_total_bytes
    assert status.device_memory_total_bytes is None
