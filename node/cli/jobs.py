"""`segnode jobs`: shows jobs, and acts on single ones."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.operator_records import record_export, record_job_work, record_read, record_work
from node.cli.options import ConfigOption
from node.domain.audit.records import AuditObject, AuditObjectType
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.series import SeriesState

if TYPE_CHECKING:
    from node.store import Store

app = typer.Typer(no_args_is_help=True, help="Received series, their jobs and results.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
JobArgument = Annotated[str, typer.Argument(help="The job's id, or its first characters.")]


@contextmanager
def open_store(config: ConfigOption) -> "Iterator[Store]":
    """Opens the site's store and closes it at the end of the command."""
    from node.settings import load_location_only
    from node.store.opening import opened_store

    settings = load_location_only(config)
    store = opened_store(settings)
    try:
        yield store
    finally:
        store.close()


SERIES_STATE_TEXT = {
    SeriesState.RECEIVING: (
        "images are still arriving or are missing, or the quiet time has not passed"
    ),
    SeriesState.IGNORED: "ignored, no rule matched",
    SeriesState.ACCEPTED: "accepted by a rule",
    SeriesState.DELETED: "deleted by a person before a rule matched",
}


def job_json(job: Job) -> dict[str, object]:
    """Returns a job for JSON, in the state that people see."""
    return asdict(job) | {"state": job.visible_state}


@app.command()
def show(job: JobArgument, config: ConfigOption = None) -> None:
    """Show one job, its objects and its deliveries as JSON.

    Example: segnode jobs show 3f1c9a02
    """
    with open_store(config) as store:
        found = find_job(store, job)
        record_read(store, AuditObjectType.JOB, found.job_id)
        deliveries = [
            {"destination": d.destination, "object": d.result_object.name} | asdict(d)
            for d in store.deliveries_of(found.job_id)
        ]
        objects = {o.result_object.name: _files(o.paths) for o in store.objects_of(found)}
    shown = job_json(found) | {"deliveries": deliveries, "objects": objects}
    typer.echo(json.dumps(shown, default=str, indent=2))


def _files(paths: Sequence[Path]) -> dict[str, object]:
    """Returns the file of an object, or the number of its images and their folder."""
    if len(paths) == 1:
        return {"images": 1, "file": paths[0]}
    return {"images": len(paths), "folder": paths[0].parent}


@app.command()
def start(
    series: Annotated[str, typer.Argument(help="SeriesInstanceUID.")], config: ConfigOption = None
) -> None:
    """Process a series now, without waiting for its quiet time.

    Example: segnode jobs start 1.2.840.113619.2.55.3
    """
    with open_store(config) as store:
        if not store.request_start(Uid(series), datetime.now(UTC)):
            raise Rejected(
                RejectionReason.INVALID_INSTANCE, f"no series {series} has been received"
            )
        record_work(store, [AuditObject(AuditObjectType.SERIES, series)], "segnode jobs start")
    typer.echo(f"{series} will be processed with the images received so far.")


@app.command()
def release(job: JobArgument, config: ConfigOption = None) -> None:
    """Deliver the result of a job that is held because of its findings.

    Example: segnode jobs release 3f1c9a02
    """
    with open_store(config) as store:
        found = find_job(store, job)
        if not found.is_held:
            is_released = found.state is not JobState.DISCARDED and store.was_held(found.job_id)
            message = (
                f"is already released; it is {found.state}"
                if is_released
                else f"is {found.state} and not held for a person"
            )
            raise Rejected(RejectionReason.INVALID_INSTANCE, f"job {found.job_id[:8]} {message}")
        store.retry_job(found.job_id, datetime.now(UTC))
        record_job_work(store, found.job_id, "segnode jobs release")
    typer.echo(f"Job {found.job_id[:8]} is released; its result will be delivered.")


@app.command()
def rerun(job: JobArgument, config: ConfigOption = None) -> None:
    """Run an ended job again from its images, and deliver the same SEG instance again.

    If a newer version of the model is installed, that version runs.

    Example: segnode jobs rerun 3f1c9a02
    """
    from node.store import IllegalChange

    with open_store(config) as store:
        found = find_job(store, job)
        try:
            store.rerun_job(found.job_id, datetime.now(UTC))
        except IllegalChange as error:
            message = f"{error}; only an ended job whose images are still stored can run again"
            raise Rejected(RejectionReason.INVALID_INSTANCE, message) from error
        except OSError as error:
            message = f"the earlier result cannot be deleted: {error.strerror}"
            raise Transient(message) from error
        record_job_work(store, found.job_id, "segnode jobs rerun")
    typer.echo(f"Job {found.job_id[:8]} is queued to run again from its images.")


@app.command()
def export(
    job: JobArgument,
    output: Annotated[
        Path, typer.Argument(help="The file to write; a folder if the object has several.")
    ],
    name: Annotated[
        str, typer.Option("--object", help="An object of the job (see `jobs show`).")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Write the SEG or another object of a job to a file, delivered or not.

    Example: segnode jobs export 3f1c9a02 liver.dcm
    """
    with open_store(config) as store:
        found = find_job(store, job)
        objects = {o.result_object.name: o for o in store.objects_of(found)}
        stored = objects.get(name or found.result_object.name)
        if stored is None:
            has = f"it has {', '.join(objects)}" if objects else "it has no result"
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"job {found.job_id[:8]} is {found.state} and has no {name or 'SEG'}; {has}",
            )
        if missing := [path for path in stored.paths if not store.files.exists(path)]:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"{stored.result_object.name} of job {found.job_id[:8]} is not exported, because "
                f"{missing[0]} is missing: run the job again (segnode jobs rerun)",
            )
        job_object = AuditObject(AuditObjectType.JOB, found.job_id)
        record_export(store, job_object, stored.result_object.name)
        try:
            with store.files.local_copies(stored.paths) as files:
                if len(files) == 1:
                    shutil.copyfile(files[0], output)
                else:
                    output.mkdir(exist_ok=True)
                    for file in files:
                        shutil.copyfile(file, output / file.name)
        except OSError as error:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE, f"{output} cannot be written: {error.strerror}"
            ) from error
    what = "the result" if len(stored.paths) == 1 else f"{len(stored.paths)} images"
    typer.echo(f"{output}: {what} of job {found.job_id[:8]}.")


def find_job(store: "Store", prefix: str) -> Job:
    """Returns the job whose id starts with `prefix`.

    Raises:
        Rejected: there is no such job, or more than one.
    """
    found = [j for j in store.list_jobs(limit=10_000) if j.job_id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    problem = "the ids of several jobs start" if found else "no job id starts"
    raise Rejected(
        RejectionReason.INVALID_INSTANCE,
        f"{problem} with {prefix!r}; see `segnode jobs list`",
    )
