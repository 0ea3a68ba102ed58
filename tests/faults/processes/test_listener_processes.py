"""Several listener processes on one port: limits hold over all, and a kill affects one alone."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.domain.identifiers import mint_uid
from node.processes.exit_status import RESTART_STATUS
from pacs_listener.store_status import StoreStatus
from tests.faults.test_reception import check_store, send_all, write_series
from tests.support.factories import encoded
from tests.support.peers.raw_peer import RawPeer
from tests.support.peers.secure_port import TlsSite
from tests.support.peers.upper_layer import (
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    associate_rq,
    c_echo,
    c_store,
)
from tests.support.processes.listener_process import ListenerProcess
from tests.support.waiting import until

PROCESSES = 2
SOON_S = 180
MAX_ASSOCIATIONS = 5
# Of one address: four fifths.
MAX_OF_ADDRESS = 4
LIMITED = """
[peers.limited]
ae_title = "ATTACKER"
host = "192.0.2.1"
port = 104
max_images_per_minute = 4
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("listener")


@pytest.fixture(scope="module")
def running(site: Path) -> Iterator[ListenerProcess]:
    with ListenerProcess(
        site / "data",
        listener=f"max_associations = {MAX_ASSOCIATIONS}",
        processes=PROCESSES,
        tls=TlsSite.create(site / "tls"),
    ) as process:
        until(lambda: len(ready(process)) == PROCESSES, SOON_S, "both processes to be ready")
        yield process
        serving = process.serving
        assert process.stop() == 0
        assert not any(is_alive(pid) for pid in serving)


@pytest.fixture
def listener(running: ListenerProcess) -> ListenerProcess:
    """The listener of the module, without an association."""
    until(lambda: not connections(running), SOON_S, "the associations to end")
    return running


def ready(process: ListenerProcess) -> list[str]:
    return [line for line in process.log if '"listener.ready"' in line]


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False


def connections(process: ListenerProcess) -> list[int]:
    """The process id of each connection to the port for plain DICOM that a process holds."""
    port = f":{process.port:04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    open_inodes = {
        f"socket:[{fields[9]}]"
        for fields in map(str.split, lines)
        if fields[1].endswith(port) and fields[3] in {"01", "08"}  # established; closed by the peer
    }
    found = []
    for pid in process.serving:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(file.readlink()) in open_inodes:
                    found.append(pid)
            except OSError:
                continue
    return found


def test_associations_are_spread_over_the_processes(listener: ListenerProcess) -> None:
    with ExitStack() as peers:
        for _ in range(MAX_OF_ADDRESS):
            peer = peers.enter_context(RawPeer.associated(listener.port))
            assert peer.status([c_echo()]) == StoreStatus.SUCCESS
        assert sorted(connections(listener)) == sorted(2 * listener.serving)


def test_the_limit_of_associations_holds_over_all_processes(listener: ListenerProcess) -> None:
    with ExitStack() as peers:
        for _ in range(MAX_OF_ADDRESS):
            peers.enter_context(RawPeer.associated(listener.port))
        assert answer(listener) == ASSOCIATE_RJ
    until(lambda: answer(listener) == ASSOCIATE_AC, SOON_S, "an association to be free again")


def answer(listener: ListenerProcess) -> int:
    with RawPeer(listener.port) as peer:
        peer.send([associate_rq()])
        pdu_type, _ = peer.read()
        return pdu_type


def test_each_process_takes_connections_by_tls(listener: ListenerProcess) -> None:
    with ExitStack() as peers:
        for _ in range(MAX_OF_ADDRESS):
            peer = peers.enter_context(RawPeer.associated(listener.tls_port))
            assert peer.status([c_echo()]) == StoreStatus.SUCCESS


def test_a_killed_process_ends_its_associations_alone_and_is_replaced(
    listener: ListenerProcess,
) -> None:
    killed, other = listener.serving
    with ExitStack() as stack:
        peers = [stack.enter_context(RawPeer.associated(listener.port)) for _ in range(2)]
        assert sorted(connections(listener)) == sorted([killed, other])
        os.kill(killed, signal.SIGKILL)
        answers = [peer.status([c_echo()]) for peer in peers]
        assert sorted(answers, key=str) == [StoreStatus.SUCCESS, None]
        # Its places are free at once, and the other process accepts.
        assert answer(listener) == ASSOCIATE_AC
    until(
        lambda: len(listener.serving) == PROCESSES and killed not in listener.serving,
        SOON_S,
        "another process in its place",
    )
    assert other in listener.serving
    assert any('"listener.process_ended"' in line for line in listener.log)
    until(lambda: len(ready(listener)) > PROCESSES, SOON_S, "it to be ready")


