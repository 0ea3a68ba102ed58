"""`segnode demo`: a demonstration that sends one CT through a complete node."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PacsChoice(StrEnum):
    """The destination of the demonstration's results."""

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
        typer.Option(help="Send results to Orthanc (auto: if installed) or to an archive folder."),
    ] = PacsChoice.AUTO,
    exit_after_result: Annotated[
        bool, typer.Option("--exit", help="Exit after the result.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder for all files; default: a new temporary folder, which is kept.",
        ),
    ] = None,
) -> None:
    """Start a node, send it a CT over the network, and show the result.

    Example: segnode demo --exit --ct /data/ct/abdomen --pacs orthanc
    """
    from node.demo.orthanc_pacs import orthanc_missing
    from node.demo.run import run_demo

    with_orthanc = pacs is PacsChoice.ORTHANC or (pacs is PacsChoice.AUTO and not orthanc_missing())
    run_demo(ct=ct, with_orthanc=with_orthanc, keep_serving=not exit_after_result, folder=folder)
