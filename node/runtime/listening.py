"""The ports on which the listener of this host accepts connections now.

After a change of its address, the listener first lets open associations end. Until then, the
settings name other ports.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from node.runtime.locks import LockedProcess, hold_process_lock, is_running, process_lock_file
from node.settings import Settings
from node.settings.network.listener import ListenerOptions


@dataclass(frozen=True)
class ListeningPorts:
    """The ports without TLS and with it; None: there is no such port."""

    plain: int | None
    tls: int | None


@contextmanager
def hold_listener_lock(data_dir: Path, ports: ListeningPorts) -> Iterator[None]:
    """Holds the lock of the listener, whose file states the ports.

    A disk that refuses them must not stop the listener: the settings then stand for them.
    """
    with hold_process_lock(LockedProcess.LISTENER, data_dir):
        with suppress(OSError):
            _file(data_dir).write_text(json.dumps(asdict(ports)), encoding="ascii")
        yield


def listening_ports(data_dir: Path) -> ListeningPorts | None:
    """Returns the ports of the listener that runs on this host; None where they are not known."""
    if not is_running(LockedProcess.LISTENER, data_dir):
        return None
    try:
        stated = json.loads(_file(data_dir).read_text(encoding="ascii"))
        return ListeningPorts(stated["plain"], stated["tls"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # one of an earlier version, or one that writes them at this moment


def current_listener(settings: Settings) -> ListenerOptions:
    """Returns the settings of the listener with the ports on which it listens on this host.

    They are those of the settings where no listener runs here.
    """
    ports = listening_ports(settings.data_dir)
    if ports is None:
        return settings.listener
    plain = {"plain": False} if ports.plain is None else {"plain": True, "port": ports.plain}
    return settings.listener.model_copy(update={**plain, "tls_port": ports.tls})


def _file(data_dir: Path) -> Path:
    return process_lock_file(LockedProcess.LISTENER, data_dir)
