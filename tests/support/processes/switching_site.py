"""A site whose running hosts switch to other revisions of their configuration."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from node.configuration.site_configuration import SiteConfiguration, host_settings
from node.demo.free_ports import free_ports
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.processes.role_process import MODULES, Role
from node.store import Store
from node.store.configuration.revisions import Revision, RevisionDraft
from node.store.files.factory import open_files
from tests.support.peers.dcmsend import Sent, dcmsend
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.hosts import Host
from tests.support.processes.secured_site import new_token, program_of, secured
from tests.support.waiting import until

# Machines that run the tests are slow; a switch takes seconds.
SWITCH_S = 90.0

_HOST = """
config = "database"
data_dir = "data"
database_url = "{database_url}"
"""
# Without an early start, a job is in work until its inference has ended.
_CONTENT = """
quiet_seconds = 1
access.login = "none"
{more}

[worker]
poll_seconds = 0.2
threads = {threads}
early_start = false

[listener]
host = "127.0.0.1"
port = {dicom_port}

[web]
port = {web_port}

[peers.sender]
ae_title = "{sender}"
host = "127.0.0.1"
port = 104

[destinations.archive]
kind = "folder"
path = "{archive}"

[[rules]]
name = "liver"
model = "{model}"
destinations = ["archive"]
when = {{ attribute = "Modality", equals = "CT" }}
"""


@dataclass(frozen=True)
class Content:
    """What a revision says."""

    dicom_port: int
    tls_port: int
    web_port: int
    tls: TlsSite | None
    sender: str = "DEMOSENDER"
    archive: str = "first"
    model: str = "liver-ct"
    threads: int = 1
    more: str = ""

    @property
    def text(self) -> str:
        return secured(_CONTENT.format(**vars(self)), self.tls, self.tls_port)

    @property
    def port(self) -> int:
        """The port that the sender uses."""
        return self.dicom_port if self.tls is None else self.tls_port


@dataclass
class SwitchingSite:
    """Hosts over one database; each has its own configuration file."""

    folder: Path
    roles: tuple[Role, ...]
    tls: TlsSite | None
    database_url: str = ""
    names: tuple[str, ...] = ("host",)

    def __post_init__(self) -> None:
        dicom_port, tls_port, web_port = free_ports(3)
        self.content = Content(dicom_port, tls_port, web_port, self.tls)
        self.hosts = [Host(name, self._file(name), self.roles) for name in self.names]
        settings = host_settings(self.hosts[0].config)
        files = open_files(settings)
        self.store = Store.open(settings.database_url, settings.data_dir, files)
        self.configuration = SiteConfiguration(self.store, self.hosts[0].config)

    def _file(self, name: str) -> Path:
        host = _HOST.format(database_url=self.database_url)
        file = self.folder / f"{name}.toml"
        file.write_text(host + self.content.text)
        return file

    def program(self) -> httpx.Client:
        """A program that may do everything."""
        scheme = "http" if self.tls is None else "https"
        token = "" if self.tls is None else new_token(self.store)
        return program_of(f"{scheme}://127.0.0.1:{self.content.web_port}", self.tls, token)

    def send(self, files: Sequence[Path]) -> Sent:
        """Sends the files to the first host."""
        return dcmsend(files, self.content.port, self.tls)

    def activate(self, content: Content) -> Revision:
        self.content = content
        base = self.store.active_revision_number()
        return self.configuration.propose(
            RevisionDraft(content.text, "Ada", "a test"), base, datetime.now(UTC)
        )

    def numbers(self) -> dict[str, int]:
        """The revision that each process reported last."""
        processes = self.configuration.processes(datetime.now(UTC))
        return {process.name: process.number for process in processes if not process.problem}

    def wait_for(self, number: int, count: int, within_s: float = SWITCH_S) -> None:
        """Waits until `count` processes run that revision, and none another one."""
        expected = [number] * count
        until(lambda: list(self.numbers().values()) == expected, within_s, f"revision {number}")

    def processes(self, module: str) -> list[int]:
        """The process ids of a program of the first host."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                if module in words and os.getsid(int(entry.name)) == self.hosts[0].session:
                    found.append(int(entry.name))
        return found

    def process_of(self, role: Role) -> int:
        (found,) = self.processes(MODULES[role])
        return found

    def state_of(self, series: Uid) -> JobState | None:
        """The state of the only job of a series; None before it exists."""
        jobs = self.store.jobs_of(series)
        return jobs[0].state if jobs else None

    def close(self) -> None:
        for host in self.hosts:
            host.kill()
        self.store.close()
