"""Series completion: when a received series is decided, and which jobs follow."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from node.domain.audit.records import AuditActor, AuditInterface
from node.domain.delivery import Receipt
from node.domain.errors import Transient
from node.domain.identifiers import Uid
from node.domain.incomplete_series import RefusedImage
from node.domain.job import Job, JobState, Priority
from node.domain.result_objects import SEG, ObjectUids
from node.domain.series import Deletion, SeriesState, StoredSeries
from node.intake.inbox import Inbox
from node.jobs.series_completion import SeriesCompletion
from node.routing.conditions import AtLeastSlices, Equals, Matches, Not
from node.routing.patterns import compile_pattern
from node.routing.rules import Rule
from node.store import Store
from tests.support.factories import NOON, SERIES, encoded, received, sqlite_url
from tests.support.query_costs import statements_of

LIVER = Rule("liver", "liver-ct", ("pacs",), Equals("Modality", "CT"), 10.0)


@dataclass
class Site:
    """Series completion on a real store, with clocks that the test sets."""

    folder: Path
    now: datetime = NOON
    monotonic_offset_s: float = 0.0  # monotonic clock minus system clock
    versions: dict[str, str] = field(default_factory=lambda: {"liver-ct": "1.0", "spleen": "2"})

    def __post_init__(self) -> None:
        self.store = Store.open(sqlite_url(self.folder), self.folder)
        self.inbox = Inbox(self.store, 0)

    def completion(self, *rules: Rule) -> SeriesCompletion:
        return SeriesCompletion(
            store=self.store,
            rules=rules,
            quiet_seconds=10.0,
            installed_version=lambda model_id: self.versions[model_id],
            now=lambda: self.now,
            clock=lambda: (self.now - NOON).total_seconds() + self.monotonic_offset_s,
            hinted=self.store.hinted_series,
        )

    def receive(self, number: int, **attributes: object) -> None:
        uid = f"{SERIES}.{number}"
        dataset = encoded(sop_instance_uid=uid, attributes=attributes)
        self.inbox.accept(received(sop_instance_uid=uid, dataset=dataset), self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def set_clock(self, hours: int) -> None:
        """Sets the system clock; the monotonic clock is unaffected."""
        self.pass_time(hours * 3600.0)
        self.monotonic_offset_s -= hours * 3600.0

    def state(self) -> SeriesState:
        series = self.store.get_series(SERIES)
        assert series is not None
        return series.state


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site that has not received anything yet."""
    made = Site(tmp_path)
    yield made
    made.store.close()


def test_the_images_of_a_series_that_waits_are_read_once(site: Site) -> None:
    slow = replace(LIVER, quiet_seconds=60.0)
    other = Rule("other", "spleen", ("pacs",), Equals("Modality", "MR"), 1.0)
    completion = site.completion(slow, other)
    site.receive(1)
    for seconds in (0.0, 5.0, 5.0):
        site.pass_time(seconds)
        completion.poll()
    with statements_of(site.store) as statements:
        for _ in range(3):
            site.pass_time(5.0)
            completion.poll()
    assert not [sql for sql, _ in statements if sql.startswith("SELECT instances")]
    site.receive(2)
    completion.poll()
    site.pass_time(60.0)
    completion.poll()
    assert site.state() is SeriesState.ACCEPTED
    assert [job.instance_count for job in site.store.jobs_of(SERIES)] == [2]


