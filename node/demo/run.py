"""The demonstration: phantom or own CT in by C-STORE, wait, and say what came out and where."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import Progress

from node.demo.configuration import DemoSite, new_site, orthanc_for, write_config
from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct.files import find_dicom_files
from node.dimse import scu
from node.domain.errors import NodeError, Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle, Uid
from node.domain.instance import Channel, Origin
from node.domain.job import Job, JobState, result_identity
from node.domain.job_summary import outcome
from node.domain.series import SeriesState
from node.intake.part10 import received_from_file
from node.log import configure_logging
from node.processes.supervisor import Supervisor
from node.runtime.signals import StopSignal
from node.settings import load_settings
from node.store import Store

_SENDER = AeTitle("DEMOSENDER")
_POLL_SECONDS = 0.25
# A CPU of two cores takes a minute or two for a large series; an hour means that it hangs.
_LONGEST_WAIT_SECONDS = 3600.0
_START_SECONDS = 120.0
# The shipped model was trained on the phantoms of seeds 0 to 47; this body is new to it.
_UNSEEN_SEED = 101
_SETTLED = {JobState.DELIVERED, JobState.REFUSED, JobState.PARKED, JobState.DISCARDED}


def run_demo(*, ct: Path | None, with_orthanc: bool, stay: bool, folder: Path | None) -> None:
    """Run the demonstration; with `stay` it serves on until Ctrl-C.

    Raises:
        Rejected: the CT was refused by the node, with its reason.
        Transient: the node or the PACS did not come up, or the result did not arrive.
    """
    console = Console()
    where = Path(tempfile.mkdtemp(prefix="segnode-demo-")) if folder is None else folder.resolve()
    site = new_site(where)
    files = _phantom_series(site, console) if ct is None else find_dicom_files([ct])
    with ExitStack() as running:
        orthanc = running.enter_context(orthanc_for(site)) if with_orthanc else None
        write_config(site, orthanc)
        configure_logging(load_settings(site.config_file).log_level)
        with console.status("Starting the node ..."):
            running.enter_context(_node(site))
        if orthanc is not None:
            # In a hospital the modality stores into the PACS, which routes to the node.
            pacs = scu.Remote(AeTitle(orthanc.ae_title), "127.0.0.1", orthanc.dicom_port)
            _send(files, pacs, console)
        node = scu.Remote(AeTitle("SEGNODE"), "127.0.0.1", site.dicom_port)
        _send(files, node, console)
        job = _wait_for_result(site, _series_uid(files), console)
        _show(job, site, orthanc, console)
        if stay:
            console.print(f"The node goes on serving; its console is at {site.console_url}")
            console.print("Ctrl-C ends it.")
            StopSignal().wait()


def _phantom_series(site: DemoSite, console: Console) -> list[Path]:
    """Paint the phantom and write it as a DICOM CT series."""
    from models.phantom import abdomen
    from node.dicom.ct_writer import write_ct_series

    with console.status("Painting a phantom abdomen ..."):
        phantom = abdomen(seed=_UNSEEN_SEED)
        return write_ct_series(phantom.volume, site.folder / "ct", seed=_UNSEEN_SEED)


@contextmanager
def _node(site: DemoSite) -> Iterator[None]:
    """The node's three processes, ready to receive; stopped at the end."""
    supervisor = Supervisor(site.config_file)
    supervisor.start()
    try:
        supervisor.wait_ready(_START_SECONDS)
        yield
    finally:
        supervisor.stop()


def _send(files: list[Path], remote: scu.Remote, console: Console) -> None:
    """C-STORE the series, with a progress bar; every file has to be accepted."""
    with Progress(console=console) as bar:
        task = bar.add_task(f"C-STORE to {remote}", total=len(files))
        summary = scu.send(
            files, remote, _SENDER, progress=lambda sent: bar.update(task, completed=sent)
        )
    if summary.failures:
        raise Transient(f"{len(summary.failures)} files were not accepted: {summary.failures[0]}")


