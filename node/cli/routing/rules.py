"""`segnode rules`: shows what changed rules would do."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.jobs import open_store
from node.cli.options import ConfigOption

app = typer.Typer(no_args_is_help=True, help="Routing rules.")


@app.command()
def compare(
    changed: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="A configuration with changed rules."),
    ],
    config: ConfigOption = None,
    days: Annotated[
        float, typer.Option(min=0.01, help="Compare the series received in the last days.")
    ] = 7.0,
) -> None:
    """Show which received series changed rules would decide differently, and why.

    Changes nothing. Series whose images are deleted cannot be compared.

    Example: segnode rules compare changed.toml --days 30
    """
    from node.configuration.active import active_settings
    from node.evaluation.dry_run import describe, dry_run
    from node.settings import load_revision, load_settings
    from node.settings.location import is_in_database

    current = active_settings(config)
    if is_in_database(config):
        proposed = load_revision(config, changed.read_text(encoding="utf-8"), str(changed))
    else:
        proposed = load_settings(changed)
    with open_store(config) as store:
        result = dry_run(store, current.rules, proposed.rules, datetime.now(UTC), days=days)
    typer.echo(describe(result))