def test_a_series_waits_for_its_quiet_time(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.pass_time(9.9)
    completion.poll()
    assert site.store.jobs_of(SERIES) == ()

    site.pass_time(0.2)
    completion.poll()
    (job,) = site.store.jobs_of(SERIES)
    assert (job.state, job.model_id, job.destinations) == (JobState.QUEUED, "liver-ct", ("pacs",))
    assert site.state() is SeriesState.ACCEPTED


def test_a_series_that_its_sender_calls_complete_is_decided_at_once(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    completion.poll()
    site.store.record_completion_hint([SERIES], site.now, "CT1 has released its association")
    completion.poll()
    assert [job.instance_count for job in site.store.jobs_of(SERIES)] == [1]

    site.pass_time(1.0)
    site.receive(2)
    completion.poll()
    assert len(site.store.jobs_of(SERIES)) == 1, "the hint was about the images before"
    site.pass_time(10.1)
    completion.poll()
    assert [job.instance_count for job in site.store.jobs_of(SERIES)] == [1, 2]


def test_a_series_with_refused_images_waits_whatever_its_sender_says(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    image = RefusedImage(Uid(SERIES), Uid(f"{SERIES}.2"), "no space", site.now)
    site.store.record_refused_images([image])
    site.store.record_completion_hint([SERIES], site.now, "CT1 has released its association")
    completion.poll()
    assert site.state() is SeriesState.RECEIVING


def test_the_end_of_the_next_quiet_time_is_known(site: Site) -> None:
    completion = site.completion(LIVER)
    completion.poll()
    assert completion.due_in_s() is None
    site.receive(1)
    site.pass_time(4.0)
    completion.poll()
    assert completion.due_in_s() == pytest.approx(6.0)


@pytest.mark.parametrize("hours", [-1, 1])
def test_setting_the_clock_neither_truncates_nor_delays_a_series(site: Site, hours: int) -> None:
    completion = site.completion(LIVER)
    completion.poll()
    site.receive(1)
    site.pass_time(1)
    completion.poll()
    site.set_clock(hours)
    site.pass_time(5)
    completion.poll()
    assert site.store.jobs_of(SERIES) == ()

    site.receive(2)
    site.pass_time(1)
    completion.poll()
    site.pass_time(9.5)
    completion.poll()
    (job,) = site.store.jobs_of(SERIES)
    assert job.instance_count == 2


def test_an_instance_received_while_the_clock_is_set_waits_for_its_quiet_time(
    site: Site,
) -> None:
    completion = site.completion(LIVER)
    completion.poll()
    site.receive(1)
    site.set_clock(1)
    site.pass_time(1)
    completion.poll()
    assert site.store.jobs_of(SERIES) == ()


def test_a_second_poll_creates_no_second_job(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.pass_time(11)
    completion.poll()
    completion.poll()

    assert len(site.store.jobs_of(SERIES)) == 1


def test_the_trail_has_the_decision_before_its_job(site: Site) -> None:
    def moving_clock() -> datetime:
        site.pass_time(0.001)
        return site.now

    site.receive(1)
    completion = replace(site.completion(LIVER), now=moving_clock)
    completion.poll()
    site.pass_time(10)
    completion.poll()
    (job,) = site.store.jobs_of(SERIES)
    events = [event.event for event in site.store.history_of_all([SERIES, job.job_id])]
    assert events == ["series.accepted", "job.queued"]


def test_the_quiet_time_is_that_of_the_matching_rule(site: Site) -> None:
    slow = Rule("slow", "liver-ct", ("pacs",), Equals("Modality", "CT"), 60.0)
    quick = Rule("quick", "liver-ct", ("pacs",), Equals("Modality", "MR"), 1.0)
    completion = site.completion(slow, quick)
    site.receive(1)
    site.pass_time(30)
    completion.poll()
    assert site.state() is SeriesState.RECEIVING

    site.pass_time(31)
    completion.poll()
    assert len(site.store.jobs_of(SERIES)) == 1


def test_an_explicit_start_skips_the_quiet_time(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.store.request_start(SERIES, site.now)
    completion.poll()

    assert len(site.store.jobs_of(SERIES)) == 1


def test_a_series_that_no_rule_matches_is_ignored_and_the_reason_stored(site: Site) -> None:
    completion = site.completion(Rule("big", "liver-ct", ("pacs",), AtLeastSlices(20), 1.0))
    site.receive(1)
    site.pass_time(11)
    completion.poll()

    assert site.state() is SeriesState.IGNORED
    assert "20" in (site.store.decision_of(SERIES) or "")


def test_a_late_slice_creates_a_new_job_and_supersedes_the_undelivered_one(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.pass_time(11)
    completion.poll()
    site.receive(2)
    site.pass_time(11)
    completion.poll()

    first, second = site.store.jobs_of(SERIES)
    assert (first.state, second.state) == (JobState.SUPERSEDED, JobState.QUEUED)
    assert second.instance_count == 2
    assert second.replaces is None


def test_a_late_slice_after_delivery_creates_a_job_that_names_the_replaced_result(
    site: Site,
) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.pass_time(11)
    completion.poll()
    (first,) = site.store.jobs_of(SERIES)
    site.store.change_job(first.job_id, JobState.RUNNING, site.now)
    site.store.add_deliveries(first.job_id, ["pacs"], site.now)
    site.store.change_job(first.job_id, JobState.DELIVERING, site.now)
    site.store.record_receipt(first.job_id, "pacs", Receipt("pacs", "taken"), site.now)
    site.store.change_job(first.job_id, JobState.DELIVERED, site.now)
    site.receive(2)
    site.pass_time(11)
    completion.poll()

    first, second = site.store.jobs_of(SERIES)
    assert first.state is JobState.DELIVERED
    assert second.replaces is not None
    assert second.replaces.sop_instance_uid == ObjectUids(first.job_id, SEG).sop_instance_uid()
    assert second.replaces.instance_count == 1


def test_resent_slices_create_no_second_job(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.pass_time(11)
    completion.poll()
    site.receive(1)
    site.pass_time(11)
    completion.poll()

    assert len(site.store.jobs_of(SERIES)) == 1


def decided_and_ended(site: Site, completion: SeriesCompletion, *states: JobState) -> Job:
    """Receives an image, waits for the decision and changes the new job to each of the states."""
    site.receive(1)
    site.pass_time(11)
    completion.poll()
    (job,) = site.store.jobs_of(SERIES)
    assert job.state is JobState.QUEUED
    for state in (JobState.RUNNING, *states):
        site.store.change_job(job.job_id, state, site.now, reason="image 1 is damaged")
    return job


@pytest.mark.parametrize("ended", [[JobState.REFUSED], [JobState.PARKED, JobState.DISCARDED]])
def test_a_job_without_a_result_runs_again_when_its_deleted_images_are_sent_again(
    site: Site, ended: list[JobState]
) -> None:
    completion = site.completion(LIVER)
    first = decided_and_ended(site, completion, *ended)
    person = AuditActor("dora", AuditInterface.CLI)
    deletion = site.store.delete_series(SERIES, site.now, by=person, reason="damaged")
    assert deletion is Deletion.DELETED
    again = decided_and_ended(site, completion, *ended)
    assert again.job_id == first.job_id
    events = [event.event for event in site.store.history_of(first.job_id)]
    assert events.count("job.rerun") == 1

    site.receive(1)  # without another deletion, nothing changes
    site.pass_time(11)
    completion.poll()
    (job,) = site.store.jobs_of(SERIES)
    assert (job.state, job.reason) == (ended[-1], "image 1 is damaged")


def test_a_job_with_a_result_does_not_run_again_when_its_images_are_sent_again(site: Site) -> None:
    completion = site.completion(LIVER)
    decided_and_ended(site, completion, JobState.DELIVERING, JobState.DELIVERED)
    person = AuditActor("dora", AuditInterface.CLI)
    deletion = site.store.delete_series(SERIES, site.now, by=person, reason="no longer needed")
    assert deletion is Deletion.DELETED
    site.receive(1)
    site.pass_time(11)
    completion.poll()
    (job,) = site.store.jobs_of(SERIES)
    assert job.state is JobState.DELIVERED


def test_two_rules_for_one_model_create_one_job_for_both_destinations(site: Site) -> None:
    also = Rule("research", "liver-ct", ("archive", "pacs"), Equals("Modality", "CT"), 1.0)
    other = Rule("spleen", "spleen", ("archive",), Equals("Modality", "CT"), 1.0)
    completion = site.completion(LIVER, also, other)
    site.receive(1)
    site.pass_time(11)
    completion.poll()

    jobs = {job.model_id: job for job in site.store.jobs_of(SERIES)}
    assert jobs["liver-ct"].destinations == ("pacs", "archive")
    assert jobs["liver-ct"].rule == "liver, research"
    assert jobs["spleen"].destinations == ("archive",)


def test_a_defect_in_one_series_does_not_stop_the_others(site: Site) -> None:
    completion = site.completion(
        Rule("gone", "no-such-model", ("pacs",), AtLeastSlices(2), 1.0), LIVER
    )
    site.receive(1)
    site.receive(2)
    dataset = encoded(sop_instance_uid="1.9.1", series_instance_uid="1.9")
    site.inbox.accept(
        received(sop_instance_uid="1.9.1", series_instance_uid="1.9", dataset=dataset), site.now
    )
    site.pass_time(11)
    completion.poll()

    assert site.state() is SeriesState.RECEIVING
    assert any(event.event == "defect" for event in site.store.history_of(SERIES))
    assert len(site.store.jobs_of("1.9")) == 1


def test_a_series_whose_file_cannot_be_read_is_ignored(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    (instance,) = site.store.instances_of(SERIES)
    instance.path.write_bytes(b"damaged")
    site.pass_time(11)
    completion.poll()

    assert site.state() is SeriesState.IGNORED


def test_a_series_with_one_unreadable_image_is_decided_by_the_others(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.receive(2)
    site.store.instances_of(SERIES)[0].path.write_bytes(b"damaged")
    site.pass_time(11)
    completion.poll()

    assert site.state() is SeriesState.ACCEPTED


def test_a_localizer_does_not_decide_for_the_slices(site: Site) -> None:
    localizer = Matches("ImageType", compile_pattern("^LOCALIZER$"))
    completion = site.completion(replace(LIVER, when=Not(localizer)))
    site.receive(1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    site.receive(2, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    site.pass_time(11)
    completion.poll()

    assert site.state() is SeriesState.ACCEPTED


def test_a_series_of_localizers_is_decided_as_such(site: Site) -> None:
    localizer = Matches("ImageType", compile_pattern("^LOCALIZER$"))
    completion = site.completion(replace(LIVER, when=Not(localizer)))
    site.receive(1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    site.pass_time(11)
    completion.poll()

    assert site.state() is SeriesState.IGNORED


def test_a_temporary_disk_error_does_not_make_a_series_ignored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(_path: Path, **_options: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    completion = site.completion(LIVER)
    site.receive(1)
    site.pass_time(11)
    with monkeypatch.context() as patched:
        patched.setattr("node.jobs.stored_facts.dcmread", stale)
        with pytest.raises(Transient, match="Stale file handle"):
            completion.poll()
    assert site.state() is SeriesState.RECEIVING
    completion.poll()
    assert site.state() is SeriesState.ACCEPTED


def test_a_job_has_the_highest_priority_of_its_matching_rules(site: Site) -> None:
    urgent = replace(LIVER, name="emergency", priority=Priority.STAT)
    other = replace(LIVER, name="spleen", model="spleen")
    site.receive(1)
    site.pass_time(11)
    site.completion(LIVER, urgent, other).poll()
    found = {job.model_id: job.priority for job in site.store.jobs_of(SERIES)}
    assert found == {"liver-ct": Priority.STAT, "spleen": Priority.ROUTINE}


def refused(number: int) -> RefusedImage:
    return RefusedImage(SERIES, Uid(f"{SERIES}.{number}"), "the disk is full", NOON)


def test_a_series_waits_for_an_image_that_was_refused(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.store.record_refused_images([refused(2)])
    for _ in range(3):
        site.pass_time(3600)
        completion.poll()
    assert site.state() is SeriesState.RECEIVING

    site.receive(2)
    completion.poll()
    assert site.state() is SeriesState.RECEIVING, "the quiet time follows the last image"
    site.pass_time(10)
    completion.poll()
    assert [job.instance_count for job in site.store.jobs_of(SERIES)] == [2]


def test_a_person_can_start_a_series_without_the_images_that_were_refused(site: Site) -> None:
    completion = site.completion(LIVER)
    site.receive(1)
    site.store.record_refused_images([refused(2)])
    site.store.request_start(SERIES, site.now)
    completion.poll()
    assert [job.instance_count for job in site.store.jobs_of(SERIES)] == [1]
    assert site.store.incomplete_series() == {}


def test_a_series_waits_for_the_end_of_its_retrieval(site: Site) -> None:
    completion = site.completion(LIVER)
    number = site.store.request_retrieval("pacs", Uid("1.2"), SERIES, site.now)
    site.receive(1)
    site.pass_time(3600)
    completion.poll()
    assert site.state() is SeriesState.RECEIVING

    site.store.finish_retrieval(number, site.now)
    completion.poll()
    assert site.state() is SeriesState.ACCEPTED


def test_after_an_outage_of_the_database_senders_have_the_quiet_time_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_store: Store) -> list[StoredSeries]:
        raise Transient("the database does not answer")

    completion = site.completion(LIVER)
    site.receive(1)
    site.pass_time(5)
    completion.poll()
    with monkeypatch.context() as outage:
        outage.setattr(Store, "open_series", fail)
        for _ in range(2):
            site.pass_time(60)
            with pytest.raises(Transient):
                completion.poll()
    site.pass_time(9)
    completion.poll()
    assert site.state() is SeriesState.RECEIVING
    site.pass_time(1)
    completion.poll()
    assert site.state() is SeriesState.ACCEPTED
