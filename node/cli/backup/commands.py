"""`segnode backup` and `segnode restore`: copies of a whole site, and back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import ConfigOption
from node.cli.progress import progress_bar
from node.domain.audit.records import (
    AuditAction,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
)
from node.domain.errors import NodeError

if TYPE_CHECKING:
    from node.maintenance.backup.manifest import Manifest
    from node.maintenance.backup.restore import VerifiedBackup
    from node.maintenance.backup.site import Progress, Site
    from node.settings import Settings

# The backup or restore is complete, but for files that were lost or damaged before.
_FILES_LACK_STATUS = 3
_MAX_NAMED = 20
# Without a terminal, a line for each of so many parts.
_LINES = 10


def backup(
    folder: Annotated[Path, typer.Argument(help="The folder of the backups; it must exist.")],
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Afterwards delete all backups but this number of newest ones."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Back up databases, images and results while the node runs, as a new folder in FOLDER.

    Files that did not change since the last backup in FOLDER are links to it. A backup that was
    interrupted continues. The backup holds patient data, and only the user who makes it can read
    it. The exit status is 3 if the node itself had lost files, which are named.

    Example: segnode backup /var/backups/segnode --keep 14
    """
    from node.maintenance.backup.backup import MakeBackup
    from node.maintenance.backup.backup_folder import BackupFolder
    from node.maintenance.backup.site import Site
    from node.settings import load_location_only
    from node.store.files.factory import open_files

    settings = load_location_only(config)
    site = Site(settings, open_files(settings))
    backups = BackupFolder(folder)
    with _recorded_failure(site, folder), _progress("backup") as progress:
        made = MakeBackup(site, backups, lambda: datetime.now(UTC), progress).run()
    manifest = made.manifest()
    _record(site, AuditAction.BACKED_UP, made.folder, _contents(manifest))
    typer.echo(f"{made.folder}: {_contents(manifest)}.")
    if manifest.lost:
        typer.echo("The node has lost files that its database names; no older backup is deleted:")
        _echo_files(manifest.lost)
        raise typer.Exit(_FILES_LACK_STATUS)
    if keep is not None:
        newer = "1 newer backup is" if keep == 1 else f"{keep} newer backups are"
        for name in backups.keep_newest(keep, made):
            typer.echo(f"{name} deleted: {newer} kept.")


