"""File storage in a bucket of an S3-compatible object store that all hosts share."""

import base64
import hashlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from node.domain.errors import Misconfigured, Transient
from node.store.files.interface import StoredFile
from node.store.files.s3_keys import USUAL_KEYS, S3Keys
from node.store.files.scratch import ScratchFolders

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# Many senders time out after 30 s; they must get "out of resources" before that.
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S, _MAX_ATTEMPTS = 5, 12, 2
# Connections of one process, and parallel requests of one thread that fetches a series.
_MAX_CONNECTIONS = 64
_MAX_PARALLEL_REQUESTS = 8
_CHUNK_BYTES = 1 << 20
# The server answers 409 to one of two writers of the same key; that one tries again.
_MAX_ADD_ATTEMPTS = 5
_NOT_FOUND = {"404", "NoSuchKey"}
_CONFIGURATION_ERRORS = {
    "403",
    "404",
    "AccessDenied",
    "Forbidden",
    "InvalidAccessKeyId",
    "NoSuchBucket",
    "SignatureDoesNotMatch",
}
# Object added twice at start, to check that the server refuses the second write.
_CONDITIONAL_WRITE_PROBE = "conditional-writes"
# Object overwritten by each check that the bucket can be written, with a short timeout.
_WRITABLE_PROBE = "writable"
_PROBE_TIMEOUT_S = 2


