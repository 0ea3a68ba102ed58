"""`segnode echo` and `segnode send`: the node's own DICOM test tools."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from node.cli.options import ConfigOption
from node.dicom.ct.files import find_dicom_files
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle
from node.settings import Settings, load_settings

if TYPE_CHECKING:
    from node.dimse.scu import Remote

_TARGET_HELP = "AE_TITLE@host:port, or the name of a peer in the configuration."


def echo(
    target: Annotated[str, typer.Argument(help=_TARGET_HELP)],
    config: ConfigOption = None,
    calling: Annotated[str | None, typer.Option(help="Our AE title.")] = None,
) -> None:
    """Ask a DICOM node for C-ECHO.

    Example: segnode echo ORTHANC@localhost:4242
    """
    from node.dimse import scu  # pynetdicom loads slowly

    settings = load_settings(config)
    remote = _remote(target, settings)
    scu.echo(remote, _calling(calling, settings))
    typer.echo(f"{remote} answered C-ECHO.")


def send(
    target: Annotated[str, typer.Argument(help=_TARGET_HELP)],
    paths: Annotated[list[Path], typer.Argument(exists=True, help="DICOM files or folders.")],
    config: ConfigOption = None,
    calling: Annotated[str | None, typer.Option(help="Our AE title.")] = None,
) -> None:
    """Send DICOM files to a DICOM node by C-STORE.

    Example: segnode send SEGNODE@localhost:11112 /data/ct/abdomen
    """
    from node.dimse import scu

    settings = load_settings(config)
    remote = _remote(target, settings)
    files = find_dicom_files(paths)
    with Progress(transient=True) as bar:
        task = bar.add_task(f"Sending to {remote}", total=len(files))
        summary = scu.send(
            files,
            remote,
            _calling(calling, settings),
            progress=lambda sent: bar.update(task, completed=sent),
        )
    for failure in summary.failures:
        typer.echo(failure, err=True)
    if summary.failures:
        raise Transient(
            f"{summary.accepted} of {len(files)} files were accepted by {remote.ae_title}"
        )
    typer.echo(f"{remote} accepted {summary.accepted} files.")


def _remote(target: str, settings: Settings) -> "Remote":
    from node.dimse import scu

    if peer := settings.peers.get(target):
        return scu.Remote(AeTitle(peer.ae_title), peer.host, peer.port)
    try:
        return scu.Remote.parse(target)
    except ValueError as error:
        known = ", ".join(settings.peers) or "none"
        raise typer.BadParameter(f"{error}; peers in the configuration: {known}") from error


def _calling(given: str | None, settings: Settings) -> AeTitle:
    try:
        return AeTitle(settings.listener.ae_title if given is None else given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
