"""Several hosts of one site: each runs the node; they share a database and a folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs
from node.dimse import scu, store_sending
from node.domain.identifiers import AeTitle, Uid
from node.domain.job import Job, is_final
from node.settings import load_settings
from node.store import Store
from node.store.files.factory import open_files
from tests.support.peers.secure_port import TlsSite
from tests.support.prepared.starting import start_program
from tests.support.processes.secured_site import listener_at, secured
from tests.support.waiting import until

SENDER = AeTitle("DEMOSENDER")

# Without an early start, a job is in work until its inference has ended.
_CONFIGURATION = """
data_dir = "{data_dir}"
database_url = "{database_url}"
store_url = "{store_url}"
store_endpoint = "{store_endpoint}"
log_level = "debug"
quiet_seconds = {quiet_seconds}

[delivery]
first_retry_seconds = 0.5
longest_retry_seconds = 1

[worker]
poll_seconds = 0.4
threads = 1
early_start = false

[listener]
host = "127.0.0.1"
port = {dicom_port}
processes = 2

[peers.pacs]
ae_title = "{pacs_title}"
host = "127.0.0.1"
port = {pacs_port}

[peers.sender]
ae_title = "DEMOSENDER"
host = "127.0.0.1"
port = 104

[destinations.pacs]
kind = "cstore"
peer = "pacs"

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["pacs"]
when = {{ attribute = "Modality", equals = "CT" }}
"""


@dataclass
class Host:
    """One host of a site, with its own log; it runs the processes of `roles`."""

    name: str
    config: Path
    roles: Sequence[str]
    _process: subprocess.Popen[bytes] | None = None
    _log_start: int = 0  # offset of the latest start in the log

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Starts the node with additional environment variables; see `wait_ready`."""
        command = [sys.executable, "-P", "-m", "node.cli", "serve", "--config", str(self.config)]
        for role in self.roles:
            command += ["--role", role]
        with self._log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = start_program(
                command, stdout=log, stderr=log, start_new_session=True, variables=environment
            )

    def wait_ready(self) -> None:
        """Waits until the node is ready."""
        until(lambda: "node.ready" in self.log()[self._log_start :], 120, f"{self.name} to come up")

    @property
    def session(self) -> int:
        """The id of the session that its processes form."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """The log of its processes."""
        return self._log_file.read_text()

    def kill(self) -> None:
        """Kills all processes at once, as a power cut does."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Stops the node with SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait(60) == 0
            self._process = None

    def freeze(self) -> None:
        """Pauses all processes, as a paused virtual machine does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resumes the paused processes."""
        self._signal(signal.SIGCONT)

    @property
    def _log_file(self) -> Path:
        return self.config.with_name(f"{self.name}.log")

    def _signal(self, number: signal.Signals) -> None:
        """Sends a signal to every process of the host; they form one session."""
        if self._process is None:
            return
        for entry in Path("/proc").iterdir():
            with suppress(ValueError, ProcessLookupError):
                process = int(entry.name)
                if os.getsid(process) == self._process.pid:
                    os.kill(process, number)


@dataclass
class MultiHostSite:
    """A listener host and `count` worker hosts over one folder, with an Orthanc as PACS.

    Without a `database_url` the hosts are one machine, with its embedded database and one worker.
    With a `store_url`, each host has its own folder. With `tls`, DICOM uses TLS.
    No host serves HTTP.
    """

    folder: Path
    orthanc: OrthancPacs
    database_url: str
    count: int
    quiet_seconds: float = 1.0
    store_url: str = ""
    store_endpoint: str = ""
    tls: TlsSite | None = None
    workers: list[Host] = field(init=False)

    def __post_init__(self) -> None:
        self.dicom_port, self.tls_port = free_ports(2)
        self.listener = Host("listener", self._configure("listener"), ["listener"])
        names = [f"worker{n}" for n in range(1, self.count + 1)]
        self.workers = [Host(name, self._configure(name), ["worker"]) for name in names]
        settings = load_settings(self.listener.config)
        self.store = Store.open(settings.database_url, settings.data_dir, open_files(settings))

    def _configure(self, host: str) -> Path:
        """Writes the configuration of a host."""
        config = self.folder / f"{host}.toml"
        text = _CONFIGURATION.format(
            data_dir=host if self.store_url else "shared",
            database_url=self.database_url,
            store_url=self.store_url,
            store_endpoint=self.store_endpoint,
            quiet_seconds=self.quiet_seconds,
            dicom_port=self.dicom_port,
            pacs_title=self.orthanc.ae_title,
            pacs_port=self.orthanc.dicom_port,
        )
        config.write_text(secured(text, self.tls, self.tls_port))
        return config

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Starts every host; the first worker is ready before the others start, and leads."""
        first, *others = self.workers
        self.listener.start(environment)
        first.start(environment)
        first.wait_ready()
        if "postgresql" in self.database_url:
            until(lambda: "worker.leads" in first.log(), 60, "the first worker to lead")
        for worker in others:
            worker.start(environment)
        for host in (self.listener, *others):
            host.wait_ready()

    def close(self) -> None:
        """Kills every host and closes the store."""
        for host in (self.listener, *self.workers):
            host.kill()
        self.store.close()

    @property
    def scp(self) -> scu.Remote:
        """The listener, as the sender connects to it."""
        return listener_at(self.dicom_port, self.tls_port, self.tls)

    def send(self, files: Sequence[Path]) -> None:
        """Sends the files to the site by C-STORE; all must be accepted."""
        assert store_sending.send(files, self.scp, SENDER).failures == ()

    def ended_jobs(self, count: int, within_s: float) -> list[Job]:
        """Waits until there are `count` jobs and all have ended; returns them."""

        def all_ended() -> list[Job] | None:
            jobs = self.store.list_jobs()
            return jobs if len(jobs) == count and all(is_final(j.state) for j in jobs) else None

        jobs = until(all_ended, within_s, f"{count} jobs to end")
        assert jobs is not None
        return jobs

    def results(self, study: Uid) -> list[str]:
        """The SOP instance UIDs of the study's SEG objects in the PACS."""
        query = {"StudyInstanceUID": str(study), "Modality": "SEG"}
        found = self.orthanc.post(
            "/tools/find", {"Level": "Instance", "Query": query, "Expand": True}
        )
        return [str(one["MainDicomTags"]["SOPInstanceUID"]) for one in found]
