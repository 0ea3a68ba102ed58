"""The console shows each acquisition of a series with its own state, result and deliveries."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from node.domain.job import Job, JobState
from node.domain.series import SeriesState, StoredSeries
from node.routing.rule_matching import decide
from node.routing.series_facts import SeriesFacts
from tests.support.browser.busy_console import CONFIGURATION, open_console
from tests.support.dicom.builders import ct_series
from tests.support.factories import job_of, part_of_two
from tests.support.servers.served_node import ServedNode, served_node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    with served_node(tmp_path, CONFIGURATION) as served:
        yield served


@pytest.fixture
def console(page: Page, node: ServedNode) -> Iterator[Page]:
    with open_console(page, node.url) as opened:
        yield opened


@pytest.fixture
def series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    """A series of which one part is segmented and the other is refused."""
    received = node.receive(ct_series(), tmp_path / "ct")
    uid, now = received.series_instance_uid, datetime.now(UTC)
    facts = SeriesFacts({"Modality": ("CT",)}, 48, "CT_ROOM_1")
    decision = replace(decide(node.settings.rules, facts), parts=("acquisition 1", "acquisition 2"))
    node.store.record_decision(
        uid, decision.to_json(), SeriesState.ACCEPTED, now, seen_count=24, jobs=jobs_of(received)
    )
    node.finish_job(jobs_of(received)[0])
    node.store.change_job("part2", JobState.RUNNING, now)
    node.store.change_job("part2", JobState.REFUSED, now, reason="slices are missing")
    return received


def jobs_of(series: StoredSeries) -> list[Job]:
    return [
        replace(
            job_of(series.series_instance_uid, job_id=f"part{number}"),
            study_instance_uid=series.study_instance_uid,
            part=part_of_two(number),
        )
        for number in (1, 2)
    ]


def test_the_list_shows_the_state_and_volume_of_each_part(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    row = console.locator("tr[id^=series-]").first
    expect(row).to_contain_text("acquisition 1 Delivering")
    expect(row).to_contain_text("acquisition 2 Refused")
    expect(row).to_contain_text("Slices are missing.")
    expect(row).to_contain_text("Liver, acquisition 1")
    expect(row).to_contain_text("archive acquisition 1 waiting")


@pytest.mark.parametrize(("state", "count"), [("refused", 1), ("working", 1), ("ignored", 0)])
def test_a_series_is_listed_under_the_state_of_each_part(
    state: str, count: int, console: Page, node: ServedNode, series: StoredSeries
) -> None:
    console.goto(f"{node.url}/?show={state}")
    expect(console.locator("tr[id^=series-]")).to_have_count(count)


def test_the_page_of_the_series_has_a_section_for_each_part(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    console.goto(f"{node.url}/series/{series.series_instance_uid}")
    headings = console.get_by_role("heading", name="liver-ct 1.0 acquisition")
    expect(headings).to_have_count(2)
    expect(headings.first).to_contain_text("acquisition 1")
    refused = console.get_by_role("region", name="liver-ct 1.0 acquisition 2")
    expect(refused).to_contain_text("part 2 of 2 of the series with 24 slices")
    expect(refused.get_by_role("button", name="Run again liver-ct, acquisition 2")).to_be_visible()
    decision = console.get_by_role("region", name="Why: the rules’ decision")
    expect(decision).to_contain_text("2 parts, each with a job of its own")
    trail = console.get_by_role("region", name="What happened")
    expect(trail).to_contain_text("acquisition 2: 1 instance")
