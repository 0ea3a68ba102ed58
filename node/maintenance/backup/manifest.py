"""The manifest of a backup: what it holds, who made it, and the digests of its main files."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from node.domain.errors import NodeError
from node.store.files.durable import durable_file

FORMAT = 1


class BackupRefused(NodeError):
    """A backup cannot be made there, or cannot be restored; says what to do."""


class Manifest(BaseModel):
    """What a backup says about itself.

    `digests` has the SHA-256 of each file beside the folder `files`, by its path in the backup; the
    list of files has those of the others. `lost` names files that the database names and the node
    had lost before the backup, and how.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    segnode_version: str
    schema_revision: str
    database: Literal["sqlite", "postgresql"]
    started_at: datetime
    finished_at: datetime
    file_count: int
    size_bytes: int
    digests: dict[str, str]
    lost: dict[str, str]


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes it durably, after a file with its own digest as `sha256sum --check` reads it."""
    content = manifest.model_dump_json(indent=2).encode("utf-8")
    with durable_file(digest_file(path)) as file:
        file.write(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n".encode("ascii"))
    with durable_file(path) as file:
        file.write(content)


def read_manifest(path: Path) -> Manifest:
    """Reads the manifest of a backup.

    Raises:
        BackupRefused: it is missing, damaged, or of a newer format.
    """
    try:
        content = path.read_bytes()
        digest = digest_file(path).read_text(encoding="ascii", errors="replace").split()
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise BackupRefused(f"{path.parent} is no complete backup: {missing} is missing") from error
    except OSError as error:
        raise BackupRefused(f"{path} cannot be read: {error.strerror}") from error
    if digest[:1] != [hashlib.sha256(content).hexdigest()]:
        raise BackupRefused(f"{path} is damaged: use another backup")
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise BackupRefused(_newer(path, "a newer segnode")) from error
    if manifest.format > FORMAT:
        raise BackupRefused(_newer(path, f"segnode {manifest.segnode_version}"))
    return manifest


def digest_file(path: Path) -> Path:
    """The file with the digest of the manifest at `path`."""
    return path.with_suffix(".sha256")


def _newer(path: Path, author: str) -> str:
    return (
        f"{path.parent} was made by {author}, whose backups this version cannot read: install that "
        "version"
    )


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
