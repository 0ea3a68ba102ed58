"""A program that is forked for a test is what its executable would be."""

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from node.demo.free_ports import free_ports
from node.processes.role_process import MODULES, Role
from tests.support.prepared.starting import REAL_STARTS
from tests.support.processes.hosts import Host
from tests.support.waiting import until

_CONFIGURATION = """
data_dir = "data"
access.login = "none"

[listener]
host = "127.0.0.1"
port = {port}
"""


@pytest.fixture(params=["forked", "executable"])
def host(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    """A host with a listener alone, by each way to start it."""
    monkeypatch.delenv(REAL_STARTS, raising=False)
    if request.param == "executable":
        monkeypatch.setenv(REAL_STARTS, "1")
    (port,) = free_ports(1)
    monkeypatch.setenv("SEGNODE_LISTENER__AE_TITLE", f"AT{port}")
    made = Host("host", tmp_path / "segnode.toml", [Role.LISTENER])
    made.config.write_text(_CONFIGURATION.format(port=port), encoding="utf-8")
    yield made
    made.kill()


def test_a_program_has_the_process_that_its_executable_has(host: Host) -> None:
    host.start()
    host.wait_ready()
    supervisor = host.session
    (listener,) = processes(host, MODULES[Role.LISTENER])

    assert words(supervisor)[1:4] == ["-P", "-m", "node.cli"]
    assert words(supervisor)[-1] == Role.LISTENER
    assert (parent_of(supervisor), parent_of(listener)) == (os.getpid(), supervisor)
    assert (os.getsid(listener), os.getpgid(listener)) == (supervisor, listener)
    assert os.environ["SEGNODE_LISTENER__AE_TITLE"] + "@127.0.0.1" in host.log()
    for process in (supervisor, listener):
        assert Path(f"/proc/{process}/fd/1").resolve() == host.config.with_name("host.log")
        assert Path(f"/proc/{process}/cwd").resolve() == Path.cwd()
    assert Path(f"/proc/{listener}/fd/0").resolve() == Path("/dev/null")


def test_its_processes_end_with_it(host: Host) -> None:
    host.start()
    host.wait_ready()
    (listener,) = processes(host, MODULES[Role.LISTENER])
    os.kill(listener, signal.SIGKILL)
    until(lambda: host.log().count("listener.ready") == 2, 120, "the listener to be restarted")
    os.kill(host.session, signal.SIGKILL)
    until(lambda: not processes(host, str(host.config)), 60, "all processes to end")


def test_a_stop_and_a_mistake_give_the_exit_status(host: Host) -> None:
    host.start()
    host.wait_ready()
    host.stop()
    assert "node.stopped" in host.log()

    host.config.write_text("data_dri = 1", encoding="utf-8")
    host.start()
    assert host._process is not None
    assert host._process.wait(60) == 1
    assert "data_dri: unknown setting" in host.log()


def words(process: int) -> Sequence[str]:
    """The command line of a process."""
    text = Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8")
    return text.rstrip("\0").split("\0")


def parent_of(process: int) -> int:
    """The parent of a process."""
    stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    return int(stat.rsplit(")", 1)[1].split()[1])


def processes(host: Host, word: str) -> list[int]:
    """The processes of a host with a word in their command line."""
    return [each for each in session_of(host) if word in words(each)]


def session_of(host: Host) -> list[int]:
    """All processes of a host."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if os.getsid(int(entry.name)) == host.session:
                found.append(int(entry.name))
        except (ValueError, ProcessLookupError):
            continue
    return found
