"""Closes the data folder of an earlier version to the other users of the machine."""

import stat
from collections.abc import Iterable
from pathlib import Path

import structlog

_LOG = structlog.get_logger()
_GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def close_to_others(
    data_dir: Path, database: Path | None, shared_folders: Iterable[Path] = ()
) -> None:
    """Closes an existing data folder, and the database file, to the other users of the machine.

    Earlier versions created both so that every user could read them. A data folder that only a
    group may read stays so, because a person has decided that. One that holds a shared folder stays
    open, and what lies beside the shared folder is closed: otherwise its readers would lose it.
    """
    shared = [each.resolve() for each in shared_folders]
    if data_dir.is_dir() and data_dir.stat().st_mode & stat.S_IRWXO:
        data_dir = data_dir.resolve()
        if any(each.is_relative_to(data_dir) for each in shared):
            for path in data_dir.iterdir():
                if not any(each.is_relative_to(path) for each in shared):
                    _close(path)
        else:
            _close(data_dir)
    for file in _files_of(database):
        _close(file)


def _files_of(database: Path | None) -> list[Path]:
    """Returns the files of SQLite in WAL mode."""
    if database is None:
        return []
    return [database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm")]


def _close(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink() or not mode & _GROUP_AND_OTHERS:
            return
        path.chmod(mode & ~_GROUP_AND_OTHERS)
    except FileNotFoundError:  # a temporary file, or no database yet
        return
    except OSError as error:  # it belongs to another user
        _LOG.warning("data_dir.open_to_others", path=str(path), error=error.strerror)
    else:
        _LOG.warning("data_dir.closed_to_others", path=str(path), mode_before=f"{mode:03o}")
