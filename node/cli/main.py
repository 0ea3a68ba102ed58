"""The table of commands, and the one place where an expected error becomes a line and a status."""

import sys

import typer

from models.errors import ModelsError
from node.cli import convert, demo, evaluate, jobs, network, package, segment, serve, store, train
from node.domain.errors import NodeError

app = typer.Typer(
    name="segnode",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Segments organs in CT beside your PACS and sends the result back as DICOM SEG.",
)
app.command()(serve.serve)
app.command()(demo.demo)
app.command()(network.send)
app.command()(network.echo)
app.command()(segment.segment)
app.command()(serve.explain)
app.command()(serve.check)
app.add_typer(jobs.app, name="jobs")
app.add_typer(store.app, name="store")
app.command()(convert.convert)
app.command()(convert.dataset)
app.command()(train.train)
app.command()(train.tune)
app.command()(evaluate.evaluate)
app.command()(package.package)


def main() -> None:
    """Run the command line; an expected error ends with its text on stderr and status 1."""
    try:
        app()
    except (NodeError, ModelsError) as error:
        typer.echo(f"segnode: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
