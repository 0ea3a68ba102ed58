"""A running node reads its file again: on request, without a restart, and not with mistakes.

DICOM uses TLS; there is no web process.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cli.options import operating_system_user
from node.demo.free_ports import free_ports
from node.settings import load_settings
from node.store.opening import opened_store
from tests.support.audit_records import audit_records
from tests.support.peers.dcmsend import dcmsend
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.hosts import Host
from tests.support.processes.running_node import small_abdomen
from tests.support.processes.secured_site import secured
from tests.support.waiting import until

_SWITCH_S = 60.0
_CONFIGURATION = """
data_dir = "data"
access.login = "none"

[listener]
host = "127.0.0.1"
port = {port}

[peers.scanner]
ae_title = "{sender}"
host = "127.0.0.1"
port = 104
"""


@pytest.fixture
def host(tmp_path: Path, tls: TlsSite | None) -> Iterator[Host]:
    """A host whose listener runs and knows another scanner."""
    port, tls_port = free_ports(2)
    made = Host("host", tmp_path / "segnode.toml", ["listener"])
    text = secured(_CONFIGURATION.format(port=port, sender="OTHER"), tls, tls_port)
    made.config.write_text(text, encoding="utf-8")
    made.start()
    try:
        made.wait_ready()
        yield made
    finally:
        made.kill()


def check_audit_trail(host: Host) -> None:
    """The trail has start and stop, and each text of the file with what it changed."""
    store = opened_store(load_settings(host.config))
    records = {
        (each.action, each.outcome, each.sequence): each for each in reversed(audit_records(store))
    }
    store.close()
    process = {each.objects for (action, *_), each in records.items() if action == "started"}
    assert process == {(("process", f"{socket.gethostname()}/listener"),)}
    assert sum(action == "stopped" for action, *_ in records) == 1
    changes = [each for (action, *_), each in records.items() if action == "configuration changed"]
    first, second, refused = (each for each in changes if each.interface == "node")
    assert '+ae_title = "OTHER"' in first.change
    assert {'-ae_title = "OTHER"', '+ae_title = "DEMOSENDER"'} <= set(second.change.splitlines())
    assert (refused.outcome, refused.change) == ("minor failure", "")
    assert "ae_titel: unknown setting" in refused.detail
    done, not_done = (each for each in changes if each.interface == "cli")
    assert {done.actor, not_done.actor} == {f"{operating_system_user()} (command line)"}
    assert (done.outcome, not_done.outcome) == ("success", "minor failure")
    assert "ae_titel: unknown setting" in not_done.detail


def reload(host: Host) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "node.cli", "reload", "-c", str(host.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_node_reads_its_file_again_and_ignores_one_with_mistakes(
    host: Host, tls: TlsSite | None, tmp_path: Path
) -> None:
    file = small_abdomen(tmp_path / "ct", seed=73)[0]
    text = host.config.read_text(encoding="utf-8")
    listener = load_settings(host.config).listener
    to = (listener.port, None) if tls is None else (listener.tls_port or 0, tls)
    assert dcmsend([file], *to).acknowledged == frozenset()

    host.config.write_text(text.replace("OTHER", "DEMOSENDER"), encoding="utf-8")
    assert reload(host).returncode == 0
    until(lambda: host.log().count("configuration.used") == 2, _SWITCH_S, "the switch")
    assert len(dcmsend([file], *to).acknowledged) == 1

    host.config.write_text(text.replace("ae_title", "ae_titel"), encoding="utf-8")
    refused = reload(host)
    assert refused.returncode == 1
    assert "ae_titel: unknown setting" in refused.stderr
    os.kill(host.session, signal.SIGHUP)
    until(lambda: "configuration.not_used" in host.log(), _SWITCH_S, "the refusal")
    assert "ae_titel: unknown setting" in host.log()
    assert len(dcmsend([file], *to).acknowledged) == 1
    assert "process.ended" not in host.log()
    assert host.log().count("listener.ready") == 1

    host.config.write_text(text, encoding="utf-8")
    host.stop()
    check_audit_trail(host)
