"""The mark of a restore that has not finished: no process uses its data folder."""

from pathlib import Path

from node.domain.errors import Misconfigured

_FILE = "restoring"


def restore_mark(data_dir: Path) -> Path:
    """The file that exists while a backup is restored into the folder; it identifies the backup."""
    return data_dir / _FILE


def refuse_unfinished_restore(data_dir: Path) -> None:
    """Checks that the folder is not one into which a backup has been restored in part.

    Raises:
        Misconfigured: it is; says how to finish.
    """
    mark = restore_mark(data_dir)
    if mark.exists():
        raise Misconfigured(
            f"the restore of a backup into {data_dir} has not finished: run `segnode restore` "
            "again with the same backup, or start anew with an empty folder",
            key="data_dir",
        )
