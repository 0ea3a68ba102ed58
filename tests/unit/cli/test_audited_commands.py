"""Each command of `segnode` has one decision about the audit trail, and keeps it."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from sqlalchemy import text

from node.cli.fetch import _request
from node.cli.options import operating_system_user
from node.dicom.query import FoundSeries
from node.domain.audit.records import AuditAction, AuditInterface
from node.domain.identifiers import Uid
from node.domain.job import HELD, Job, JobState
from node.domain.worklists.work_item import WorkItemState
from node.settings import load_settings
from node.store import Store
from tests.support.audit_records import audit_records, lost_records
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of
from tests.support.whole_command_line import app
from tests.unit.cli.test_cli import run

WORK_CHANGING = {
    "fetch",
    "jobs discard",
    "jobs redirect",
    "jobs release",
    "jobs rerun",
    "jobs retry",
    "jobs start",
    "queue pause",
    "queue resume",
    "store repair",
    "worklist cancel",
}
RECORDED_OTHERWISE = {
    "audit export",
    "audit list",
    "backup",
    "config import",
    "config redact",
    "config rollback",
    "config set",
    "feedback export",
    "jobs export",
    "reload",
    "restore",
    "serve",  # the processes of the node record
    "store delete",
    "tokens create",
    "tokens revoke",
    "users add",
    "users disable",
    "users enable",
    "users reset",
    "users role",
}
# They show series, jobs or work items.
READING = {
    "explain",
    "feedback list",
    "jobs list",
    "jobs show",
    "series list",
    "worklist list",
    "worklist show",
}
# They show or check what is about no patient.
SHOWING = {
    "alerts list",
    "alerts test",
    "audit verify",
    "check",
    "config diff",
    "config export",
    "config list",
    "config show",
    "connections rejected",
    "connections test",
    "health",
    "models agreement",
    "models list",
    "models show",
    "queue list",
    "rules compare",
    "store verify",
    "tokens list",
    "users list",
}
# They work on files beside the node, or on a node of their own.
BESIDE_THE_NODE = {
    "convert",
    "dataset",
    "demo",
    "echo",
    "evaluate",
    "package",
    "segment",
    "send",
    "train",
    "tune",
    "viewer install",
}
CONFIGURATION = """\
data_dir = "data"

[destinations.pacs]
kind = "folder"
path = "pacs"

