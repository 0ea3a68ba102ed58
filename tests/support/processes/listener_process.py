"""The listener as a separate process, for tests that kill it."""

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from node.dimse.scu import Remote
from tests.support.peers.secure_port import Port, SecurePort, TlsSite, number_of
from tests.support.prepared.starting import start_program
from tests.support.processes.secured_site import listener_at
from tests.support.waiting import until

_TLS_PORT = re.compile(r'"tls_port": (\d+)')
_READY = re.compile(r'"listener\.ready".*"port": (\d+)')


def children_of(process: int) -> list[int]:
    """The process ids of the children of a process."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(each) for each in listed.split()]


class ListenerProcess:
    """`python -m pacs_listener` over a data folder, on a free port unless one is given.

    `more` are lines above the tables of its configuration, `listener` lines of its table, `peers`
    further tables. With `tls`, it also listens on a port for TLS. With several `processes`,
    `process` starts those that serve the senders.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        more: str = "",
        listener: str = "",
        peers: str = "",
        processes: int = 1,
        tls: TlsSite | None = None,
    ) -> None:
        self.config = config = data_dir.parent / "segnode.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        secured = "" if tls is None else f"tls_port = 0\n{tls.settings}"
        config.write_text(
            f'data_dir = "{data_dir}"\n{more}\n[listener]\nport = {port}\nhost = "127.0.0.1"\n'
            f"processes = {processes}\n{listener}\n{secured}\n{peers}",
            encoding="utf-8",
        )
        self._tls = tls
        command = [sys.executable, "-m", "pacs_listener", "--config", str(config)]
        self.process = start_program(command, stderr=subprocess.PIPE)
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = until(self._ready_port, 120, "the listener to be ready")
        except AssertionError:
            self.kill()
            raise

    @property
    def tls_port(self) -> SecurePort:
        """The port for TLS, as a sender with a certificate connects to it."""
        found = _TLS_PORT.search("".join(self.log))
        assert found is not None
        assert self._tls is not None
        return self._tls.port(int(found[1]))

    @property
    def serving(self) -> list[int]:
        """The process ids of those that serve the senders, where there are several."""
        return children_of(self.process.pid)

    @property
    def sender_port(self) -> Port:
        """The port that the sender of the site uses: for TLS, if the listener has certificates."""
        return self.port if self._tls is None else self.tls_port

    @property
    def scp(self) -> Remote:
        """The listener, as the sender of the site connects to it."""
        return listener_at(self.port, number_of(self.sender_port), self._tls)

    def kill(self) -> None:
        """Kills it with SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """Stops it with SIGTERM; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Waits until it has ended; returns its exit status."""
        status = self.process.wait(timeout=30)
        self._reader.join()
        if self.process.stderr is not None:
            self.process.stderr.close()
        return status

    def _read(self) -> None:
        if self.process.stderr is not None:
            self.log.extend(line.decode() for line in self.process.stderr)

    def _ready_port(self) -> int:
        if self.process.poll() is not None:
            self._reader.join()
            raise AssertionError("the listener ended:\n" + "".join(self.log))
        found = _READY.search("".join(self.log))
        return int(found[1]) if found else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