class Bucket:
    """Files as objects whose keys are the paths below the data folder; see `connect`."""

    def __init__(
        self, client: "S3Client", probe_client: "S3Client", bucket: str, prefix: str, data_dir: Path
    ) -> None:
        self._client = client
        self._probe_client = probe_client
        self._bucket = bucket
        self._prefix = prefix  # empty, or ends with a slash
        self._data_dir = data_dir.absolute()
        self._scratch = ScratchFolders(self._data_dir / "at-hand")

    @classmethod
    def connect(cls, url: str, endpoint: str, data_dir: Path, keys: S3Keys = USUAL_KEYS) -> Self:
        """Opens the bucket `s3://bucket/prefix` on the server at `endpoint` (AWS if empty).

        boto3 finds the region as usual, and so the keys where `keys` has none: in AWS_ACCESS_KEY_ID
        and related variables, in its configuration files, or in the machine's role.

        Raises:
            Misconfigured: the bucket does not exist, denies access or lacks conditional writes, or
                there is no secret key.
            Transient: the server does not answer.
        """
        parts = urlsplit(url)
        prefix = parts.path.strip("/")
        session = boto3.session.Session(botocore_session=keys.session())
        client = session.client("s3", endpoint_url=endpoint or None, config=_config())
        short_timeouts = Config(
            connect_timeout=_PROBE_TIMEOUT_S,
            read_timeout=_PROBE_TIMEOUT_S,
            retries={"total_max_attempts": 1},
        )
        probe_client = session.client(
            "s3", endpoint_url=endpoint or None, config=_config().merge(short_timeouts)
        )
        key_prefix = f"{prefix}/" if prefix else ""
        bucket = cls(client, probe_client, parts.netloc, key_prefix, data_dir)
        bucket._check_conditional_writes()
        return bucket

    def add(self, path: Path, pieces: Sequence[bytes]) -> bool:
        """See `Files.add`."""
        content = b"".join(pieces)
        with self._errors_as_transient():
            for _ in range(_MAX_ADD_ATTEMPTS):
                try:
                    self._client.put_object(
                        Bucket=self._bucket,
                        Key=self._key(path),
                        Body=content,
                        ContentMD5=_md5(content),
                        IfNoneMatch="*",
                    )
                except ClientError as error:
                    match _status(error):
                        case HTTPStatus.PRECONDITION_FAILED:
                            return False
                        case HTTPStatus.CONFLICT:
                            continue
                    raise
                return True
        raise Transient(f"{path.name} is being stored by another process at this moment")

    def put(self, path: Path, pieces: Sequence[bytes]) -> None:
        """See `Files.put`."""
        content = b"".join(pieces)
        with self._errors_as_transient():
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(path),
                Body=content,
                ContentMD5=_md5(content),
            )

    def exists(self, path: Path) -> bool:
        """See `Files.exists`."""
        with self._errors_as_transient():
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._key(path))
            except ClientError as error:
                if _status(error) == HTTPStatus.NOT_FOUND:
                    return False
                raise
        return True

    def is_surely_new(self, path: Path) -> bool:
        """See `Files.is_surely_new`."""
        return False

    @contextmanager
    def local_copies(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        """See `Files.local_copies`: downloads the files and deletes the copies afterwards."""
        with self._scratch.folder() as scratch:
            copies = [scratch / path.absolute().relative_to(self._data_dir) for path in paths]
            with ThreadPoolExecutor(_MAX_PARALLEL_REQUESTS) as pool:
                list(pool.map(self._download, paths, copies))
            yield copies

    def scratch_folder(self) -> AbstractContextManager[Path]:
        """See `Files.scratch_folder`."""
        return self._scratch.folder()

    def remove(self, paths: Collection[Path]) -> None:
        """See `Files.remove`."""
        with self._errors_as_transient(), ThreadPoolExecutor(_MAX_PARALLEL_REQUESTS) as pool:
            # One by one: not all servers accept boto3's checksums for multi-object deletes.
            list(pool.map(self._delete, paths))

    def iter_files(self, folder: Path) -> Iterator[StoredFile]:
        """See `Files.iter_files`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._key(folder)}/"
        )
        with self._errors_as_transient():
            for page in pages:
                for found in page.get("Contents", []):
                    name = found["Key"].removeprefix(self._prefix)
                    yield StoredFile(self._data_dir / name, found["LastModified"].timestamp())

    def check_writable(self) -> None:
        """See `Files.check_writable`."""
        with self._errors_as_transient():
            self._probe_client.put_object(
                Bucket=self._bucket, Key=f"{self._prefix}{_WRITABLE_PROBE}", Body=b"probe"
            )

    def free_bytes(self) -> None:
        """See `Files.free_bytes`: S3 does not report it."""

    def remove_abandoned(self) -> int:
        """See `Files.remove_abandoned`."""
        return self._scratch.remove_abandoned()

    def _check_conditional_writes(self) -> None:
        """Checks that the bucket can be written and refuses to replace an existing object."""
        probe = self._data_dir / _CONDITIONAL_WRITE_PROBE
        try:
            replaced = self.add(probe, [b"kept once"]) and self.add(probe, [b"kept twice"])
        except Transient as error:
            match error.__cause__:
                case NoCredentialsError():
                    message = "no keys: set store_access_key and store_secret_key_file"
                    raise Misconfigured(message, key="store_url") from error
                case ClientError() as answer if _code(answer) in _CONFIGURATION_ERRORS:
                    raise Misconfigured(str(error), key="store_url") from error
                case ClientError() as answer if _status(answer) == HTTPStatus.NOT_IMPLEMENTED:
                    replaced = True
                case _:
                    raise
        if replaced:
            raise Misconfigured(
                "the server replaces existing objects: it must support conditional writes "
                "(PutObject with If-None-Match)",
                key="store_url",
            )

    def _download(self, path: Path, copy: Path) -> None:
        """Downloads a file to `copy`; does nothing if the file does not exist."""
        copy.parent.mkdir(parents=True, exist_ok=True)
        with self._errors_as_transient():
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._key(path))
            except ClientError as error:
                if _code(error) in _NOT_FOUND:
                    return
                raise
            try:
                with copy.open("xb") as file:
                    for chunk in found["Body"].iter_chunks(_CHUNK_BYTES):
                        file.write(chunk)
            except OSError as error:
                cause = error.strerror or error
                raise Transient(f"{path.name} cannot be copied to this host: {cause}") from error

    def _delete(self, path: Path) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._key(path))

    def _key(self, path: Path) -> str:
        return self._prefix + path.absolute().relative_to(self._data_dir).as_posix()

    @contextmanager
    def _errors_as_transient(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            message = error.response.get("Error", {}).get("Message", "")
            raise Transient(f"bucket {self._bucket} answered {_code(error)}: {message}") from error
        except BotoCoreError as error:
            raise Transient(f"bucket {self._bucket} does not answer: {error}") from error


def _config() -> Config:
    return Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": _MAX_ATTEMPTS},
        max_pool_connections=_MAX_CONNECTIONS,
        # Many servers do not know the checksums that boto3 adds by default; all know Content-MD5.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "auto"},
    )


def _md5(content: bytes) -> str:
    """Returns the Content-MD5 with which the server verifies the body (RFC 1864)."""
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "nothing"))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