def _series_uid(files: list[Path]) -> Uid:
    """The one series that the files belong to.

    Raises:
        Rejected: there are several.
    """
    origin = Origin(Channel.FOLDER, "demo")
    # As the node's door reads them, which fills in what an anonymiser has emptied.
    found = {received_from_file(file, origin).series_instance_uid for file in files}
    if len(found) > 1:
        raise Rejected(
            RejectionReason.MIXED_GEOMETRY,
            f"the folder holds {len(found)} series; give the demo a folder with one CT series",
        )
    return found.pop()


def _wait_for_result(site: DemoSite, series: Uid, console: Console) -> Job:
    """Wait until the series' job has settled.

    Raises:
        Rejected: no rule of the node wanted the series.
        Transient: it took too long.
        NodeError: the node refused the series, or parked the job.
    """
    settings = load_settings(site.config_file)
    store = Store.open(settings.database_url, settings.data_dir)
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    try:
        with console.status("Waiting for the series to be complete ...") as status:
            while time.monotonic() < deadline:
                jobs = store.jobs_of(series)
                if jobs:
                    job = jobs[-1]
                    status.update(f"Job {job.job_id[:8]} is {job.state} ...")
                    if job.state in _SETTLED:
                        return _delivered(job)
                found = store.get_series(series)
                if found is not None and found.state is SeriesState.IGNORED:
                    raise Rejected(
                        RejectionReason.NOT_CT,
                        "no rule wanted the series: it is no CT image, or a localizer",
                    )
                time.sleep(_POLL_SECONDS)
    finally:
        store.close()
    raise Transient(f"no result after {_LONGEST_WAIT_SECONDS / 60:.0f} minutes")


def _delivered(job: Job) -> Job:
    """The job, when it came to a result.

    Raises:
        NodeError: it did not.
    """
    if job.state is not JobState.DELIVERED:
        raise NodeError(f"the job was {job.state}: {job.reason}")
    return job


def _show(job: Job, site: DemoSite, orthanc: OrthancPacs | None, console: Console) -> None:
    """Print where the result is, after having looked it up there."""
    base = site.dicomweb_url if orthanc is None else orthanc.dicomweb_url
    instance = result_identity(job.job_id).sop_instance_uid
    url = _found_in_archive(base, job, instance)
    told = {
        "Result": outcome(job),
        "SEG in the PACS": url,
        "SEG on disk": str(job.result_path),
        "Overlay picture": str(job.picture_path),
        "Time": ", ".join(f"{stage} {took:.1f} s" for stage, took in job.timings_s.items()),
        "Console": site.console_url,
        "Configuration": str(site.config_file),
    }
    if orthanc is not None:
        told["Orthanc"] = f"{orthanc.url}/"
    for name, text in told.items():
        # Never folded: an address or a path has to be copied whole.
        console.print(f"{name:<16} {text}", soft_wrap=True, highlight=False, markup=False)


def _found_in_archive(base: str, job: Job, instance: Uid) -> str:
    """The WADO-RS address of the result, once QIDO-RS finds it under the source's study.

    Raises:
        Transient: it is not there.
    """
    study = f"{base}/studies/{job.study_instance_uid}"
    with requests.Session() as session:
        session.trust_env = False  # a site's proxy does not lead to this machine
        try:
            answer = session.get(
                f"{study}/instances",
                params={"SOPInstanceUID": instance},
                headers={"Accept": "application/dicom+json"},
                timeout=30,
            )
        except requests.RequestException as error:
            raise Transient(f"the result was delivered, yet {study} does not answer") from error
    if not answer.ok or not answer.content or not answer.json():
        raise Transient(f"the result was delivered, yet {study} does not list it")
    series = result_identity(job.job_id).series_instance_uid
    return f"{study}/series/{series}/instances/{instance}"
