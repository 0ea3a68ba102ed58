"""A complete node as separate processes, for tests that send to it and kill it."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import httpx
from highdicom import Volume

from models.phantom import abdomen
from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.dimse import scu, store_sending
from node.domain.identifiers import AeTitle, Uid
from node.domain.job import Job, JobState
from node.processes.role_process import MODULES, Role
from node.settings import load_settings
from node.store import Store
from tests.support.peers.secure_port import TlsSite
from tests.support.prepared.starting import start_program
from tests.support.processes.secured_site import listener_at, new_token, program_of, secured
from tests.support.waiting import until

SENDER = AeTitle("DEMOSENDER")
_START_SECONDS = 240.0
_RESULT_SECONDS = 240.0
_PROCESSES = {"segnode", "node.cli", "node.inference.child", *MODULES.values()}
_ENDED = {JobState.DELIVERED, JobState.REFUSED, JobState.PARKED}

_CONFIGURATION = """
data_dir = "data"
access.login = "none"
{more}

[delivery]
first_retry_seconds = 0.5
longest_retry_seconds = 1
longest_commitment_seconds = 5

[worker]
poll_seconds = 0.4
{early_start}

[listener]
host = "127.0.0.1"
port = {dicom_port}
processes = {listener_processes}

[web]
port = {web_port}

[peers.sender]
ae_title = "DEMOSENDER"
host = "127.0.0.1"
port = 104

[peers.pacs]
ae_title = "{pacs_title}"
host = "127.0.0.1"
port = {pacs_port}

[destinations.pacs]
kind = "cstore"
peer = "pacs"
{destination}

