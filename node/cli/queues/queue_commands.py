"""`segnode queue`: what waits for each destination and for the models; pause and resume."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from node.cli.audit.operator_records import record_work
from node.cli.jobs import JsonOption
from node.cli.options import ConfigOption
from node.cli.queues.deliveries import control_of
from node.domain.audit.records import AuditObject, AuditObjectType
from node.domain.job import JobState
from node.domain.queues.pause import INFERENCE, DestinationQueue, Pause, Queue

app = typer.Typer(no_args_is_help=True, help="Queues of the destinations and of the inference.")

DestinationOption = Annotated[str, typer.Option(help="The queue of this destination.")]
InferenceOption = Annotated[
    bool, typer.Option("--inference", help="The queue of jobs that wait for a model.")
]


@app.command("list")
def list_queues(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List what waits for each destination and for the models, and what is paused.

    Example: segnode queue list
    """
    with control_of(config) as control:
        destinations = control.destination_queues()
        pause = control.store.pauses().get(INFERENCE)
        counts = control.store.count_jobs()
    queued, running = counts[JobState.QUEUED], counts[JobState.RUNNING]
    if as_json:
        inference = {"queued": queued, "running": running, "pause": pause and asdict(pause)}
        listed = {"destinations": [asdict(each) for each in destinations], "inference": inference}
        typer.echo(json.dumps(listed, default=str, indent=2))
        return
    for queue in destinations:
        typer.echo("\n".join(_destination_lines(queue)))
    typer.echo(f"inference: {queued} waiting, {running} running{_pause_text(pause)}")


@app.command()
def pause(
    config: ConfigOption = None,
    destination: DestinationOption = "",
    inference: InferenceOption = False,
    reason: Annotated[str, typer.Option(help="Why; the history keeps it.")] = "",
) -> None:
    """Pause a queue: what runs finishes, nothing else starts, and nothing is given up.

    Example: segnode queue pause --destination pacs --reason "the PACS is upgraded"
    """
    queue = _queue(destination, is_inference=inference)
    with control_of(config) as control:
        is_new = control.pause(queue, reason)
        if is_new:
            record_work(control.store, _objects(queue), f"segnode queue pause: {queue.title}")
    typer.echo(f"{_title(queue)} is {'paused' if is_new else 'paused already'}.")


@app.command()
def resume(
    config: ConfigOption = None,
    destination: DestinationOption = "",
    inference: InferenceOption = False,
) -> None:
    """Resume a queue; what waits for a destination is due at once.

    Example: segnode queue resume --destination pacs
    """
    queue = _queue(destination, is_inference=inference)
    with control_of(config) as control:
        was_paused = control.resume(queue)
        if was_paused:
            record_work(control.store, _objects(queue), f"segnode queue resume: {queue.title}")
    typer.echo(f"{_title(queue)} is {'resumed' if was_paused else 'not paused'}.")


def _queue(destination: str, *, is_inference: bool) -> Queue:
    if bool(destination) == is_inference:
        raise typer.BadParameter("use either --destination or --inference")
    return INFERENCE if is_inference else Queue.of_destination(destination)


def _objects(queue: Queue) -> list[AuditObject]:
    """The destination in the audit trail; the inference is none."""
    name = queue.destination
    return [AuditObject(AuditObjectType.DESTINATION, name)] if name else []


def _title(queue: Queue) -> str:
    return queue.title[0].upper() + queue.title[1:]


def _destination_lines(queue: DestinationQueue) -> list[str]:
    line = f"{queue.destination}: {queue.waiting} waiting, {queue.parked} given up"
    if queue.oldest_since is not None:
        line += f", the oldest since {queue.oldest_since:%Y-%m-%d %H:%M:%S} UTC"
    if queue.next_attempt_at is not None and queue.pause is None:
        line += f", next attempt {queue.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC"
    if queue.committing:
        line += f", {queue.committing} sent and not confirmed yet"
    lines = [line + _pause_text(queue.pause)]
    return [*lines, f"  {queue.error}"] if queue.error else lines


def _pause_text(pause: Pause | None) -> str:
    if pause is None:
        return ""
    reason = f": {pause.reason}" if pause.reason else ""
    return f"; paused since {pause.paused_at:%Y-%m-%d %H:%M:%S} UTC by {pause.author}{reason}"
