"""What holds for every test: on continuous integration nothing may be skipped.

And the object store, which tests of several folders use.
"""

import gc
import os
from collections.abc import Generator, Iterator

import pytest
from argon2 import PasswordHasher
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import settings
from pytest import CollectReport, TestReport

from node.access import passwords
from node.store import migrate, store
from tests.support.migrated_database import MigratedDatabase
from tests.support.servers.s3_server import S3Server

# No test asserts a time: a busy machine takes longer than Hypothesis expects.
settings.register_profile("segnode", deadline=None)
settings.load_profile("segnode")

_REAL_HASHER = passwords._HASHER

_CI = os.environ.get("CI", "").lower() in {"1", "true"}


# A request to a node waits for a busy machine; httpx gives up after 5 s otherwise.
for _phase in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, _phase, 60.0)

# Long modules run first, so that none of them runs alone in the end.
_LONGEST = (
    "tests/faults/",
    "tests/web/test_ohif",
    "tests/pacs/",
    "tests/docs/test_guides",
    "tests/unit/test_distribution",
    "tests/web/",
)


def _rank(item: pytest.Item) -> int:
    prefixes = (rank for rank, prefix in enumerate(_LONGEST) if item.nodeid.startswith(prefix))
    return next(prefixes, len(_LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the modules: the longest first."""
    items.sort(key=_rank)


def _skip_becomes_failure(report: TestReport | CollectReport) -> None:
    if _CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which continuous integration does not allow: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keeps the garbage collector from the modules and tests, which live as long as the process.

    To search them again and again would take half of the time of the collection of tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, TestReport, TestReport]:
    report = yield
    _skip_becomes_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, CollectReport, CollectReport]:
    report = yield
    _skip_becomes_failure(report)
    return report


@pytest.fixture(scope="session", autouse=True)
def _migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Embedded databases are migrated once per test process, not for every test."""
    migrated = MigratedDatabase(tmp_path_factory.mktemp("migrated"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "run_migrations", migrated.run_migrations)
        yield


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Passwords are hashed with the least work; the unit test of `passwords` has the real work."""
    with pytest.MonkeyPatch.context() as patch:
        quick_hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(passwords, "_HASHER", quick_hasher)
        yield


@pytest.fixture
def real_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests about the work of a hash: passwords are hashed as a node does."""
    monkeypatch.setattr(passwords, "_HASHER", _REAL_HASHER)


@pytest.fixture(autouse=True)
def _own_umask() -> Iterator[None]:
    """A command that a test runs in this process changes the umask; the next test has its own."""
    umask = os.umask(0o022)
    os.umask(umask)
    yield
    os.umask(umask)


@pytest.fixture
def each_database_migrates(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests about migrations: every new database runs them."""
    monkeypatch.setattr(store, "run_migrations", migrate.run_migrations)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An object store, started for the first test that wants it."""
    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The object store, with our keys for it where boto3 looks for them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return s3_server
