"""The ports on which the listener of this host accepts connections."""

from pathlib import Path

import pytest

from node.runtime.listening import (
    ListeningPorts,
    current_listener,
    hold_listener_lock,
    listening_ports,
)
from node.runtime.locks import LockedProcess, hold_process_lock, process_lock_file
from node.settings import ListenerOptions, Settings


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        (ListeningPorts(104, None), "port 104"),
        (ListeningPorts(104, 2762), "port 104, or port 2762 with TLS"),
        (ListeningPorts(None, 2762), "port 2762 with TLS"),
    ],
)
def test_while_the_listener_runs_its_ports_count_and_not_those_of_the_settings(
    tmp_path: Path, ports: ListeningPorts, text: str
) -> None:
    saved = ListenerOptions(ae_title="LIVER", port=11113, tls_port=11114)
    settings = Settings(data_dir=tmp_path, listener=saved)
    assert current_listener(settings) == saved
    with hold_listener_lock(tmp_path, ports):
        assert listening_ports(tmp_path) == ports
        current = current_listener(settings)
        assert (current.ae_title, current.ports_text) == ("LIVER", text)
    assert current_listener(settings) == saved


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "7"])
def test_a_listener_that_states_no_ports_has_those_of_the_settings(
    tmp_path: Path, content: str
) -> None:
    with hold_process_lock(LockedProcess.LISTENER, tmp_path):
        process_lock_file(LockedProcess.LISTENER, tmp_path).write_text(content)
        assert listening_ports(tmp_path) is None


def test_a_disk_that_refuses_the_ports_does_not_stop_the_listener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    with hold_listener_lock(tmp_path, ListeningPorts(104, None)):
        assert listening_ports(tmp_path) is None
