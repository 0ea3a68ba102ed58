"""The table of commands; reports an expected error in one line and exits with status 1."""

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Annotated

import typer

from models.errors import ModelsError
from node.cli.options import Commands
from node.domain.errors import NodeError
from node.runtime.umask import keep_new_files_private

# Where each command is, in the order of the help.
_COMMANDS: Mapping[str, str] = {
    "serve": "node.cli.serve",
    "demo": "node.cli.demo",
    "send": "node.cli.network",
    "echo": "node.cli.network",
    "fetch": "node.cli.fetch",
    "segment": "node.cli.segment",
    "explain": "node.cli.serve",
    "check": "node.cli.serve",
    "health": "node.cli.monitoring.health",
    "reload": "node.cli.configuration.reloading",
    "backup": "node.cli.backup.commands",
    "restore": "node.cli.backup.commands",
    "convert": "node.cli.convert",
    "dataset": "node.cli.convert",
    "train": "node.cli.train",
    "tune": "node.cli.train",
    "evaluate": "node.cli.evaluate",
    "package": "node.cli.package",
}
# Where the commands of each group are: its `app`.
_GROUPS: Mapping[str, str] = {
    "config": "node.cli.configuration.commands",
    "tokens": "node.cli.access.tokens",
    "users": "node.cli.access.users",
    "audit": "node.cli.audit.commands",
    "series": "node.cli.series.commands",
    "jobs": "node.cli.queues.job_commands",
    "queue": "node.cli.queues.queue_commands",
    "worklist": "node.cli.worklists.commands",
    "store": "node.cli.store",
    "alerts": "node.cli.monitoring.alerts",
    "rules": "node.cli.routing.rules",
    "connections": "node.cli.connections.commands",
    "viewer": "node.cli.viewer.commands",
    "models": "node.cli.evaluation.models",
    "feedback": "node.cli.evaluation.feedback",
}


def command_line(names: Iterable[str] = (*_COMMANDS, *_GROUPS)) -> typer.Typer:
    """Returns the command line with these commands and groups; it imports the modules of these."""
    app = typer.Typer(
        name="segnode",
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Segments organs in CT beside your PACS and sends the result back as DICOM SEG.",
    )
    app.callback()(_global_options)
    for name in names:
        if name in _GROUPS:
            app.add_typer(import_module(_GROUPS[name]).app, name=name)
        else:
            app.command()(getattr(import_module(_COMMANDS[name]), name))
    return app


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version  # here: help is shown faster without it

        typer.echo(f"segnode {version('segnode')}")
        raise typer.Exit


def _global_options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line; an expected error goes to stderr and ends with status 1."""
    keep_new_files_private()
    # The options before a command have no values.
    first = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    app = command_line([first]) if first in _COMMANDS or first in _GROUPS else command_line()
    try:
        app(prog_name="segnode")
    except (NodeError, ModelsError) as error:
        typer.echo(f"segnode: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
