"""`segnode queue`, and the commands of `segnode jobs` about deliveries."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cli.options import operating_system_user
from node.domain.delivery import DeliveryKey, DeliveryState, removed_destination
from node.domain.job import Job, JobState
from node.domain.queues.pause import INFERENCE, Queue
from node.domain.result_objects import NOTICE, ResultKind, ResultObject, StoredObject
from node.domain.series import SeriesState
from node.settings import load_settings
from node.store import Store
from node.store.jobs.outcomes import SeriesOutcome
from node.web.api.serialization import series_to_json
from node.web.console.views import series_view
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of
from tests.unit.cli.test_cli import run

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
ERROR = "the folder cannot be written"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    settings = load_settings(config)
    opened = Store.open(settings.database_url, settings.data_dir)
    yield opened
    opened.close()


@pytest.fixture
def job(store: Store) -> Job:
    """A job whose delivery to the PACS was given up while that to the archive is retried."""
    add_instances(store, "1.2.3.1")
    added = job_of(SERIES)
    assert store.add_job(added)
    store.change_job(added.job_id, JobState.RUNNING, NOON)
    store.add_deliveries(added.job_id, ["pacs", "archive"], NOON)
    result = store.data_dir / "results" / "seg.dcm"
    done = store.change_job(added.job_id, JobState.DELIVERING, NOON, result_path=result)
    store.park_delivery(added.job_id, "pacs", NOON, error=ERROR)
    store.record_failed_delivery(added.job_id, "archive", NOON, error="no space", next_try_at=LATER)
    return done


@pytest.fixture
def segnode(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> "Segnode":
    return Segnode(config, monkeypatch, capsys)


class Segnode:
    """Runs commands with the configuration."""

    def __init__(
        self,
        config: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self._config, self._monkeypatch, self._capsys = config, monkeypatch, capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Returns what the command prints."""
        assert run(self._monkeypatch, *arguments, "-c", str(self._config)) == status
        printed = self._capsys.readouterr()
        return printed.err if status else printed.out


def state(store: Store, job: Job, key: str) -> DeliveryState:
    found = store.get_delivery(job.job_id, key)
    assert found is not None
    return found.state


def test_a_refused_series_is_refused_everywhere_while_its_notice_waits(
    segnode: Segnode, store: Store
) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.record_decision(SERIES, '{"matches": []}', SeriesState.ACCEPTED, NOON, 1, jobs=[job])
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.add_deliveries(job.job_id, [str(DeliveryKey("pacs", NOTICE))], NOON)
    notice = store.data_dir / "results" / job.job_id / "notice.dcm"
    reason = "The series has 3 slices."
    store.change_job(job.job_id, JobState.DELIVERING, NOON, reason=reason, result_path=notice)
    about = f"  job {job.job_id[:8]} refused: {reason} The refusal notice is being delivered."
    listed = segnode("jobs", "list", "--state", "refused")
    assert about in listed
    assert "    notice@pacs waiting" in listed
    assert segnode("jobs", "list", "--state", "delivering") == "No series matches.\n"
    assert json.loads(segnode("jobs", "show", job.job_id))["state"] == "refused"
    assert about in segnode("series", "list", "--state", "refused")
    assert segnode("series", "list", "--state", "working") == "No series found.\n"
    assert f"Job {job.job_id[:8]} (liver-ct 1.0): refused" in segnode("explain", SERIES)
    counts = store.count_jobs()
    assert (counts[JobState.REFUSED], counts[JobState.DELIVERING]) == (1, 0)
    series = store.get_series(SERIES)
    assert series is not None
    found = SeriesOutcome(series, store.jobs_of(SERIES))
    as_json = series_to_json(found)
    assert (as_json["outcome"], as_json["reason"]) == ("refused", reason)
    assert as_json["jobs"][0]["state"] == "refused"
    view = series_view(store, found, ("pacs",))
    assert view.state.label == "Refused"
    assert [each.destination for each in view.current_jobs[0].deliveries] == ["pacs"]


def test_the_list_names_the_failing_destination_and_its_next_attempt(
    segnode: Segnode, job: Job
) -> None:
    lines = segnode("jobs", "list").splitlines()
    assert lines[2:] == [
        f"  job {job.job_id[:8]} delivering",
        "    archive waiting after 1 attempt: no space; next attempt 2026-01-02 12:01:00 UTC",
        f"    pacs given up after 1 attempt: {ERROR}",
    ]
    (series,) = json.loads(segnode("jobs", "list", "--json", "--destination", "pacs"))
    archive, pacs = series["jobs"][0]["deliveries"]
    assert (archive["destination"], archive["next_try_at"]) == ("archive", str(LATER))
    assert (pacs["state"], pacs["last_error"], pacs["attempts"]) == ("parked", ERROR, 1)


def test_explain_says_what_waits_for_a_removed_destination_and_what_to_do(
    segnode: Segnode, store: Store, job: Job
) -> None:
    store.record_decision(SERIES, '{"matches": []}', SeriesState.ACCEPTED, NOON, 1)
    store.add_deliveries(job.job_id, ["old"], NOON)
    error = removed_destination("old")
    store.record_failed_delivery(job.job_id, "old", NOON, error=error, next_try_at=LATER)
    assert segnode("explain", SERIES).splitlines()[-4:] == [
        f"Job {job.job_id[:8]} (liver-ct 1.0): delivering",
        "    archive waiting after 1 attempt: no space; next attempt 2026-01-02 12:01:00 UTC",
        "    old waiting after 1 attempt: the configuration no longer has a destination 'old': "
        "redirect or discard what waits for it (page Queues; segnode jobs redirect, segnode jobs "
        "discard), or add it again; next attempt 2026-01-02 12:01:00 UTC",
        f"    pacs given up after 1 attempt: {ERROR}",
    ]


