"""`segnode connections`: tests connections, and lists what the listener has rejected."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption
from node.domain.errors import Transient

if TYPE_CHECKING:
    from node.domain.connections.probe import ConnectionName, ProbeReport
    from node.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Peers, destinations and sources.")
_NAMES_HELP = "Such as pacs or destinations.pacs; without a name, every connection."


@app.command("test")
def test_connections(
    names: Annotated[list[str] | None, typer.Argument(help=_NAMES_HELP)] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test connections; says why one does not work, and what to do. Stores and sends nothing.

    Example: segnode connections test destinations.pacs
    """
    import json

    from node.configuration.active import active_settings
    from node.probes.site import probe

    settings = active_settings(config)
    reports = [probe(settings, one) for one in _selected(settings, names or [])]
    if as_json:
        typer.echo(json.dumps([asdict(report) for report in reports], indent=2))
    else:
        typer.echo("\n".join(line for report in reports for line in _report_lines(report)))
    failed = [str(report.connection) for report in reports if not report.passed]
    if failed:
        raise Transient(f"{len(failed)} of {len(reports)} do not work: {', '.join(failed)}")


def _selected(settings: "Settings", names: list[str]) -> "list[ConnectionName]":
    from node.probes.site import connections_of

    known = connections_of(settings)
    if not names:
        return known
    for name in names:
        if not any(name in {one.name, str(one)} for one in known):
            listed = ", ".join(map(str, known)) or "none"
            message = f"the configuration has no connection {name!r}; it has: {listed}"
            raise typer.BadParameter(message)
    return [one for one in known if {one.name, str(one)} & set(names)]


def _report_lines(report: "ProbeReport") -> Iterator[str]:
    yield str(report.connection)
    for step in report.steps:
        yield f"  {'ok    ' if step.passed else 'FAILED'}  {step.name}: {step.text}"
        if not step.passed:
            yield f"          To do: {step.remedy}"


@app.command("rejected")
def list_rejected(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List what the listener has rejected in the last 30 days, and the remedy.

    Example: segnode connections rejected --json
    """
    import json

    from node.configuration.active import active_settings
    from node.health.rejected_connections import explain_rejections

    settings = active_settings(config)
    with open_store(config) as store:
        found = store.rejected_connections(datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], default=str, indent=2))
        return
    for sender in explain_rejections(found, settings):
        typer.echo(f"{sender.title}\n  {sender.text}\n  To do: {sender.remedy}")
    if not found:
        typer.echo("Nothing has been rejected in the last 30 days.")
