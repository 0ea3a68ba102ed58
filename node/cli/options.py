"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="SEGNODE_CONFIG",
        exists=True,
        dir_okay=False,
        help="The site's configuration (TOML); without it the embedded defaults hold.",
    ),
]
