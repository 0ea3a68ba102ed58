"""`segnode jobs`: what came in and what became of it."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import ConfigOption
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.job_summary import outcome
from node.domain.series import SeriesState, StoredSeries
from node.settings import load_settings
from node.store import IllegalChange, Store
from node.store.files.factory import open_files

app = typer.Typer(no_args_is_help=True, help="What came in, and what became of it.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
JobArgument = Annotated[str, typer.Argument(help="The job's name, or its first characters.")]


@contextmanager
def open_store(config: ConfigOption) -> Iterator[Store]:
    """The site's store, for one command."""
    settings = load_settings(config)
    store = Store.open(settings.database_url, settings.data_dir, open_files(settings))
    try:
        yield store
    finally:
        store.close()


@app.command("list")
def list_jobs(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many series at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Every series with its latest jobs, newest first.

    Example: segnode jobs list --limit 10
    """
    with open_store(config) as store:
        rows = [(s, store.jobs_of(s.series_instance_uid)) for s in store.list_series(limit=limit)]
    if as_json:
        typer.echo(
            json.dumps(
                [asdict(series) | {"jobs": [asdict(j) for j in jobs]} for series, jobs in rows],
                default=str,
                indent=2,
            )
        )
        return
    if not rows:
        typer.echo("Nothing has come in yet.")
        return
    for series, jobs in rows:
        typer.echo("\n".join(_told(series, jobs)))


def _told(series: StoredSeries, jobs: Sequence[Job]) -> list[str]:
    """A series and its jobs, a line each; short enough for any terminal."""
    lines = [
        f"{series.last_received_at:%Y-%m-%d %H:%M:%S} UTC  {_images(series)} from {series.origin}",
        f"  series {series.series_instance_uid}: {STATE_WORDS[series.state]}",
    ]
    for job in jobs:
        told = outcome(job)
        lines.append(f"  job {job.job_id[:8]} {job.state}" + (f": {told}" if told else ""))
    return lines


def _images(series: StoredSeries) -> str:
    # A series has at least one, until its time to be kept is over.
    return f"{series.instance_count} images" if series.instance_count else "images (deleted)"


STATE_WORDS = {
    SeriesState.RECEIVING: "images are still arriving, or its quiet time runs",
    SeriesState.IGNORED: "ignored, no rule wanted it",
    SeriesState.ACCEPTED: "wanted by a rule",
}


@app.command()
def show(job: JobArgument, config: ConfigOption = None) -> None:
    """Everything known about one job, as JSON, with its deliveries.

    Example: segnode jobs show 3f1c9a02
    """
    with open_store(config) as store:
        found = _find(store, job)
        deliveries = [asdict(d) for d in store.deliveries_of(found.job_id)]
    typer.echo(json.dumps(asdict(found) | {"deliveries": deliveries}, default=str, indent=2))


@app.command()
def start(
    series: Annotated[str, typer.Argument(help="SeriesInstanceUID.")], config: ConfigOption = None
) -> None:
    """Take a series as complete now, without waiting for its quiet time.

    Example: segnode jobs start 1.2.840.113619.2.55.3
    """
    with open_store(config) as store:
        if not store.request_start(Uid(series), datetime.now(UTC)):
            raise Rejected(
                RejectionReason.INVALID_INSTANCE, f"no series {series} has been received"
            )
    typer.echo(f"{series} will be processed as it is now.")


@app.command()
def retry(job: JobArgument, config: ConfigOption = None) -> None:
    """Try a parked job again.

    Example: segnode jobs retry 3f1c9a02
    """
    with open_store(config) as store:
        found = _parked(store, job, "retried")
        store.retry_job(found.job_id, datetime.now(UTC))
    typer.echo(f"Job {found.job_id[:8]} is queued again.")


@app.command()
def rerun(job: JobArgument, config: ConfigOption = None) -> None:
    """Do an ended job again from the images, and deliver the same SEG instance anew.

    Where a newer version of the model is installed, that one runs.

    Example: segnode jobs rerun 3f1c9a02
    """
    with open_store(config) as store:
        found = _find(store, job)
        try:
            store.rerun_job(found.job_id, datetime.now(UTC))
        except IllegalChange as error:
            told = f"{error}; only a job that has ended, with its images here, can be done again"
            raise Rejected(RejectionReason.INVALID_INSTANCE, told) from error
        except OSError as error:
            told = f"the earlier result cannot be deleted: {error.strerror}"
            raise Transient(told) from error
    typer.echo(f"Job {found.job_id[:8]} is queued from its beginning.")


@app.command()
def discard(job: JobArgument, config: ConfigOption = None) -> None:
    """Give up on a parked job; its result, if there is one, is kept and not sent any more.

    Example: segnode jobs discard 3f1c9a02
    """
    with open_store(config) as store:
        found = _parked(store, job, "discarded")
        store.change_job(found.job_id, JobState.DISCARDED, datetime.now(UTC))
    typer.echo(f"Job {found.job_id[:8]} is discarded.")


@app.command()
def export(
    job: JobArgument,
    output: Annotated[Path, typer.Argument(help="The DICOM SEG to write.")],
    config: ConfigOption = None,
) -> None:
    """Write the result of a job to a file, whatever became of its delivery.

    Example: segnode jobs export 3f1c9a02 liver.dcm
    """
    with open_store(config) as store:
        found = _find(store, job)
        if found.result_path is None or not store.files.exists(found.result_path):
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"job {found.job_id[:8]} is {found.state} and has no result",
            )
        try:
            with store.files.local_copies([found.result_path]) as (file,):
                shutil.copyfile(file, output)
        except OSError as error:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE, f"{output} cannot be written: {error.strerror}"
            ) from error
    typer.echo(f"{output}: the result of job {found.job_id[:8]}.")


def _parked(store: Store, beginning: str, done: str) -> Job:
    """The parked job whose name begins so.

    Raises:
        Rejected: there is no such job, or it is not parked.
    """
    found = _find(store, beginning)
    if found.state is not JobState.PARKED:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"job {found.job_id[:8]} is {found.state}; only a parked job can be {done}",
        )
    return found


def _find(store: Store, beginning: str) -> Job:
    """The job whose name begins so.

    Raises:
        Rejected: there is no such job, or more than one.
    """
    found = [j for j in store.list_jobs(limit=10_000) if j.job_id.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    problem = "several jobs begin" if found else "no job begins"
    raise Rejected(
        RejectionReason.INVALID_INSTANCE,
        f"{problem} with {beginning!r}; see `segnode jobs list`",
    )