def test_a_changed_file_applies_to_all_processes(listener: ListenerProcess) -> None:
    text = listener.config.read_text(encoding="utf-8")
    used = sum('"configuration.used"' in line for line in listener.log)

    def uses() -> bool:
        found = sum('"configuration.used"' in line for line in listener.log)
        return found == used + PROCESSES

    listener.config.write_text(
        text.replace('ae_title = "SEGNODE"', "").replace(
            f"max_associations = {MAX_ASSOCIATIONS}", "max_associations = 1"
        ),
        encoding="utf-8",
    )
    os.kill(listener.process.pid, signal.SIGHUP)
    until(uses, SOON_S, "both to use it")
    with RawPeer.associated(listener.port):
        assert answer(listener) == ASSOCIATE_RJ
    used += PROCESSES
    listener.config.write_text(text, encoding="utf-8")
    os.kill(listener.process.pid, signal.SIGHUP)
    until(uses, SOON_S, "both to use the former one")


def test_an_image_limit_of_a_peer_holds_over_all_processes(tmp_path: Path) -> None:
    with ListenerProcess(
        tmp_path / "data",
        listener='accept_from = "any"',
        peers=LIMITED,
        processes=PROCESSES,
    ) as limited:
        until(lambda: len(ready(limited)) == PROCESSES, SOON_S, "both processes to be ready")
        statuses = []
        with ExitStack() as stack:
            peers = [stack.enter_context(RawPeer.associated(limited.port)) for _ in range(2)]
            assert len(set(connections(limited))) == PROCESSES
            for number in range(6):
                uid = mint_uid("limited", str(number))
                request = c_store(encoded(sop_instance_uid=uid), uid)
                statuses.append(peers[number % 2].status(request))
        # The minute may end meanwhile; then the count begins again.
        assert statuses[:4] == [StoreStatus.SUCCESS] * 4
        assert StoreStatus.OUT_OF_RESOURCES in statuses[4:]


def test_kills_during_reception_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    files, data_dir = write_series(tmp_path / "sent"), tmp_path / "data"
    acknowledged: set[str] = set()
    with ListenerProcess(data_dir, processes=PROCESSES) as listener:
        until(lambda: len(ready(listener)) == PROCESSES, SOON_S, "both processes to be ready")
        sending = threading.Thread(target=send_all, args=(listener.port, files, acknowledged, 3))
        sending.start()
        until(lambda: len(acknowledged) >= 5, 60, "some to be acknowledged")
        os.kill(listener.serving[0], signal.SIGKILL)
        sending.join()
        assert 5 <= len(acknowledged) < len(files)
        again: set[str] = set()
        send_all(listener.port, files, again, 30)
        assert again == {file.name for file in files}
        assert listener.stop() == 0
    assert check_store(data_dir, files, acknowledged | again) == len(files)


def test_with_a_kill_of_what_starts_them_the_processes_end(tmp_path: Path) -> None:
    with ListenerProcess(tmp_path / "data", processes=PROCESSES) as listener:
        until(lambda: len(ready(listener)) == PROCESSES, SOON_S, "both processes to be ready")
        serving = listener.serving
        listener.kill()
        until(lambda: not any(is_alive(pid) for pid in serving), SOON_S, "both to end")
    with (
        ListenerProcess(tmp_path / "data", listener.port, processes=PROCESSES) as again,
        RawPeer.associated(again.port) as peer,
    ):
        assert peer.status([c_echo()]) == StoreStatus.SUCCESS


def test_another_port_restarts_all_processes(tmp_path: Path) -> None:
    with ListenerProcess(tmp_path / "data", processes=PROCESSES) as listener:
        until(lambda: len(ready(listener)) == PROCESSES, SOON_S, "both processes to be ready")
        text = listener.config.read_text(encoding="utf-8")
        changed = text.replace(f"processes = {PROCESSES}", "processes = 1")
        listener.config.write_text(changed, encoding="utf-8")
        os.kill(listener.process.pid, signal.SIGHUP)
        # The supervisor starts a process again that ends with this status.
        assert listener.wait() == RESTART_STATUS
