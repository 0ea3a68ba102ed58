"""The contract of file storage, tested with a folder and with a bucket."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.domain.errors import Misconfigured, Transient
from node.domain.series import SeriesState
from node.intake.inbox import Inbox
from node.maintenance.verify import Fault, Verification
from node.settings import load_settings
from node.store import Store
from node.store.files import DataFolder, Files
from node.store.files.factory import open_files
from node.store.files.s3 import Bucket
from tests.support.factories import NOON, encoded, received, sqlite_url
from tests.support.servers.s3_server import S3Server

HOUR_S = 3600.0


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """Empty file storage of each implementation."""
    if request.param == "folder":
        return DataFolder(tmp_path)
    return bucket_of(request.getfixturevalue("s3"), tmp_path)


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path) -> Bucket:
    return bucket_of(s3, tmp_path)


@pytest.fixture
def store(files: Files, tmp_path: Path) -> Iterator[Store]:
    """A store over that file storage."""
    opened = Store.open(sqlite_url(tmp_path), tmp_path, files)
    yield opened
    opened.close()


def bucket_of(server: S3Server, data_dir: Path) -> Bucket:
    """Opens a new bucket, with a key prefix."""
    return Bucket.connect(f"s3://{server.new_bucket()}/site-a", server.endpoint, data_dir)


def content(files: Files, path: Path) -> bytes | None:
    """Returns the content of a file; None if it does not exist."""
    with files.local_copies([path]) as (copy,):
        return copy.read_bytes() if copy.is_file() else None


def test_adding_an_existing_file_fails_and_changes_nothing(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "instances" / "1.2" / "1.2.3.dcm"
    assert not files.exists(path)
    assert files.add(path, [b"head", b"body"])
    assert not files.add(path, [b"another"])
    assert files.exists(path)
    assert content(files, path) == b"headbody"


def test_of_many_concurrent_writers_exactly_one_adds_its_file(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "instances" / "1.2" / "1.2.3.dcm"
    barrier = threading.Barrier(16)

    def write(number: int) -> bool:
        barrier.wait()
        return files.add(path, [str(number).encode()])

    with ThreadPoolExecutor(16) as writers:
        added = list(writers.map(write, range(16)))
    assert added.count(True) == 1
    assert content(files, path) == str(added.index(True)).encode()


def test_put_replaces_an_existing_file(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "results" / "job" / "result.dcm"
    files.put(path, [b"one"])
    files.put(path, [b"another"])
    assert content(files, path) == b"another"


def test_local_copies_keep_the_order_and_the_names_of_the_files(
    files: Files, tmp_path: Path
) -> None:
    paths = [tmp_path / "instances" / "1.2" / f"{number}.dcm" for number in range(30)]
    for path in reversed(paths):
        files.add(path, [path.name.encode()])
    missing = tmp_path / "instances" / "1.3" / "0.dcm"
    with files.local_copies([*paths, missing]) as found:
        assert [file.name for file in found] == [path.name for path in (*paths, missing)]
        assert [file.read_bytes() for file in found[:-1]] == [p.name.encode() for p in paths]
        assert not found[-1].exists()


def test_removing_files_ignores_missing_ones(files: Files, tmp_path: Path) -> None:
    path, other = tmp_path / "instances" / "1.2" / "1.dcm", tmp_path / "instances" / "1.3" / "1.dcm"
    for one in (path, other):
        files.add(one, [b"any"])
    files.remove([path, path.with_name("2.dcm")])
    assert (files.exists(path), files.exists(other)) == (False, True)
    assert files.add(path, [b"again"])


def test_the_files_of_a_folder_are_listed_in_order(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "instances"
    paths = [folder / "1.2" / f"{number}.dcm" for number in range(3)] + [folder / "1.3" / "1.dcm"]
    for path in (*paths, tmp_path / "results" / "1.dcm"):
        files.add(path, [b"any"])
    assert [kept.path for kept in files.iter_files(folder)] == paths
    assert list(files.iter_files(tmp_path / "nothing")) == []


def test_listing_skips_a_folder_that_is_removed_meanwhile(tmp_path: Path) -> None:
    files, folder = DataFolder(tmp_path), tmp_path / "instances"
    first, second = folder / "1.2" / "1.dcm", folder / "1.3" / "1.dcm"
    for path in (first, second):
        files.add(path, [b"any"])
    found = files.iter_files(folder)
    assert next(found).path == first
    files.remove([second])
    assert not second.parent.exists()
    assert list(found) == []


def test_a_series_is_stored_repaired_and_cleared(
    files: Files, store: Store, tmp_path: Path
) -> None:
    inbox = Inbox(store, 0)
    instances = [
        received(sop_instance_uid=f"1.2.3.{n}", dataset=encoded(sop_instance_uid=f"1.2.3.{n}"))
        for n in range(5)
    ]
    paths = [inbox.accept(instance, NOON).instance.path for instance in instances]
    assert not inbox.accept(instances[0], NOON).is_new
    assert store.count_instances() == 5

    # As after a crash and a disk fault: one file missing, one damaged, one not indexed.
    later = Verification(store, lambda: NOON.timestamp() + 100 * 365 * 24 * HOUR_S)
    assert list(later.findings()) == []
    files.remove([paths[0]])
    files.put(paths[1], [b"damaged"])
    unknown = received(sop_instance_uid="1.2.3.9", dataset=encoded(sop_instance_uid="1.2.3.9"))
    with files.local_copies([paths[2]]) as (intact,):
        head = intact.read_bytes()[: -len(instances[2].dataset)]
    files.add(paths[0].with_name("1.2.3.9.dcm"), [head, unknown.dataset])
    found = list(later.findings())
    assert [one.fault for one in found] == [Fault.MISSING, Fault.DAMAGED, Fault.NOT_INDEXED]
    for one in found:
        later.repair(one, NOON)
    for instance in instances[:2]:
        inbox.accept(instance, NOON)
    assert list(later.findings()) == []
    assert store.count_instances() == 6

    store.record_decision("1.2.3", "{}", SeriesState.IGNORED, NOON, seen_count=6)
    assert store.clear_series("1.2.3", NOON)
    assert list(files.iter_files(tmp_path / "instances")) == []
    assert inbox.accept(instances[0], NOON).is_new


def test_local_copies_from_a_bucket_are_deleted_after_use(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "instances" / "1.2" / "1.dcm"
    bucket.add(path, [b"any"])
    with bucket.local_copies([path]) as (file,):
        copy = file
        assert bucket.remove_abandoned() == 0, "the copy is in use"
    assert not copy.exists()
    assert not path.exists()
    (tmp_path / "at-hand" / "of a dead process").mkdir()
    assert bucket.remove_abandoned() == 1
    assert [one.name for one in (tmp_path / "at-hand").iterdir()] == ["gate.lock"]


def test_a_bucket_that_does_not_answer_raises_transient(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.files.s3._READ_TIMEOUT_S", 1)
    bucket = bucket_of(s3, tmp_path)
    path = tmp_path / "instances" / "1.2" / "1.dcm"
    bucket.add(path, [b"any"])
    bucket.check_writable()
    s3.stop()
    try:
        with pytest.raises(Transient, match="does not answer"):
            bucket.check_writable()
        with pytest.raises(Transient, match="does not answer"):
            bucket.add(path.with_name("2.dcm"), [b"any"])
        with pytest.raises(Transient, match="does not answer"), bucket.local_copies([path]):
            pass
        with pytest.raises(Transient, match="does not answer"):
            bucket.exists(path)
    finally:
        s3.start()
    assert bucket.add(path.with_name("2.dcm"), [b"any"])
    assert content(bucket, path) == b"any"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "nobody")],
)
def test_a_bucket_that_denies_access_is_a_configuration_error(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    name = s3.new_bucket()
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured) as caught:
        Bucket.connect(f"s3://{name}", s3.endpoint, tmp_path)
    assert caught.value.key == "store_url"


def test_a_missing_bucket_is_a_configuration_error(s3: S3Server, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="NoSuchBucket") as caught:
        Bucket.connect("s3://no-such-bucket", s3.endpoint, tmp_path)
    assert caught.value.key == "store_url"


def test_the_secret_key_comes_from_its_file_and_may_be_renewed(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    secret = tmp_path / "secret-key"
    secret.touch(mode=0o600)
    secret.write_text(f"{s3.secret_key}\n")
    text = f'''
        data_dir = "{tmp_path / "data"}"
        store_url = "s3://{s3.new_bucket()}"
        store_endpoint = "{s3.endpoint}"
        store_access_key = "{s3.access_key}"
        store_secret_key_file = "{secret}"
    '''
    config = tmp_path / "segnode.toml"
    config.write_text(text)
    bucket = open_files(load_settings(config))
    path = tmp_path / "data" / "instances" / "1.dcm"
    assert bucket.add(path, [b"any"])
    secret.write_text("of somebody else")
    with pytest.raises(Transient, match="SignatureDoesNotMatch"):
        bucket.add(path, [b"any"])
    secret.unlink()
    with pytest.raises(Transient, match="store_secret_key_file: there is no file"):
        bucket.exists(path)
    with pytest.raises(Misconfigured, match="there is no file") as caught:
        open_files(load_settings(config))
    assert caught.value.key == "store_secret_key_file"
    secret.touch(mode=0o600)
    secret.write_text(s3.secret_key)
    assert bucket.exists(path)