[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["pacs", "archive"]
when = { attribute = "Modality", equals = "CT" }
"""
Object = tuple[str, str]  # type and identifier
PACS: Object = ("destination", "pacs")
ONE_SERIES: Object = ("series", SERIES)


def commands() -> set[str]:
    """The names of all commands, such as `jobs retry`."""
    found: set[str] = set()
    open_groups = [("", typer.main.get_command(app))]
    while open_groups:
        path, command = open_groups.pop()
        members = getattr(command, "commands", {})
        open_groups += [(f"{path} {name}".strip(), member) for name, member in members.items()]
        if not members:
            found.add(path)
    return found


def test_every_command_has_one_decision_and_every_decision_a_command() -> None:
    decisions = (WORK_CHANGING, RECORDED_OTHERWISE, READING, SHOWING, BESIDE_THE_NODE)
    assert set.union(*decisions) == commands()
    assert sum(map(len, decisions)) == len(commands())


def test_the_environment_does_not_change_who_runs_a_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = pwd.getpwuid(os.getuid()).pw_name
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert operating_system_user() == known
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    assert operating_system_user() == "user 4000000000"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    settings = load_settings(config)
    opened = Store.open(settings.database_url, settings.data_dir)
    add_instances(opened, "1.2.3.1")
    yield opened
    opened.close()


@pytest.fixture
def job(store: Store) -> Job:
    """A queued job."""
    added = job_of(SERIES)
    assert store.add_job(added)
    return added


@pytest.fixture
def delivering(store: Store, job: Job) -> Job:
    """A job whose delivery to the PACS was given up."""
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.add_deliveries(job.job_id, ["pacs"], NOON)
    result = store.data_dir / "results" / "seg.dcm"
    store.change_job(job.job_id, JobState.DELIVERING, NOON, result_path=result)
    store.park_delivery(job.job_id, "pacs", NOON, error="the folder cannot be written")
    return job


class Work:
    """The records about changed work that commands leave."""

    def __init__(self, store: Store, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._store, self._config, self._monkeypatch = store, config, monkeypatch

    def of(self, *arguments: str, status: int = 0) -> list[tuple[tuple[Object, ...], str]]:
        """Objects and detail of the records of all commands so far, after this one."""
        assert run(self._monkeypatch, *arguments, "-c", str(self._config)) == status
        return self.recorded()

    def recorded(self) -> list[tuple[tuple[Object, ...], str]]:
        changes = [
            one
            for one in reversed(audit_records(self._store))
            if one.action == AuditAction.WORK_CHANGED
        ]
        for one in changes:
            assert one.actor == f"{operating_system_user()} (command line)"
            assert one.interface == AuditInterface.CLI
        return [(one.objects, one.detail) for one in changes]


@pytest.fixture
def work(store: Store, config: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(store, config, monkeypatch)


def about(job: Job) -> Object:
    return "job", job.job_id


def test_the_start_of_a_series_is_recorded(work: Work) -> None:
    assert work.of("jobs", "start", "1.9.9", status=1) == []
    assert work.of("jobs", "start", SERIES) == [((ONE_SERIES,), "segnode jobs start")]


def test_a_parked_job_that_is_retried_and_discarded_has_a_record_of_each(
    work: Work, store: Store, job: Job
) -> None:
    store.change_job(job.job_id, JobState.PARKED, NOON, reason="no model")
    retried = ((about(job),), "segnode jobs retry")
    assert work.of("jobs", "retry", job.job_id) == [retried]
    assert work.of("jobs", "discard", job.job_id, "--reason", "x", status=1) == [retried]
    store.change_job(job.job_id, JobState.PARKED, NOON, reason="no model")
    discarded = ((about(job),), "segnode jobs discard")
    assert work.of("jobs", "discard", job.job_id, "--reason", "x") == [retried, discarded]
    rerun = ((about(job),), "segnode jobs rerun")
    assert work.of("jobs", "rerun", job.job_id) == [retried, discarded, rerun]


def test_a_released_job_is_recorded(work: Work, store: Store, job: Job) -> None:
    store.change_job(job.job_id, JobState.PARKED, NOON, reason=f"{HELD}The liver has 3 parts.")
    assert work.of("jobs", "release", job.job_id) == [((about(job),), "segnode jobs release")]


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        (("retry",), "segnode jobs retry"),
        (("retry", "--destination", "pacs"), "segnode jobs retry"),
        (("discard", "--destination", "pacs", "--reason", "x"), "segnode jobs discard"),
        (
            ("redirect", "--destination", "pacs", "--to", "archive"),
            "segnode jobs redirect --to archive",
        ),
    ],
)
def test_changed_deliveries_are_recorded(
    work: Work, delivering: Job, arguments: tuple[str, ...], detail: str
) -> None:
    (((job, delivery), recorded),) = work.of("jobs", *arguments, delivering.job_id)
    assert (job, recorded) == (about(delivering), detail)
    assert delivery == ("delivery", "pacs")


def test_pauses_are_recorded_where_they_change_something(work: Work) -> None:
    destination = ("--destination", "pacs")
    paused = ((PACS,), "segnode queue pause: the destination pacs")
    resumed = ((PACS,), "segnode queue resume: the destination pacs")
    assert work.of("queue", "pause", *destination) == [paused]
    assert work.of("queue", "pause", *destination) == [paused]
    assert work.of("queue", "resume", *destination) == [paused, resumed]
    assert work.of("queue", "resume", *destination) == [paused, resumed]
    assert work.of("queue", "pause", "--inference")[2:] == [
        ((), "segnode queue pause: the inference")
    ]


def test_a_requested_retrieval_is_recorded(work: Work, config: Path) -> None:
    found = FoundSeries(Uid("1.2"), SERIES, "20260101", "CT", "Abdomen", 120)
    _request(load_settings(config), "pacs", [found])
    assert work.recorded() == [((ONE_SERIES,), "segnode fetch pacs")]


def test_a_repair_is_recorded_if_there_was_a_fault(work: Work, store: Store) -> None:
    # The index of this store names a file that does not exist.
    assert work.of("store", "repair") == [((), "segnode store repair: 1 missing")]


def test_the_cancellation_of_a_work_item_is_recorded(work: Work, store: Store) -> None:
    store.add_work_item(
        "hospital", Uid("1.9"), NOON, transaction_uid=Uid("2.25.4"), rule="liver", code=None
    )
    (item,) = store.open_work_items("hospital")
    store.change_work_item(item, WorkItemState.CLAIMED, LATER, reason="")
    recorded = ((("work item", "1.9"),), "segnode worklist cancel")
    assert work.of("worklist", "cancel", "1.9") == [recorded]


def test_a_change_without_its_record_stays_and_the_record_is_counted(
    work: Work, store: Store, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    with store._database.writing() as connection:
        connection.execute(text("DROP TABLE audit_records"))
    assert run(monkeypatch, "queue", "pause", "--inference", "-c", str(config)) == 0
    assert store.pauses()
    assert lost_records(store) == 1


@pytest.mark.parametrize(
    ("command", "action", "shown"),
    [
        (["series", "list", "liver"], "searched", ("query", "series list liver -c {config}")),
        (["jobs", "list"], "searched", ("query", "jobs list -c {config}")),
        (["feedback", "list"], "searched", ("query", "feedback list -c {config}")),
        (["worklist", "list"], "searched", ("query", "worklist list -c {config}")),
        (["jobs", "show", "{job}"], "patient data read", ("job", "{job}")),
        (["explain", SERIES], "patient data read", ONE_SERIES),
        (["worklist", "show", "1.9"], "patient data read", ("work item", "1.9")),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_what_a_command_shows_is_recorded(
    store: Store,
    job: Job,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    action: str,
    shown: Object,
) -> None:
    assert " ".join(command[:2]) in READING | {f"explain {SERIES}"}
    store.add_work_item(
        "hospital", Uid("1.9"), NOON, transaction_uid=Uid("2.25.4"), rule="liver", code=None
    )
    names = {"job": job.job_id, "config": str(config)}
    assert run(monkeypatch, *(word.format(**names) for word in command), "-c", str(config)) == 0
    record = audit_records(store)[0]
    assert (record.action, record.interface) == (action, "cli")
    assert record.objects == ((shown[0], shown[1].format(**names)),)
