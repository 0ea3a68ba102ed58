"""`segnode viewer`: installs the OHIF viewer, which the node then serves."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import ConfigOption

app = typer.Typer(no_args_is_help=True, help="The OHIF viewer that the node serves at /viewer/.")


@app.callback()
def _viewer() -> None:
    """The OHIF viewer that the node serves at /viewer/."""


@app.command()
def install(
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="An archive made by `npm pack`, or a folder with OHIF's built files."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Install the tested version of OHIF into the data folder; npm downloads it.

    Each series page then links to it. The node needs no restart.

    Example: segnode viewer install --from ohif-app-3.13.2.tgz
    """
    from node.settings import load_location_only
    from node.web.viewer.ohif_installation import VERSION, install_viewer

    folder = install_viewer(load_location_only(config).data_dir, source)
    typer.echo(f"OHIF {VERSION} is installed in {folder}; the node serves it at /viewer/.")
