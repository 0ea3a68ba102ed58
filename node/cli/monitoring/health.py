"""`segnode health`: whether the processes of this host work, for containers and orchestrators."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import ConfigOption
from node.domain.errors import Misconfigured, Transient

if TYPE_CHECKING:
    from node.runtime.supervisor_file import ProcessReport, SupervisorReport

# Ten reports; the supervisor itself hangs.
_MAX_REPORT_AGE_SECONDS = 20.0
_KEEPS_EARLIER = (
    "The configuration file has mistakes. The node keeps the earlier configuration until it is "
    "stopped, and then does not start with this file:"
)


def health(
    config: ConfigOption = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="Check only this process: listener, worker or web (repeatable)."),
    ] = None,
) -> None:
    """Say whether the node's processes on this host work; exits with 0 if all do, otherwise with 1.

    It asks neither the database nor the destinations: to restart a node does not repair those.
    The address /health of the console answers for them. For the same reason, mistakes in the
    configuration file are named and change nothing about the status.

    Example: segnode health --role worker
    """
    from node.processes.role_process import Role
    from node.runtime.supervisor_file import supervisor_reports
    from node.settings import host_settings, load_location_only

    try:
        roles = [Role(name).value for name in role or ()]
    except ValueError as error:
        known = ", ".join(Role)
        raise typer.BadParameter(f"{error}; the roles are {known}") from error
    data_dir = load_location_only(config).data_dir
    reports = supervisor_reports(data_dir)
    if not reports:
        raise Transient(f"no node runs on this host over {data_dir}")
    lines, all_work = _verdict(reports, roles)
    typer.echo("\n".join(lines))
    try:
        host_settings(config)
    except Misconfigured as mistakes:
        typer.echo(f"{_KEEPS_EARLIER}\n{mistakes}")
    raise typer.Exit(0 if all_work else 1)


def _verdict(reports: "Sequence[SupervisorReport]", roles: Sequence[str]) -> tuple[list[str], bool]:
    """One line for each process of `roles` (all if empty), and whether all of them work."""
    from node.runtime.supervisor_file import ProcessState

    lines, all_work = [], True
    for report in reports:
        if report.age_s > _MAX_REPORT_AGE_SECONDS:
            lines.append(
                f"The supervisor (process {report.process_id}) hangs: its last report is "
                f"{report.age_s:.0f} s old."
            )
            all_work = False
            continue
        if not report.processes:
            lines.append(f"The supervisor (process {report.process_id}) is starting the processes.")
            all_work = False
        for process in report.processes:
            if not roles or process.role in roles:
                lines.append(_line(process))
                all_work = all_work and process.state is ProcessState.WORKING
    found = {process.role for report in reports for process in report.processes}
    for role in roles:
        if role not in found:
            lines.append(f"{role}: does not run on this host.")
            all_work = False
    return lines, all_work


def _line(process: "ProcessReport") -> str:
    from node.runtime.supervisor_file import ProcessState

    match process.state:
        case ProcessState.WORKING:
            text = f"works, for {process.seconds:.0f} s."
        case ProcessState.STARTING:
            text = f"has been starting for {process.seconds:.0f} s."
        case ProcessState.HANGING:
            text = f"hangs: its last sign of life is {process.seconds:.0f} s old."
        case ProcessState.ENDED:
            text = "has ended, and is started again soon; its log says why."
    return f"{process.role}: {text}"
