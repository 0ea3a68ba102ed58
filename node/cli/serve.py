"""`segnode serve`, `check` and `explain`: runs the node, checks and explains its configuration."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import ConfigOption
from node.domain.audit.records import AuditObjectType
from node.domain.errors import Misconfigured, Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.job import Priority

if TYPE_CHECKING:
    from node.routing.rule_matching import Decision
    from node.settings import Settings
    from node.settings.worklists import WorklistOptions


def serve(
    config: ConfigOption = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="Run only this process: listener, worker or web (repeatable)."),
    ] = None,
) -> None:
    """Run the node: DICOM listener, worker and web console, until Ctrl-C.

    Example: segnode serve --config /etc/segnode/segnode.toml
    """
    from node.runtime.lean_imports import import_structlog, without_garbage_collection

    with without_garbage_collection():
        import_structlog()
        from node.processes.role_process import Role
        from node.processes.supervisor import serve_until_stopped

    try:
        roles = tuple(Role(r) for r in role) if role else tuple(Role)
    except ValueError as error:
        known = ", ".join(Role)
        raise typer.BadParameter(f"there is no such role; the roles are {known}") from error
    raise typer.Exit(serve_until_stopped(config, roles))


def check(config: ConfigOption = None) -> None:
    """Validate a configuration; reports every mistake with its file and line.

    It also reports certificates and keys that cannot be used, and a device that is missing.

    Example: segnode check --config /etc/segnode/segnode.toml
    """
    from node.cli.configuration.host_mistakes import certificate_mistakes, device_mistakes
    from node.settings.load import load_valid_settings
    from node.settings.location import is_in_database

    invalid: tuple[Misconfigured, ...] = ()
    if is_in_database(config):
        from node.configuration.active import active_settings

        settings = active_settings(config)
    else:
        settings, invalid = load_valid_settings(config)
    mistakes = [*invalid, *certificate_mistakes(settings), *device_mistakes(settings)]
    if mistakes:
        raise Misconfigured.combined(mistakes)
    typer.echo(_summary(settings))


def _summary(settings: "Settings") -> str:
    from node.health.untrusted_proxies import untrusted_proxy_problems
    from node.settings.credentials.hidden import shown_url
    from node.settings.messages.remarks import remarks

    lines = [
        f"{settings.file or 'The built-in defaults'}: no mistakes.",
        f"Listens as {settings.listener.ae_title} on {_ports(settings)}, {_senders(settings)}.",
    ]
    if settings.web.viewer_url:
        lines.append(f"Series pages link to the viewer {shown_url(settings.web.viewer_url)}.")
    lines += [
        f"Query {name!r}: {query.modality} from {query.source} every {query.every_minutes:g} min."
        for name, query in settings.queries.items()
    ]
    lines += [
        f"Worklist {name!r}: {_tasks(worklist)} from {worklist.url} every "
        f"{worklist.poll_seconds:g} s."
        for name, worklist in settings.worklists.items()
    ]
    lines += [
        f"Rule {rule.name!r}{' (STAT)' if rule.priority is Priority.STAT else ''}: "
        f"{rule.model} -> {', '.join(rule.destinations)}"
        f"{f', candidate {rule.shadow}' if rule.shadow else ''}"
        f"{', only for work items' if rule.only_for_work_items else ''}"
        f"{'' if rule.enabled else ', disabled'}"
        for rule in settings.rules
    ] or ["There are no rules: every series will be ignored."]
    lines += remarks(settings)
    now = datetime.now(UTC)
    lines += [f"{each.text} {each.remedy}" for each in untrusted_proxy_problems(settings, now)]
    return "\n".join(lines)


def _ports(settings: "Settings") -> str:
    listener = settings.listener
    plain = f"{listener.host}:{listener.port}"
    if listener.tls_port is None:
        return plain
    secured = f"{listener.host}:{listener.tls_port} with TLS"
    return f"{plain} and {secured}" if listener.plain else secured


def _senders(settings: "Settings") -> str:
    accept_from = settings.listener.accept_from
    if accept_from == "any":
        return "from any AE title"
    if settings.peers:
        return "only from " + ", ".join(peer.ae_title for peer in settings.peers.values())
    if accept_from == "peers":
        return "from nobody (no peers are listed)"
    return "from any AE title (no peers are listed)"


def _tasks(worklist: "WorklistOptions") -> str:
    tasks = ", ".join(f"{task.code} -> rule {task.rule!r}" for task in worklist.tasks)
    return f"{tasks}, station {worklist.station}," if worklist.station else f"{tasks},"


def explain(
    series: Annotated[
        str, typer.Argument(help="SeriesInstanceUID of a received series, or a DICOM folder.")
    ],
    config: ConfigOption = None,
) -> None:
    """Explain which rules matched a series, and which conditions failed on which values.

    Example: segnode explain 1.2.840.113619.2.55.3
    """
    if Path(series).exists():
        from node.configuration.active import active_settings

        typer.echo(_explain_folder(Path(series), active_settings(config)))
        return
    from node.cli.audit.operator_records import record_read
    from node.cli.jobs import SERIES_STATE_TEXT, open_store
    from node.cli.queues.job_list import delivery_lines
    from node.domain.job_summary import outcome

    with open_store(config) as store:
        uid = Uid(series)
        stored = store.get_series(uid)
        if stored is None:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE, f"no series {series} has been received"
            )
        record_read(store, AuditObjectType.SERIES, uid)
        decision = store.decision_of(uid)
        jobs = [(job, store.deliveries_of(job.job_id)) for job in store.jobs_of(uid)]
        pauses = store.pauses()
        incomplete = store.incomplete_series([uid]).get(uid)
    typer.echo(
        f"Series {uid}: {stored.instance_count} images from {stored.origin}, "
        f"{SERIES_STATE_TEXT[stored.state]}."
    )
    if incomplete is not None:
        typer.echo(incomplete.explanation)
    if decision is None:
        if incomplete is None:
            typer.echo("Not decided yet: images may still be arriving.")
        return
    from node.routing.rule_matching import Decision
    from node.routing.rule_matching import explain as explain_decision

    typer.echo(explain_decision(Decision.from_json(decision)))
    for job, deliveries in jobs:
        part = "" if job.part is None else f", {job.part.title}"
        about = f"{job.model_id} {job.model_version}{part}"
        typer.echo(f"Job {job.job_id[:8]} ({about}): {job.visible_state}")
        if text := outcome(job):
            typer.echo(f"  {text}")
        for finding in job.findings:
            typer.echo(f"  {finding.text}")
        for line in delivery_lines(job, deliveries, pauses):
            typer.echo(line)


def _explain_folder(folder: Path, settings: "Settings") -> str:
    """Explains the decision that the rules would make on the DICOM files in `folder`."""
    from node.dicom.ct.files import find_dicom_files, group_by_series
    from node.routing.rule_matching import explain as explain_decision

    return "\n\n".join(
        f"Series {uid or 'without a UID'}, {len(files)} images:\n"
        f"{explain_decision(_decision_on(files, settings))}"
        for uid, files in group_by_series(find_dicom_files([folder])).items()
    )


def _decision_on(files: list[Path], settings: "Settings") -> "Decision":
    from pydicom import dcmread

    from node.dicom.ct.non_slices import representative_header
    from node.dicom.ct.reader import parts_of_series
    from node.routing.fact_extraction import facts_from_dataset
    from node.routing.rule_matching import decide
    from node.routing.rules import models_to_split

    headers = (dcmread(file, stop_before_pixels=True) for file in files)
    facts = facts_from_dataset(representative_header(headers), len(files), "")
    decision = decide(settings.rules, facts)
    if not models_to_split([rule for rule in settings.rules if rule.name in decision.rules]):
        return decision
    return replace(decision, parts=tuple(part.title for part in parts_of_series(files)))
