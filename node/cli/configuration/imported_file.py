"""What `segnode config import` says and asks about a file before it becomes a revision."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from node.configuration.site_configuration import SiteConfiguration


def report_left_out(file: Path) -> None:
    """Prints which settings of the file belong to each host, so that the revision lacks them."""
    from node.settings.location import location_values
    from node.settings.toml_source import TomlSource

    if left_out := location_values(TomlSource.read(file).values):
        typer.echo(f"Left out, because each host has its own: {', '.join(left_out)}.")


def confirm_identity(site: "SiteConfiguration", text: str, file: Path) -> None:
    """Asks if the node would be known otherwise with the text; the command ends unless it is meant.

    Raises:
        Misconfigured: the text has mistakes, which call it by the file.
    """
    changes = site.identity_changes(text, name=str(file))
    if not changes:
        return
    typer.echo("The file changes by what other systems know this node:")
    for change in changes:
        typer.echo(f"  {change}")
    if not typer.confirm("Is that meant?"):
        raise typer.Abort
