"""The table of commands; reports an expected error in one line and exits with status 1."""

import sys
from typing import Annotated

import typer

from models.errors import ModelsError
from node.cli import (
    convert,
    demo,
    evaluate,
    fetch,
    jobs,
    network,
    package,
    segment,
    serve,
    store,
    train,
)
from node.cli.access import tokens, users
from node.cli.audit import commands as audit
from node.cli.backup import commands as backup
from node.cli.configuration import commands as configuration
from node.cli.configuration import reloading
from node.cli.connections import commands as connections
from node.cli.evaluation import feedback, models
from node.cli.monitoring import alerts, health
from node.cli.options import Commands
from node.cli.queues import deliveries, job_list, queue_commands
from node.cli.routing import rules
from node.cli.series import commands as series
from node.cli.viewer import commands as viewer
from node.cli.worklists import commands as worklist
from node.domain.errors import NodeError
from node.runtime.umask import keep_new_files_private

app = typer.Typer(
    name="segnode",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Segments organs in CT beside your PACS and sends the result back as DICOM SEG.",
)
app.command()(serve.serve)
app.command()(demo.demo)
app.command()(network.send)
app.command()(network.echo)
app.command()(fetch.fetch)
app.command()(segment.segment)
app.command()(serve.explain)
app.command()(serve.check)
app.command()(health.health)
app.command()(reloading.reload)
app.add_typer(configuration.app, name="config")
jobs.app.command("list")(job_list.list_jobs)
jobs.app.command()(deliveries.retry)
jobs.app.command()(deliveries.redirect)
jobs.app.command()(deliveries.discard)
app.add_typer(tokens.app, name="tokens")
app.add_typer(users.app, name="users")
app.add_typer(audit.app, name="audit")
app.add_typer(series.app, name="series")
app.add_typer(jobs.app, name="jobs")
app.add_typer(queue_commands.app, name="queue")
app.add_typer(worklist.app, name="worklist")
app.add_typer(store.app, name="store")
app.command()(backup.backup)
app.command()(backup.restore)
app.add_typer(alerts.app, name="alerts")
app.add_typer(rules.app, name="rules")
app.add_typer(connections.app, name="connections")
app.add_typer(viewer.app, name="viewer")
app.add_typer(models.app, name="models")
app.add_typer(feedback.app, name="feedback")
app.command()(convert.convert)
app.command()(convert.dataset)
app.command()(train.train)
app.command()(train.tune)
app.command()(evaluate.evaluate)
app.command()(package.package)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version  # here: help is shown faster without it

        typer.echo(f"segnode {version('segnode')}")
        raise typer.Exit


@app.callback()
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
    try:
        app(prog_name="segnode")
    except (NodeError, ModelsError) as error:
        typer.echo(f"segnode: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
