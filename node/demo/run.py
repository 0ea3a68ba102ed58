"""Runs the demonstration: sends a phantom or CT by C-STORE, waits, and prints the result."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import Progress

from node.access.accounts import login_link
from node.demo.configuration import DemoSite, new_site, orthanc_for, write_config
from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct.files import find_dicom_files
from node.dimse import scu, store_sending
from node.domain.access.permissions import Role
from node.domain.errors import NodeError, Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle, Uid
from node.domain.instance import Channel, Origin
from node.domain.job import Job, JobState
from node.domain.job_summary import outcome
from node.domain.series import SeriesState
from node.intake.part10 import received_from_file
from node.log import configure_logging
from node.processes.supervisor import Supervisor
from node.runtime.signals import StopSignal
from node.settings import load_settings
from node.store import Store

_SENDER = AeTitle("DEMOSENDER")
_USER = "demo"
_POLL_SECONDS = 0.25
# Two CPU cores take a minute or two for a large series; after an hour the node must be hanging.
_RESULT_TIMEOUT_SECONDS = 3600.0
_START_TIMEOUT_SECONDS = 120.0
# The shipped model was trained on phantoms of seeds 0 to 47, so not on this one.
_UNSEEN_SEED = 101
_FINAL_STATES = {JobState.DELIVERED, JobState.REFUSED, JobState.PARKED, JobState.DISCARDED}


def run_demo(
    *, ct: Path | None, with_orthanc: bool, keep_serving: bool, folder: Path | None
) -> None:
    """Runs the demonstration; with `keep_serving`, the node runs until Ctrl-C.

    Without `folder`, all files go to a new temporary folder, which is kept: it holds the result.

    Raises:
        Rejected: the node refused the CT, with the reason.
        Transient: the node or the PACS did not start, or the result did not arrive.
    """
    console = Console()
    site = new_site(_demo_folder(folder, console))
    files = _phantom_series(site, console) if ct is None else find_dicom_files([ct])
    with ExitStack() as services:
        orthanc = services.enter_context(orthanc_for(site)) if with_orthanc else None
        write_config(site, orthanc)
        configure_logging(load_settings(site.config_file).log_level)
        _add_user(site)
        with console.status("Starting the node ..."):
            services.enter_context(_node(site))
        if orthanc is not None:
            # In a hospital the modality stores into the PACS, which routes to the node.
            pacs = scu.Remote(AeTitle(orthanc.ae_title), "127.0.0.1", orthanc.dicom_port)
            _send(files, pacs, console)
        node = scu.Remote(AeTitle("SEGNODE"), "127.0.0.1", site.dicom_port)
        _send(files, node, console)
        job = _wait_for_result(site, _series_uid(files), console)
        _print_result(job, site, orthanc, console)
        if keep_serving:
            link = _login_link(site)
            _print_row(console, "Log in", f"{link} (works once, within 15 minutes)")
            console.print(f"The node is running; its console is at {site.console_url}")
            console.print("Press Ctrl-C to stop it.")
            StopSignal().wait()


def _add_user(site: DemoSite) -> None:
    """Adds the user of the demonstration, an administrator without a password."""
    with _store(site) as store:
        if store.credentials_of(_USER) is None:
            store.add_user(_USER, Role.ADMINISTRATOR, datetime.now(UTC))


def _login_link(site: DemoSite) -> str:
    """Returns the address of a page that logs in the user of the demonstration, once."""
    with _store(site) as store:
        return f"{site.console_url.rstrip('/')}{login_link(store, _USER, datetime.now(UTC))}"


@contextmanager
def _store(site: DemoSite) -> Iterator[Store]:
    settings = load_settings(site.config_file)
    store = Store.open(settings.database_url, settings.data_dir)
    try:
        yield store
    finally:
        store.close()


def _demo_folder(folder: Path | None, console: Console) -> Path:
    """Returns the folder for all files; prints the path of a new temporary folder."""
    if folder is not None:
        return folder.resolve()
    temporary = Path(tempfile.mkdtemp(prefix="segnode-demo-"))
    _print_row(console, "Temporary folder", f"{temporary} (kept; delete it when done)")
    return temporary


def _print_row(console: Console, name: str, text: str) -> None:
    # Without soft wrapping, an address or a path could not be copied as a whole.
    console.print(f"{name:<16} {text}", soft_wrap=True, highlight=False, markup=False)


def _phantom_series(site: DemoSite, console: Console) -> list[Path]:
    """Generates a phantom and writes it as a DICOM CT series."""
    from models.phantom import abdomen
    from node.dicom.ct_writer import write_ct_series

    with console.status("Generating a phantom abdomen ..."):
        phantom = abdomen(seed=_UNSEEN_SEED)
        return write_ct_series(phantom.volume, site.folder / "ct", seed=_UNSEEN_SEED)


@contextmanager
def _node(site: DemoSite) -> Iterator[None]:
    """Runs the node's three processes; they are ready to receive inside the context."""
    supervisor = Supervisor(site.config_file)
    supervisor.start()
    try:
        supervisor.wait_ready(_START_TIMEOUT_SECONDS)
        yield
    finally:
        supervisor.stop()