[[rules]]
name = "liver"
model = "{model}"
destinations = {destinations}
quiet_seconds = {quiet_seconds}
{rule}
when = {{ attribute = "Modality", equals = "CT" }}
"""

_ARCHIVE = """
[destinations.archive]
kind = "folder"
path = "archive"
"""


@dataclass
class RunningNode:
    """`segnode serve` over a folder, with an Orthanc as its PACS.

    With `tls`, the node needs a login, takes HTTPS alone and DICOM over TLS beside plain DICOM, and
    connects to its PACS by TLS; `send` then uses TLS.
    """

    folder: Path
    orthanc: OrthancPacs
    roles: Sequence[Role] = (Role.LISTENER, Role.WORKER)
    dicom_port: int = 0  # 0: a free port
    tls: TlsSite | None = None
    tls_port: int = 0  # 0: a free port
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        free_port, free_tls_port, self.web_port = free_ports(3)
        self.dicom_port = self.dicom_port or free_port
        self.tls_port = self.tls_port or free_tls_port
        self.config_file = self.folder / "segnode.toml"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configure(quiet_seconds=1)
        settings = load_settings(self.config_file)
        self.store = Store.open(settings.database_url, settings.data_dir)

    def configure(
        self,
        *,
        quiet_seconds: float,
        model: str = "liver-ct",
        catalogue: Path | None = None,
        log_level: str = "info",
        commitment: bool = False,
        destination: str = "",
        archive: bool = False,
        rule: str = "",
        listener_processes: int = 1,
        early_start: bool = True,
    ) -> None:
        """Writes the configuration; it applies from the next start.

        `destination` and `rule` hold further settings of each. With `archive`, the folder
        `archive` is a second destination with the same settings.
        """
        more = f'log_level = "{log_level}"\n'
        if catalogue is not None:
            more += f'catalogues = ["{catalogue}"]\n'
        text = _CONFIGURATION.format(
            more=more,
            dicom_port=self.dicom_port,
            web_port=self.web_port,
            pacs_title=self.orthanc.ae_title,
            pacs_port=self.orthanc.dicom_port,
            destination=f"{destination}\n"
            + ('commitment = "pacs"\n' if commitment else "")
            + (f"{_ARCHIVE}{destination}\n" if archive else ""),
            destinations='["pacs", "archive"]' if archive else '["pacs"]',
            quiet_seconds=quiet_seconds,
            model=model,
            rule=rule,
            listener_processes=listener_processes,
            early_start=f"early_start = {str(early_start).lower()}",
        )
        self.config_file.write_text(secured(text, self.tls, self.tls_port))

    def start(self) -> None:
        """Starts the processes and waits until all are ready."""
        command = [sys.executable, "-m", "node.cli", "serve", "--config", str(self.config_file)]
        for role in self.roles:
            command += ["--role", role]
        self._log = (self.folder / "node.log").open("ab")
        log_start = self._log.tell()
        self._process = start_program(
            command, stdout=self._log, stderr=self._log, start_new_session=True
        )
        until(lambda: "node.ready" in self.log()[log_start:], _START_SECONDS, "the node to come up")

    @property
    def url(self) -> str:
        """The address of the console and of the APIs."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.web_port}"

    @property
    def scp(self) -> scu.Remote:
        """The listener, as the sender connects to it."""
        return listener_at(self.dicom_port, self.tls_port, self.tls)

    def program(self) -> httpx.Client:
        """A program that may do everything; it has the same token each time."""
        return program_of(self.url, self.tls, "" if self.tls is None else self._token)

    @cached_property
    def _token(self) -> str:
        return new_token(self.store)

    def log(self) -> str:
        """The log of the node's processes."""
        return (self.folder / "node.log").read_text()

    def kill(self) -> None:
        """Kills the supervisor; its processes end with it."""
        process, self._process = self._process, None
        if process is None:
            return
        self._log.close()
        # Only the supervisor is killed: its processes must not outlive it.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()

    @property
    def supervisor(self) -> int:
        """The process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def process_of(self, role: Role) -> int:
        """The process id of the running process of a role."""
        wanted = [MODULES[role].encode(), b"--config", str(self.config_file).encode()]
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if all(text in arguments for text in wanted):
                    return int(entry.name)
        raise AssertionError(f"no {role} process runs")

    def close(self) -> None:
        """Kills the node and closes the store."""
        self.kill()
        self.store.close()

    def send(self, files: Sequence[Path]) -> None:
        """Sends the files to the node by C-STORE; all must be accepted."""
        summary = store_sending.send(files, self.scp, SENDER)
        assert summary.failures == ()

    def newest_job(self, series: Uid) -> Job | None:
        """The newest job of a series; None if there is none."""
        jobs = self.store.jobs_of(series)
        return jobs[-1] if jobs else None

    def job_in(self, series: Uid, *states: JobState, instances: int | None = None) -> Job:
        """Waits until the newest job of a series is in one of `states`; returns it."""

        def there() -> Job | None:
            job = self.newest_job(series)
            if job is None or job.state not in states:
                return None
            return job if instances is None or job.instance_count == instances else None

        job = until(there, _RESULT_SECONDS, f"the job to be {' or '.join(states)}")
        assert job is not None
        return job

    def ended_job(self, series: Uid, *, instances: int | None = None) -> Job:
        """Waits until the newest job of a series has ended; returns it."""
        return self.job_in(series, *_ENDED, instances=instances)

    def ended_jobs(self, series: Uid, count: int) -> tuple[Job, ...]:
        """Waits until a series has `count` jobs and all of them have ended; returns them."""

        def ended() -> tuple[Job, ...]:
            jobs = self.store.jobs_of(series)
            return jobs if len(jobs) == count and {job.state for job in jobs} <= _ENDED else ()

        return until(ended, _RESULT_SECONDS, f"{count} jobs to end")

    def memory(self) -> dict[str, float]:
        """Resident memory of the processes in MB, by module."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if os.getsid(int(entry.name)) != self.supervisor or int(entry.name) < 2:
                    continue
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                resident = (entry / "statm").read_text().split()[1]
                for name in _PROCESSES.intersection(words):
                    found[name] = int(resident) * os.sysconf("SC_PAGE_SIZE") / 1e6
        return found

    def results(self, study: Uid) -> list[str]:
        """The SOP instance UIDs of the study's SEG objects in the PACS."""
        return self._found_seg({"StudyInstanceUID": str(study), "Modality": "SEG"})

    def all_results(self) -> list[str]:
        """The SOP instance UIDs of all SEG objects in the PACS."""
        return self._found_seg({"Modality": "SEG"})

    def _found_seg(self, query: dict[str, str]) -> list[str]:
        found = self.orthanc.post(
            "/tools/find", {"Level": "Instance", "Query": query, "Expand": True}
        )
        return [str(one["MainDicomTags"]["SOPInstanceUID"]) for one in found]


@cache
def _small_abdomen() -> Volume:
    return abdomen(1, spacing_mm=(6.0, 4.0, 4.0), shape=(50, 96, 96)).volume


def small_abdomen(folder: Path, *, seed: int, accession_number: str = "") -> list[Path]:
    """Writes a phantom as a small CT series with coarse slices, from feet to head.

    The seed gives the UIDs. The body is always the same.
    """
    description = CtDescription(seed=str(seed), accession_number=accession_number)
    return write_ct_series(_small_abdomen(), folder, description)
