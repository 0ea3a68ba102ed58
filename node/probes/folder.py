"""Probe of a destination that is a folder: writes and removes an empty file."""

import tempfile
from pathlib import Path

from node.domain.connections.failure import ConnectionFailure, ConnectionFault


def write(folder: Path) -> Path:
    """Writes to the folder, or to the one in which a delivery would create it; returns that one.

    Raises:
        ConnectionFailure: it cannot be written.
    """
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".segnode-probe-"):
            pass
    except OSError as error:
        raise ConnectionFailure(
            ConnectionFault.NOT_WRITABLE,
            f"the folder {existing} cannot be written ({error.strerror or error})",
            "let the user who runs the node write there, and check that it is mounted",
        ) from error
    return existing
