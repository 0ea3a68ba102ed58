"""`segnode reload`: the running node reads its configuration again."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from node.cli.options import ConfigOption
from node.domain.audit.records import AuditOutcome
from node.domain.errors import Misconfigured, Transient

if TYPE_CHECKING:
    from node.settings import Settings


def reload(config: ConfigOption = None) -> None:
    """Have the running node of this host read its configuration again, without a restart.

    Mistakes in the file are reported, and change nothing. The audit trail records who runs the
    command.

    Example: segnode reload --config /etc/segnode/segnode.toml
    """
    import os
    import signal

    from node.runtime.supervisor_file import running_supervisors

    settings = _checked_settings(config)
    supervisors = running_supervisors(settings.data_dir)
    if not supervisors:
        raise Transient(f"no node runs on this host over {settings.data_dir}: start it instead")
    try:
        for process in supervisors:
            os.kill(process, signal.SIGHUP)
    except PermissionError as error:
        _record(settings, config, "the user may not signal the node", AuditOutcome.MINOR_FAILURE)
        raise Transient(
            "this user may not signal the node: run the command as its user, or as root"
        ) from error
    _record(settings, config, "", AuditOutcome.SUCCESS)
    typer.echo("The node reads its configuration again. Its log says when each process uses it.")


def _checked_settings(config: Path | None) -> "Settings":
    """Returns the settings that open the store.

    Raises:
        Misconfigured: the file has mistakes; if a node runs, its audit trail says so.
    """
    from node.processes.configuration_file import mistakes_in_a_line
    from node.runtime.supervisor_file import running_supervisors
    from node.settings import host_settings, load_location_only

    try:
        return host_settings(config)
    except Misconfigured as error:
        with suppress(Misconfigured):  # where the data are is a mistake, too
            location = load_location_only(config)
            if running_supervisors(location.data_dir):
                refused = f"refused: {mistakes_in_a_line(error)}"
                _record(location, config, refused, AuditOutcome.MINOR_FAILURE)
        raise


def _record(settings: "Settings", config: Path | None, why: str, outcome: AuditOutcome) -> None:
    """Records who has run the command, as far as the database can be written."""
    from functools import partial

    from node.audit.losses import AuditLosses
    from node.audit.recording import record_if_possible
    from node.cli.audit.operator_records import operator_record
    from node.domain.audit.records import AuditAction, AuditObject, AuditObjectType
    from node.processes.configuration_file import append_record_of

    objects = [] if config is None else [AuditObject(AuditObjectType.CONFIGURATION, str(config))]
    detail = f"segnode reload, {why}" if why else "segnode reload"
    record = operator_record(AuditAction.CONFIGURATION_CHANGED, objects, detail, outcome)
    record_if_possible(partial(append_record_of, settings), record, AuditLosses(settings.data_dir))
