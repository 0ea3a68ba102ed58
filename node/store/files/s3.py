"""A bucket of an S3-compatible object store that all hosts reach; nothing stays on their disks."""

import base64
import hashlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from node.domain.errors import Misconfigured, Transient
from node.store.files.interface import KeptFile
from node.store.files.scratch import Scratch

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# Within 30 s, the patience of many senders, they are to be told that we are out of resources.
_CONNECT_S, _READ_S, _TRIES = 5, 12, 2
# Of one process: requests of its threads, and of one that fetches a series.
_CONNECTIONS = 64
_AT_ONCE = 8
_CHUNK_BYTES = 1 << 20
# Two that write the same key at the same moment; one of them is told to try again.
_MOST_CONFLICTS = 5
_NOT_THERE = {"404", "NoSuchKey"}
_FAULTS_OF_THE_SITE = {
    "403",
    "404",
    "AccessDenied",
    "Forbidden",
    "InvalidAccessKeyId",
    "NoSuchBucket",
    "SignatureDoesNotMatch",
}
# Kept once, to see that the server refuses it the second time.
_PROBE = "conditional-writes"
# Kept again and again, to see that it can be, by a client with little patience.
_WRITABLE = "writable"
_HASTY_S = 2


class Bucket:
    """Files as objects, whose keys are their paths below the data folder; see `connect`."""

    def __init__(
        self, client: "S3Client", hasty: "S3Client", bucket: str, prefix: str, data_dir: Path
    ) -> None:
        self._client = client
        self._hasty = hasty
        self._bucket = bucket
        self._prefix = prefix  # empty, or with a slash at its end
        self._data_dir = data_dir.absolute()
        self._scratch = Scratch(self._data_dir / "at-hand")

    @classmethod
    def connect(cls, url: str, endpoint: str, data_dir: Path) -> Self:
        """The bucket that `s3://bucket/prefix` names, on the server at `endpoint`, or AWS without.

        Who we are there, and the region, boto3 finds where it always does: AWS_ACCESS_KEY_ID and
        the like, its configuration files, or the machine's role.

        Raises:
            Misconfigured: there is no such bucket for us, or it has no conditional writes.
            Transient: it does not answer.
        """
        parts = urlsplit(url)
        prefix = parts.path.strip("/")
        session = boto3.session.Session()
        client = session.client("s3", endpoint_url=endpoint or None, config=_config())
        brief = Config(
            connect_timeout=_HASTY_S, read_timeout=_HASTY_S, retries={"total_max_attempts": 1}
        )
        hasty = session.client("s3", endpoint_url=endpoint or None, config=_config().merge(brief))
        made = cls(client, hasty, parts.netloc, f"{prefix}/" if prefix else "", data_dir)
        made._check()
        return made

    def add(self, path: Path, pieces: Sequence[bytes]) -> bool:
        """See `Files.add`."""
        content = b"".join(pieces)
        with self._told_as_transient():
            for _ in range(_MOST_CONFLICTS):
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
        raise Transient(f"{path.name} is being kept by others just now")

    def put(self, path: Path, pieces: Sequence[bytes]) -> None:
        """See `Files.put`."""
        content = b"".join(pieces)
        with self._told_as_transient():
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(path),
                Body=content,
                ContentMD5=_md5(content),
            )

    def holds(self, path: Path) -> bool:
        """See `Files.holds`."""
        with self._told_as_transient():
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._key(path))
            except ClientError as error:
                if _status(error) == HTTPStatus.NOT_FOUND:
                    return False
                raise
        return True

    @contextmanager
    def at_hand(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        """See `Files.at_hand`: they are copied to this machine, and deleted there afterwards."""
        with self._scratch.folder() as room:
            places = [room / path.absolute().relative_to(self._data_dir) for path in paths]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._fetch, paths, places))
            yield places

    def remove(self, paths: Collection[Path]) -> None:
        """See `Files.remove`."""
        with self._told_as_transient(), ThreadPoolExecutor(_AT_ONCE) as pool:
            # One by one: for many in one request, not all servers know the digests that boto3 adds.
            list(pool.map(self._delete, paths))

    def below(self, folder: Path) -> Iterator[KeptFile]:
        """See `Files.below`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._key(folder)}/"
        )
        with self._told_as_transient():
            for page in pages:
                for found in page.get("Contents", []):
                    name = found["Key"].removeprefix(self._prefix)
                    yield KeptFile(self._data_dir / name, found["LastModified"].timestamp())

    def check_writable(self) -> None:
        """See `Files.check_writable`."""
        with self._told_as_transient():
            self._hasty.put_object(
                Bucket=self._bucket, Key=f"{self._prefix}{_WRITABLE}", Body=b"written to see"
            )

    def free_bytes(self) -> None:
        """See `Files.free_bytes`: nobody counts it."""

    def remove_leftovers(self) -> int:
        """See `Files.remove_leftovers`."""
        return self._scratch.remove_abandoned()

    def _check(self) -> None:
        """See that we can write there, and that it refuses to replace what is there."""
        probe = self._data_dir / _PROBE
        try:
            kept_twice = self.add(probe, [b"kept once"]) and self.add(probe, [b"kept twice"])
        except Transient as error:
            match error.__cause__:
                case NoCredentialsError():
                    told = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    raise Misconfigured(told, key="store_url") from error
                case ClientError() as answer if _code(answer) in _FAULTS_OF_THE_SITE:
                    raise Misconfigured(str(error), key="store_url") from error
                case ClientError() as answer if _status(answer) == HTTPStatus.NOT_IMPLEMENTED:
                    kept_twice = True
                case _:
                    raise
        if kept_twice:
            raise Misconfigured(
                "the server cannot refuse to replace what is there: it needs conditional writes "
                "(PutObject with If-None-Match)",
                key="store_url",
            )

    def _fetch(self, path: Path, place: Path) -> None:
        """Copy a file to this machine, if there is one."""
        place.parent.mkdir(parents=True, exist_ok=True)
        with self._told_as_transient():
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._key(path))
            except ClientError as error:
                if _code(error) in _NOT_THERE:
                    return
                raise
            try:
                with place.open("xb") as file:
                    for chunk in found["Body"].iter_chunks(_CHUNK_BYTES):
                        file.write(chunk)
            except OSError as error:
                told = error.strerror or error
                raise Transient(f"{path.name} has no room on this machine: {told}") from error

    def _delete(self, path: Path) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._key(path))

    def _key(self, path: Path) -> str:
        return self._prefix + path.absolute().relative_to(self._data_dir).as_posix()

    @contextmanager
    def _told_as_transient(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            told = error.response.get("Error", {}).get("Message", "")
            raise Transient(f"bucket {self._bucket} answered {_code(error)}: {told}") from error
        except BotoCoreError as error:
            raise Transient(f"bucket {self._bucket} does not answer: {error}") from error


def _config() -> Config:
    return Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        max_pool_connections=_CONNECTIONS,
        # Digests that boto3 adds of itself are news to many servers; ours is known to all.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "auto"},
    )


def _md5(content: bytes) -> str:
    """The digest by which the server sees that all has come (RFC 1864)."""
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "nothing"))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