def restore(
    backup_folder: Annotated[
        Path, typer.Argument(metavar="BACKUP", help="A backup, or a folder: its newest backup.")
    ],
    into: Annotated[
        Path | None,
        typer.Option(help="Restore into this empty folder, and not into data_dir (SQLite only)."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only verify every file of the backup.")
    ] = False,
    leave_out_damaged: Annotated[
        bool, typer.Option("--leave-out-damaged", help="Restore a backup without damaged files.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Restore a backup into the empty data folder and database of the configuration.

    Every file is compared with its digest. A restore that was interrupted continues; the node does
    not start before it is complete. Deliveries made after the backup are repeated with the same
    UIDs. The exit status is 3 if files are lacking, which are named.

    Example: segnode restore /var/backups/segnode --config /etc/segnode/segnode.toml
    """
    from node.maintenance.backup.backup_folder import find_backup
    from node.maintenance.backup.restore import Restore, VerifiedBackup
    from node.maintenance.backup.site import Site
    from node.store.files.factory import open_files

    found = find_backup(backup_folder)
    verified = VerifiedBackup.open(found)
    if check:
        _check(verified)
        return
    settings = _target(config, into)
    site = Site(settings, open_files(settings))
    with _progress("restore") as progress:
        left_out = Restore(verified, site, progress).run(leave_out_damaged=leave_out_damaged)
    contents = _contents(verified.manifest, left_out=len(left_out))
    _record(site, AuditAction.RESTORED, found.folder, contents)
    _echo_restored(verified, settings, contents)
    lacking = verified.manifest.lost | left_out
    if lacking:
        typer.echo("These files are lacking:")
        _echo_files(lacking)
        raise typer.Exit(_FILES_LACK_STATUS)


def _check(verified: "VerifiedBackup") -> None:
    """Compares every file of the backup with its digest; status 1 if one is damaged."""
    with _progress("check") as progress:
        damaged = verified.read_files(lambda _file, _content: None, progress)
    folder = verified.backup.folder
    if damaged:
        typer.echo(f"{folder} is damaged:")
        _echo_files(damaged)
        raise typer.Exit(1)
    typer.echo(f"{folder}: {_contents(verified.manifest)}; every file is as it was backed up.")


def _target(config: Path | None, into: Path | None) -> "Settings":
    """The settings of what is restored into; with `into`, a folder with an embedded database."""
    from node.settings import load_location_only

    settings = load_location_only(config)
    if into is None:
        return settings
    if not settings.is_embedded:
        raise typer.BadParameter(
            "--into restores an SQLite database; for PostgreSQL, use a configuration that names an "
            "empty database and an empty data_dir"
        )
    folder = into.absolute()
    changes = {
        "data_dir": folder,
        "database_url": f"sqlite:///{folder / 'segnode.db'}",
        "store_url": "",
    }
    return settings.model_copy(update=changes)


def _echo_restored(verified: "VerifiedBackup", settings: "Settings", contents: str) -> None:
    manifest, folder = verified.manifest, verified.backup.folder
    typer.echo(
        f"{folder} is restored into {settings.data_dir}: {contents}, as of "
        f"{manifest.started_at:%Y-%m-%d %H:%M:%S} UTC."
    )
    if (folder / "segnode.toml").exists():
        typer.echo(f"The configuration of that time is {folder / 'segnode.toml'}.")
    typer.echo(
        "Run `segnode store verify`, then start the node. It finishes what was open, and sends "
        "what it delivered after the backup again, with the same UIDs. Images that arrived after "
        "the backup are not in it: have them sent again."
    )


def _record(
    site: "Site",
    action: AuditAction,
    folder: Path,
    detail: str,
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
) -> None:
    """Records a backup or a restore; a node that cannot record can still be backed up."""
    from node.audit.losses import AuditLosses
    from node.audit.recording import record_if_possible
    from node.cli.audit.operator_records import operator_record

    backup = AuditObject(AuditObjectType.BACKUP, str(folder))
    record = operator_record(action, [backup], detail, outcome)
    record_if_possible(site.record, record, AuditLosses(site.data_dir))


@contextmanager
def _recorded_failure(site: "Site", folder: Path) -> Iterator[None]:
    """Records that no backup was made, unless the site itself is still being restored."""
    from node.settings.location import refuse_unfinished_restore

    try:
        yield
    except NodeError as error:
        detail = " ".join(str(error).split())
        with suppress(NodeError):
            refuse_unfinished_restore(site.data_dir)
            _record(site, AuditAction.BACKED_UP, folder, detail, AuditOutcome.SERIOUS_FAILURE)
        raise


def _contents(manifest: "Manifest", *, left_out: int = 0) -> str:
    files = (
        f"{manifest.file_count - left_out} of {manifest.file_count} images and results"
        if left_out
        else f"{manifest.file_count} images and results ({manifest.size_bytes / 1e6:.1f} MB)"
    )
    return (
        f"{files}, database schema {manifest.schema_revision}, segnode {manifest.segnode_version}"
    )


def _echo_files(files: Mapping[str, str]) -> None:
    for path, how in sorted(files.items())[:_MAX_NAMED]:
        typer.echo(f"  {how}: {path}")
    if len(files) > _MAX_NAMED:
        typer.echo(f"  and {len(files) - _MAX_NAMED} more")


@contextmanager
def _progress(action: str) -> "Iterator[Progress]":
    """Shows the number of files: a bar on a terminal, otherwise some lines."""
    from rich.progress import BarColumn, MofNCompleteColumn

    with progress_bar(f"{action}:", BarColumn(), MofNCompleteColumn(), "files") as bar:
        task = bar.add_task(action, total=None)
        shown = 0

        def show(done: int, total: int) -> None:
            nonlocal shown
            bar.update(task, completed=done, total=total)
            part = done * _LINES // total
            if bar.disable and part != shown:
                typer.echo(f"{action}: {done} of {total} files", err=True)
            shown = part

        yield show
