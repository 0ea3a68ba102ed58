"""Receivers of C-STORE that the benchmark compares, each with an empty folder of its own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from tests.support.processes.listener_process import ListenerProcess
from tests.support.waiting import until

# dcmtk, on which Orthanc is built, delays each response without it.
NO_DELAY = {"TCP_NODELAY": "1"}
_START_TIMEOUT_S = 30.0
_AT_ITS_BEST = {"MaximumPduLength": 131072, "SyncStorageArea": True}


@dataclass(frozen=True)
class Address:
    """Where a receiver listens."""

    ae_title: str
    port: int


@dataclass(frozen=True)
class Receiver:
    """A receiver; `run` starts it in a folder and stops it at the end of the block."""

    name: str
    run: Callable[[Path], AbstractContextManager[Address]]


SEGNODE = "segnode"
SEGNODE_AT_ITS_BEST = "segnode at its best"
ORTHANC_AT_ITS_BEST = "Orthanc at its best"


def installed_receivers(listener_settings: str = "") -> list[Receiver]:
    """Returns the node and what is installed beside it; the settings are lines of [listener]."""

    @contextmanager
    def segnode(more: str, processes: int, folder: Path) -> Iterator[Address]:
        with ListenerProcess(
            folder / "data", more=more, listener=listener_settings, processes=processes
        ) as listener:
            yield Address("SEGNODE", listener.port)
            listener.stop()

    found = [
        Receiver(SEGNODE, partial(segnode, "", 1)),
        Receiver(SEGNODE_AT_ITS_BEST, partial(segnode, 'image_digest = "blake3"', 2)),
    ]
    if not orthanc_missing():
        found.append(Receiver(ORTHANC_AT_ITS_BEST, _orthanc_at_its_best))
        found.append(Receiver("Orthanc as installed", _orthanc_as_installed))
    if shutil.which("storescp"):
        found.append(Receiver("dcmtk storescp --fork (not synced)", _storescp))
    return found


@contextmanager
def _orthanc_at_its_best(folder: Path) -> Iterator[Address]:
    pacs = OrthancPacs(folder, configuration=_AT_ITS_BEST)
    with _environment(NO_DELAY):
        pacs.start()
    try:
        yield Address(pacs.ae_title, pacs.dicom_port)
    finally:
        pacs.stop()


@contextmanager
def _orthanc_as_installed(folder: Path) -> Iterator[Address]:
    with OrthancPacs(folder) as pacs:
        yield Address(pacs.ae_title, pacs.dicom_port)


@contextmanager
def _storescp(folder: Path) -> Iterator[Address]:
    folder.mkdir(parents=True)
    (port,) = free_ports(1)
    command = ["storescp", "--fork", "--max-pdu", "131072", "-od", str(folder), str(port)]
    with subprocess.Popen(
        command, env=os.environ | NO_DELAY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: _answers(port), _START_TIMEOUT_S, "storescp to listen")
            yield Address("STORESCP", port)
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables of the environment for processes that the block starts."""
    earlier = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