def _send(files: list[Path], remote: scu.Remote, console: Console) -> None:
    """Sends the series by C-STORE with a progress bar.

    Raises:
        Transient: at least one file was not accepted.
    """
    with Progress(console=console) as bar:
        task = bar.add_task(f"C-STORE to {remote}", total=len(files))
        summary = store_sending.send(
            files, remote, _SENDER, progress=lambda sent: bar.update(task, completed=sent)
        )
    if summary.failures:
        raise Transient(f"{len(summary.failures)} files were not accepted: {summary.failures[0]}")


def _series_uid(files: list[Path]) -> Uid:
    """Returns the SeriesInstanceUID of the files.

    Raises:
        Rejected: the files belong to several series.
    """
    origin = Origin(Channel.FOLDER, "demo")
    # Read as the node receives them: it fills in identifiers that an anonymiser has emptied.
    found = {received_from_file(file, origin).series_instance_uid for file in files}
    if len(found) > 1:
        raise Rejected(
            RejectionReason.MIXED_GEOMETRY,
            f"the folder holds {len(found)} series; give the demo a folder with one CT series",
        )
    return found.pop()


def _wait_for_result(site: DemoSite, series: Uid, console: Console) -> Job:
    """Waits for the result of the series.

    Raises:
        Rejected: no rule of the node matched the series.
        Transient: the timeout passed.
        NodeError: the node refused the series, or parked the job.
    """
    deadline = time.monotonic() + _RESULT_TIMEOUT_SECONDS
    with (
        _store(site) as store,
        console.status("Waiting for the series to be complete ...") as status,
    ):
        while time.monotonic() < deadline:
            jobs = store.jobs_of(series)
            if jobs:
                job = jobs[-1]
                status.update(f"Job {job.job_id[:8]} is {job.state} ...")
                if job.state in _FINAL_STATES:
                    return _require_delivered(job)
            found = store.get_series(series)
            if found is not None and found.state is SeriesState.IGNORED:
                raise Rejected(
                    RejectionReason.NOT_CT,
                    "no rule matched the series: it is not CT, or it is a localizer",
                )
            time.sleep(_POLL_SECONDS)
    raise Transient(f"no result after {_RESULT_TIMEOUT_SECONDS / 60:.0f} minutes")


def _require_delivered(job: Job) -> Job:
    """Returns the job.

    Raises:
        NodeError: its result was not delivered.
    """
    if job.state is not JobState.DELIVERED:
        raise NodeError(f"the job was {job.state}: {job.reason}")
    return job


def _print_result(job: Job, site: DemoSite, orthanc: OrthancPacs | None, console: Console) -> None:
    """Prints where the result is, once a query has found it there."""
    instance = job.result_uids.sop_instance_uid()
    with requests.Session() as session:
        session.trust_env = False  # a proxy does not lead to this machine
        if orthanc is None:
            _log_in(session, site)
        base = site.dicomweb_url if orthanc is None else orthanc.dicomweb_url
        url = _find_in_archive(session, base, job, instance)
    rows = {
        "Result": outcome(job),
        "SEG in the PACS": url,
        "SEG on disk": str(job.result_path),
        "Overlay picture": str(job.picture_path),
        "Time": ", ".join(f"{stage} {took:.1f} s" for stage, took in job.timings_s.items()),
        "Console": site.console_url,
        "Configuration": str(site.config_file),
    }
    if orthanc is not None:
        rows["Orthanc"] = f"{orthanc.url}/"
    for name, text in rows.items():
        _print_row(console, name, text)


def _log_in(session: requests.Session, site: DemoSite) -> None:
    """Logs in the user of the demonstration."""
    link, _, code = _login_link(site).partition("?code=")
    session.post(link, {"code": code}, timeout=30, allow_redirects=False).raise_for_status()


def _find_in_archive(session: requests.Session, base: str, job: Job, instance: Uid) -> str:
    """Returns the WADO-RS address of the result after finding it in the study by QIDO-RS.

    Raises:
        Transient: the archive does not list it.
    """
    study = f"{base}/studies/{job.study_instance_uid}"
    try:
        response = session.get(
            f"{study}/instances",
            params={"SOPInstanceUID": instance},
            headers={"Accept": "application/dicom+json"},
            timeout=30,
        )
    except requests.RequestException as error:
        raise Transient(f"the result was delivered, but {study} does not answer") from error
    if not response.ok or not response.content or not response.json():
        raise Transient(f"the result was delivered, but {study} does not list it")
    series = job.result_uids.series_instance_uid
    return f"{study}/series/{series}/instances/{instance}"
