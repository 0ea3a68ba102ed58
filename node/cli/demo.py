"""`segnode demo`: the whole way of a CT through the node, to see with one's own eyes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PacsChoice(StrEnum):
    """Where the demonstration's results go."""

    AUTO = "auto"
    ORTHANC = "orthanc"
    EMBEDDED = "embedded"


def demo(
    ct: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Your own DICOM folder with one CT series."
        ),
    ] = None,
    pacs: Annotated[
        PacsChoice,
        typer.Option(help="Orthanc (auto: when it is installed), or the node's own archive."),
    ] = PacsChoice.AUTO,
    leave: Annotated[bool, typer.Option("--exit", help="End after the result.")] = False,
    folder: Annotated[
        Path | None, typer.Option(file_okay=False, help="Where to keep everything the demo writes.")
    ] = None,
) -> None:
    """Start a node, send it a CT over the network, and show what comes back.

    Example: segnode demo --exit --ct /data/ct/abdomen --pacs orthanc
    """
    from node.demo.orthanc_pacs import orthanc_missing
    from node.demo.run import run_demo

    with_orthanc = pacs is PacsChoice.ORTHANC or (pacs is PacsChoice.AUTO and not orthanc_missing())
    run_demo(ct=ct, with_orthanc=with_orthanc, stay=not leave, folder=folder)
