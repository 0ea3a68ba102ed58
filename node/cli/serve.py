"""`segnode serve`, `check` and `explain`: running the node and understanding its configuration."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.jobs import STATE_WORDS, open_store
from node.cli.options import ConfigOption
from node.dicom.ct.files import find_dicom_files, group_by_series
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.job import Priority
from node.domain.job_summary import outcome
from node.settings import Settings, load_settings


def serve(
    config: ConfigOption = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="Run only this part: listener, worker or web (repeatable)."),
    ] = None,
) -> None:
    """Run the node: DICOM listener, worker and web console, until Ctrl-C.

    Example: segnode serve --config /etc/segnode/segnode.toml
    """
    from node.processes.supervisor import Role, serve_until_stopped

    try:
        roles = tuple(Role(r) for r in role) if role else tuple(Role)
    except ValueError as error:
        known = ", ".join(Role)
        raise typer.BadParameter(f"{error}; a role is one of {known}") from error
    raise typer.Exit(serve_until_stopped(config, roles))


def check(config: ConfigOption = None) -> None:
    """Validate a configuration; every mistake is told with its file and line.

    Example: segnode check --config /etc/segnode/segnode.toml
    """
    settings = load_settings(config)
    typer.echo(_summary(settings))


def _summary(settings: Settings) -> str:
    peers = (
        "only from " + ", ".join(p.ae_title for p in settings.peers.values())
        if settings.peers
        else "from any AE title (no peers are listed)"
    )
    lines = [
        f"{settings.file or 'The embedded defaults'}: no mistakes.",
        f"Listens as {settings.listener.ae_title} on {settings.listener.host}:"
        f"{settings.listener.port}, {peers}.",
    ]
    lines += [
        f"Rule {rule.name!r}{' (STAT)' if rule.priority is Priority.STAT else ''}: "
        f"{rule.model} -> {', '.join(rule.destinations)}"
        for rule in settings.rules
    ] or ["There are no rules: every series will be ignored."]
    return "\n".join(lines)


def explain(
    series: Annotated[
        str, typer.Argument(help="SeriesInstanceUID of a received series, or a DICOM folder.")
    ],
    config: ConfigOption = None,
) -> None:
    """Say which rules wanted a series, and which condition failed on what value.

    Example: segnode explain 1.2.840.113619.2.55.3
    """
    if Path(series).exists():
        typer.echo(_explain_folder(Path(series), load_settings(config)))
        return
    with open_store(config) as store:
        uid = Uid(series)
        stored = store.get_series(uid)
        if stored is None:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE, f"no series {series} has been received"
            )
        decision = store.decision_of(uid)
        jobs = store.jobs_of(uid)
    typer.echo(
        f"Series {uid}: {stored.instance_count} images from {stored.origin}, "
        f"{STATE_WORDS[stored.state]}."
    )
    if decision is None:
        typer.echo("Not decided yet: images may still be arriving.")
        return
    from node.routing.decision import Decision
    from node.routing.decision import explain as explain_decision

    typer.echo(explain_decision(Decision.from_json(decision)))
    for job in jobs:
        typer.echo(f"Job {job.job_id[:8]} ({job.model_id} {job.model_version}): {job.state}")
        if text := outcome(job):
            typer.echo(f"  {text}")


def _explain_folder(folder: Path, settings: Settings) -> str:
    """What the rules would decide on the DICOM files in `folder`, had they been received."""
    from pydicom import dcmread

    from node.routing.decision import decide
    from node.routing.decision import explain as explain_decision
    from node.routing.series_facts import facts_from_dataset

    told = []
    for uid, files in group_by_series(find_dicom_files([folder])).items():
        header = dcmread(files[0], stop_before_pixels=True)
        facts = facts_from_dataset(header, len(files), "")
        told.append(
            f"Series {uid or 'without a UID'}, {len(files)} images:\n"
            f"{explain_decision(decide(settings.rules, facts))}"
        )
    return "\n\n".join(told)
