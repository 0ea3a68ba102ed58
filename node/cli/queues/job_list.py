"""`segnode jobs list`: series with their jobs, and the deliveries that wait or were given up."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from node.cli.audit.operator_records import record_search
from node.cli.jobs import SERIES_STATE_TEXT, JsonOption, job_json, open_store
from node.cli.options import TIME_HELP, TIME_METAVAR, ConfigOption, time_option
from node.domain.delivery import CHANGEABLE, Delivery, DeliveryState
from node.domain.job import Job, JobState
from node.domain.job_summary import outcome
from node.domain.queues.pause import Queue
from node.domain.queues.selection import why_unchangeable
from node.domain.series import SeriesState, StoredSeries


class ListState(StrEnum):
    """States of a series before its decision, or of a job."""

    RECEIVING = "receiving"
    IGNORED = "ignored"
    DELETED = "deleted"  # by a person, before a rule matched
    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    HELD = "held"  # parked because of its findings
    PARKED = "parked"
    DISCARDED = "discarded"


def list_jobs(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of series.")] = 50,
    state: Annotated[
        ListState | None, typer.Option(help="Only jobs or series in this state.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=time_option,
            metavar=TIME_METAVAR,
            help=f"Only series with images since then: {TIME_HELP}.",
        ),
    ] = None,
    destination: Annotated[
        str,
        typer.Option(help="Only jobs whose delivery to this destination waits or was given up."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List series with their jobs and what was not delivered, newest first.

    Example: segnode jobs list --destination pacs --since 3d
    """
    from node.store.queues.job_search import JobCriteria

    criteria = JobCriteria(
        _searched_state(state), destination, since, only_held=state is ListState.HELD
    )
    with open_store(config) as store:
        record_search(store)
        found = store.find_series(criteria, limit)
        pauses = store.pauses()
    if as_json:
        listed = [
            asdict(one.series) | {"jobs": [_job_json(job, sent) for job, sent in one.jobs]}
            for one in found
        ]
        typer.echo(json.dumps(listed, default=str, indent=2))
    elif not found:
        is_narrowed = any((state, since, destination))
        typer.echo("No series matches." if is_narrowed else "Nothing has been received yet.")
    else:
        for one in found:
            typer.echo("\n".join(_format_series(one.series, one.jobs, pauses)))


def _searched_state(state: ListState | None) -> JobState | SeriesState | None:
    match state:
        case None:
            return None
        case ListState.HELD:
            return JobState.PARKED
        case ListState.RECEIVING | ListState.IGNORED:
            return SeriesState(state.value)
        case _:
            return JobState(state.value)


def _job_json(job: Job, deliveries: Sequence[Delivery]) -> dict[str, object]:
    sent = [
        {"destination": d.destination, "object": d.result_object.name} | asdict(d)
        for d in deliveries
    ]
    return job_json(job) | {"deliveries": sent}


def _format_series(
    series: StoredSeries,
    jobs: Sequence[tuple[Job, Sequence[Delivery]]],
    pauses: Collection[Queue],
) -> list[str]:
    """Returns lines short enough for any terminal: two for the series, some for each job."""
    lines = [
        f"{series.last_received_at:%Y-%m-%d %H:%M:%S} UTC  {_images(series)} from {series.origin}",
        f"  series {series.series_instance_uid}: {SERIES_STATE_TEXT[series.state]}",
    ]
    for job, deliveries in jobs:
        text = outcome(job)
        part = "" if job.part is None else f", {job.part.title}"
        lines.append(
            f"  job {job.job_id[:8]}{part} {job.visible_state}" + (f": {text}" if text else "")
        )
        lines += delivery_lines(job, deliveries, pauses)
    return lines


def delivery_lines(
    job: Job, deliveries: Sequence[Delivery], pauses: Collection[Queue]
) -> Iterator[str]:
    """Yields a line for each delivery of the job that waits or was given up."""
    for delivery in deliveries:
        if delivery.state not in CHANGEABLE or why_unchangeable(job, delivery):
            continue
        is_waiting = delivery.state is DeliveryState.WAITING
        line = f"    {delivery.key} {'waiting' if is_waiting else 'given up'}"
        if delivery.last_error:
            plural = "" if delivery.attempts == 1 else "s"
            line += f" after {delivery.attempts} attempt{plural}: {delivery.last_error}"
        if is_waiting and Queue.of_destination(delivery.destination) in pauses:
            line += "; the destination is paused"
        elif is_waiting and delivery.next_try_at is not None:
            line += f"; next attempt {delivery.next_try_at:%Y-%m-%d %H:%M:%S} UTC"
        yield line


def _images(series: StoredSeries) -> str:
    # The count is 0 only after retention has deleted the images.
    return f"{series.instance_count} images" if series.instance_count else "images (deleted)"
