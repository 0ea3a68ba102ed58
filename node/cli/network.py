"""`segnode echo` and `segnode send`: DICOM network tools for tests and troubleshooting."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import ConfigOption
from node.cli.progress import progress_bar
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle

if TYPE_CHECKING:
    from node.dimse.scu import Remote
    from node.settings import Settings

_TARGET_HELP = "AE_TITLE@host:port, or the name of a peer in the configuration."


def echo(
    target: Annotated[str, typer.Argument(help=_TARGET_HELP)],
    config: ConfigOption = None,
    calling: Annotated[str | None, typer.Option(help="Calling AE title.")] = None,
) -> None:
    """Send C-ECHO to a DICOM node.

    Example: segnode echo ORTHANC@localhost:4242
    """
    from node.configuration.active import active_settings
    from node.probes import dicom

    settings = active_settings(config)
    remote = _remote(target, settings)
    title = _calling_ae_title(calling, settings)
    with _refusal_by_this_node_explained(remote, title, settings):
        dicom.echo(remote, title)
    typer.echo(f"{remote} answered C-ECHO.")


def send(
    target: Annotated[str, typer.Argument(help=_TARGET_HELP)],
    paths: Annotated[list[Path], typer.Argument(exists=True, help="DICOM files or folders.")],
    config: ConfigOption = None,
    calling: Annotated[str | None, typer.Option(help="Calling AE title.")] = None,
) -> None:
    """Send DICOM files to a DICOM node by C-STORE.

    Example: segnode send SEGNODE@localhost:11112 /data/ct/abdomen
    """
    from node.configuration.active import active_settings
    from node.dicom.ct.files import find_dicom_files
    from node.dimse import store_sending

    settings = active_settings(config)
    remote = _remote(target, settings)
    files = find_dicom_files(paths)
    title = _calling_ae_title(calling, settings)
    with _refusal_by_this_node_explained(remote, title, settings), progress_bar() as bar:
        task = bar.add_task(f"Sending to {remote}", total=len(files))
        summary = store_sending.send(
            files,
            remote,
            title,
            progress=lambda sent: bar.update(task, completed=sent),
        )
    for failure in summary.failures:
        typer.echo(failure, err=True)
    if summary.failures:
        raise Transient(
            f"{summary.accepted} of {len(files)} files were accepted by {remote.ae_title}"
        )
    typer.echo(f"{remote} accepted {summary.accepted} files.")


@contextmanager
def _refusal_by_this_node_explained(
    remote: "Remote", calling: AeTitle, settings: "Settings"
) -> Iterator[None]:
    """Says what to do where this node itself does not know the calling AE title.

    By default, commands call as the node, which is none of its own peers.
    """
    from node.domain.connections.failure import ConnectionFailure, ConnectionFault

    listener = settings.listener
    try:
        yield
    except ConnectionFailure as failure:
        is_own = (remote.ae_title, remote.port in (listener.port, listener.tls_port))
        refused = failure.fault is ConnectionFault.CALLING_AE_TITLE
        if not refused or is_own != (listener.ae_title, True):
            raise
        peers = ", ".join(sorted({peer.ae_title for peer in settings.peers.values()})) or "none"
        raise Transient(
            f"{remote} seems to be this node, which accepts only its peers ({peers}), each from "
            f"its addresses, and {calling} from this machine is none of them: add a peer for it "
            "to [peers], or call as a peer of this machine (--calling)"
        ) from failure


def _remote(target: str, settings: "Settings") -> "Remote":
    from node.dimse import scu
    from node.dimse.remotes import remote_of_peer

    if peer := settings.peers.get(target):
        return remote_of_peer(peer, settings)
    try:
        return scu.Remote.parse(target)
    except ValueError as error:
        known = ", ".join(settings.peers) or "none"
        raise typer.BadParameter(f"{error}; peers in the configuration: {known}") from error


def _calling_ae_title(given: str | None, settings: "Settings") -> AeTitle:
    try:
        return AeTitle(settings.listener.ae_title if given is None else given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