@pytest.mark.parametrize(
    ("options", "is_listed"),
    [
        (["--state", "delivering"], True),
        (["--state", "delivered"], False),
        (["--state", "receiving"], True),
        (["--state", "ignored"], False),
        (["--destination", "archive"], True),
        (["--destination", "his"], False),
        (["--since", "2026-01-02T00:00+00:00"], True),
        (["--since", "2026-01-03"], False),
    ],
)
def test_the_list_is_narrowed(
    segnode: Segnode, job: Job, options: list[str], is_listed: bool
) -> None:
    printed = segnode("jobs", "list", *options)
    assert (SERIES in printed) is is_listed
    assert ("No series matches." in printed) is not is_listed


def test_the_deliveries_of_a_job_that_delivers_are_retried_now(
    segnode: Segnode, store: Store, job: Job
) -> None:
    assert segnode("jobs", "retry", job.job_id[:8]) == "2 deliveries are due now.\n"
    assert state(store, job, "pacs") is DeliveryState.WAITING
    assert len(store.delivery_requests(10)) == 2


def test_the_deliveries_of_a_destination_are_retried_by_state(
    segnode: Segnode, store: Store, job: Job
) -> None:
    command = ("jobs", "retry", "--destination", "pacs", "--all", "--state")
    message = segnode(*command, "waiting", status=1)
    assert "no delivery that waits or was given up is selected" in message
    assert segnode(*command, "parked") == "1 delivery is due now.\n"
    assert state(store, job, "pacs") is DeliveryState.WAITING


def test_a_delivery_is_discarded_with_a_reason(segnode: Segnode, store: Store, job: Job) -> None:
    command = ("jobs", "discard", job.job_id[:8], "--destination", "pacs")
    assert "Missing option '--reason'" in segnode(*command, status=2)
    assert "say why" in segnode(*command, "--reason", " ", status=2)
    assert segnode(*command, "--reason", "sent by hand") == "1 delivery is discarded.\n"
    assert state(store, job, "pacs") is DeliveryState.DISCARDED
    assert (
        store.history_of(job.job_id)[-1].detail
        == f"pacs: by {operating_system_user()} (cli): sent by hand"
    )


def test_a_delivery_is_redirected(segnode: Segnode, store: Store, job: Job) -> None:
    command = ("jobs", "redirect", job.job_id[:8], "--destination", "pacs", "--to")
    assert "there is no destination 'his'" in segnode(*command, "his", status=1)
    assert segnode(*command, "archive") == "1 delivery is redirected to archive.\n"
    assert state(store, job, "pacs") is DeliveryState.DISCARDED


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "retry"),
        ("jobs", "retry", "--all"),
        ("jobs", "retry", "abc", "--destination", "pacs", "--all"),
        ("jobs", "redirect", "abc", "--destination", "pacs"),
        ("queue", "pause"),
        ("queue", "resume", "--inference", "--destination", "pacs"),
    ],
    ids=" ".join,
)
def test_an_incomplete_choice_is_a_usage_error(
    segnode: Segnode, arguments: tuple[str, ...]
) -> None:
    assert "Invalid value" in segnode(*arguments, status=2)


def test_a_retry_names_a_destination_that_is_paused(segnode: Segnode, job: Job) -> None:
    segnode("queue", "pause", "--destination", "pacs")
    warning = "The destination pacs is paused"
    assert warning in segnode("jobs", "retry", "--destination", "pacs", "--all")
    segnode("queue", "resume", "--destination", "pacs")
    assert warning not in segnode("jobs", "retry", "--destination", "pacs", "--all")


def test_queues_are_paused_listed_and_resumed(segnode: Segnode, store: Store, job: Job) -> None:
    pause = ("queue", "pause", "--destination", "pacs", "--reason", "an upgrade")
    assert segnode(*pause) == "The destination pacs is paused.\n"
    assert segnode(*pause) == "The destination pacs is paused already.\n"
    segnode("queue", "pause", "--inference")
    assert set(store.pauses()) == {INFERENCE, Queue.of_destination("pacs")}
    pacs, error, archive, _, inference = segnode("queue", "list").splitlines()
    assert pacs.startswith("pacs: 0 waiting, 1 given up, the oldest since 2026-01-02 12:00:00 UTC")
    assert pacs.endswith(": an upgrade")
    assert error.strip() == ERROR
    assert archive.endswith("next attempt 2026-01-02 12:01:00 UTC")
    assert inference.startswith("inference: 0 waiting, 0 running; paused since")
    listed = json.loads(segnode("queue", "list", "--json"))
    assert listed["destinations"][0]["pause"]["reason"] == "an upgrade"
    assert "there is no destination 'his'" in segnode(
        "queue", "pause", "--destination", "his", status=1
    )
    assert segnode("queue", "resume", "--inference") == "The inference is resumed.\n"
    assert segnode("queue", "resume", "--inference") == "The inference is not paused.\n"


def test_show_prints_the_deliveries_before_the_objects_with_their_number_and_folder(
    segnode: Segnode, store: Store, job: Job
) -> None:
    folder = store.data_dir / "results" / job.job_id / "capture"
    paths = tuple(folder / f"{number:04d}.dcm" for number in range(100))
    capture = ResultObject(ResultKind.CAPTURE)
    store.record_objects([StoredObject(job.job_id, capture, "1.2", paths, 1000)])
    printed = segnode("jobs", "show", job.job_id[:8])
    shown = json.loads(printed)
    assert list(shown)[-2:] == ["deliveries", "objects"]
    assert shown["objects"]["capture"] == {"images": 100, "folder": str(folder)}
    assert "0042.dcm" not in printed
