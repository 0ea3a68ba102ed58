"""Health and metrics over HTTP: live, ready, degraded, and what Prometheus reads."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from node.domain.monitoring.destination_health import DeliveryOutcome, DeliveryStage
from tests.support.browser.overview_site import (
    CONFIGURATION,
    PACS_ERROR,
    add_activity,
    add_job,
    add_problems,
    deliver,
    fail_delivery,
)
from tests.support.servers.served_node import ServedNode, running_worker, served_node

MINUTE = timedelta(minutes=1)
PATHS = ("/health", "/health/live", "/health/ready", "/metrics")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    """A node whose listener never ran here and whose worker runs."""
    with served_node(tmp_path, CONFIGURATION) as served, running_worker(served):
        yield served


def fail_for(node: ServedNode, minutes: float) -> None:
    """Has a job whose delivery to the PACS has failed for so long."""
    now = datetime.now(UTC)
    job = add_job(node, 1, "CT1", now - 2 * MINUTE)
    node.store.record_failed_delivery(
        job.job_id, "pacs", now, error=PACS_ERROR, next_try_at=now + MINUTE
    )
    node.store.record_failure("pacs", DeliveryStage.SEND, PACS_ERROR, now - minutes * MINUTE)


@pytest.mark.parametrize("path", PATHS)
def test_head_is_answered_like_get_without_a_body(node: ServedNode, path: str) -> None:
    head, get = httpx.head(f"{node.url}{path}"), httpx.get(f"{node.url}{path}")
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_a_healthy_node_is_ok_live_and_ready(node: ServedNode) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        answer = httpx.get(f"{node.url}{path}")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_a_node_without_a_worker_is_live_but_not_ready(tmp_path: Path) -> None:
    with served_node(tmp_path, CONFIGURATION) as node:
        assert httpx.get(f"{node.url}/health/live").status_code == 200
        ready = httpx.get(f"{node.url}/health/ready")
    assert ready.status_code == 503
    assert "worker is not running" in ready.json()["problems"][0]


def test_a_destination_that_fails_degrades_the_node_after_its_time(node: ServedNode) -> None:
    fail_for(node, minutes=4)
    early = httpx.get(f"{node.url}/health").json()
    assert (early["status"], early["destinations"]["pacs"]["state"]) == ("ok", "failing")
    node.store.record_answer(
        "pacs", DeliveryStage.SEND, DeliveryOutcome.DELIVERED, datetime.now(UTC)
    )
    node.store.record_failure(
        "pacs", DeliveryStage.SEND, PACS_ERROR, datetime.now(UTC) - 6 * MINUTE
    )
    answer = httpx.get(f"{node.url}/health")
    assert answer.status_code == 200
    health = answer.json()
    assert health["status"] == "degraded"
    pacs = health["destinations"]["pacs"]
    assert (pacs["needs_attention"], pacs["waiting"], pacs["last_error"]) == (True, 1, PACS_ERROR)
    assert pacs["next_attempt_at"] > pacs["failing_since"]
    (problem,) = health["problems"]
    assert (problem["kind"], problem["subject"]) == ("destination-failing", "pacs")
    assert httpx.get(f"{node.url}/health/ready").status_code == 200


def test_a_destination_needs_attention_after_three_failures(node: ServedNode) -> None:
    job = add_job(node, 1, "CT1", datetime.now(UTC) - 4 * MINUTE)
    fail_delivery(node, job, "pacs", since=datetime.now(UTC) - 3 * MINUTE)
    assert httpx.get(f"{node.url}/health").json()["status"] == "degraded"
    deliver(node, job, datetime.now(UTC))
    assert httpx.get(f"{node.url}/health").json()["status"] == "ok"


def test_a_failing_destination_that_nothing_waits_for_needs_no_attention(
    node: ServedNode,
) -> None:
    for minutes in (9, 8, 7):
        at = datetime.now(UTC) - minutes * MINUTE
        node.store.record_failure("pacs", DeliveryStage.SEND, PACS_ERROR, at)
    health = httpx.get(f"{node.url}/health").json()
    assert (health["status"], health["destinations"]["pacs"]["state"]) == ("ok", "failing")


def test_a_worker_whose_heartbeat_stops_is_reported_although_it_holds_its_lock(
    node: ServedNode,
) -> None:
    now = datetime.now(UTC)
    node.store.add_worker("worker", "worker", now - timedelta(seconds=10))
    assert httpx.get(f"{node.url}/health").status_code == 200
    node.store.add_worker("worker", "worker", now - timedelta(seconds=25))
    answer = httpx.get(f"{node.url}/health")
    assert answer.status_code == 503
    assert "The worker hangs" in answer.json()["worker"]["message"]


def samples(node: ServedNode) -> dict[str, list[Sample]]:
    """Reads the metrics as Prometheus does; returns the samples by name."""
    answer = httpx.get(f"{node.url}/metrics")
    assert answer.status_code == 200
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation, family.name
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def value(found: dict[str, list[Sample]], name: str, **labels: str) -> float:
    (sample,) = [s for s in found[name] if s.labels.items() >= labels.items()]
    return sample.value


def test_metrics_report_the_site(node: ServedNode) -> None:
    add_activity(node)
    add_problems(node)
    node.store.add_stage_durations("liver-ct", {"segment": 2.0})
    found = samples(node)
    assert value(found, "segnode_jobs", state="delivered") == 8
    assert value(found, "segnode_jobs", state="parked") == 1
    assert value(found, "segnode_destination_up", destination="pacs") == 0
    assert value(found, "segnode_destination_up", destination="archive") == 1
    assert value(found, "segnode_destination_needs_attention", destination="pacs") == 1
    assert 1190 < value(found, "segnode_destination_failing_seconds", destination="pacs") < 1300
    assert value(found, "segnode_destination_waiting_deliveries", destination="pacs") == 4
    delivered = {"destination": "pacs", "outcome": "delivered"}
    assert value(found, "segnode_deliveries_total", **delivered) == 8
    assert 7190 < value(found, "segnode_queue_oldest_age_seconds") < 7300
    assert value(found, "segnode_part_healthy", part="worker") == 1
    assert value(found, "segnode_alerts_active", kind="results-drifting") == 1
    buckets = {"model": "liver-ct", "stage": "segment"}
    assert value(found, "segnode_stage_duration_seconds_bucket", le="1.0", **buckets) == 0
    assert value(found, "segnode_stage_duration_seconds_bucket", le="3.0", **buckets) == 1
    assert value(found, "segnode_stage_duration_seconds_bucket", le="+Inf", **buckets) == 1
    assert value(found, "segnode_stage_duration_seconds_sum", **buckets) == 2.0


def test_metrics_have_few_label_values_however_many_senders_and_series(node: ServedNode) -> None:
    before = sum(len(each) for each in samples(node).values())
    for number in range(30):
        add_job(node, number, f"CT_{number}", datetime.now(UTC))
    assert sum(len(each) for each in samples(node).values()) == before


def test_metrics_without_a_database_show_that_it_is_gone(node: ServedNode) -> None:
    database = node.settings.data_dir / "segnode.db"
    node.store.close()
    for file in database.parent.glob("segnode.db*"):
        file.unlink()
    database.mkdir()
    found = samples(node)
    assert value(found, "segnode_part_healthy", part="database") == 0
    assert value(found, "segnode_part_healthy", part="storage") == 1
    assert "segnode_jobs" not in found


def test_metrics_are_served_in_the_format_that_the_scraper_asks_for(node: ServedNode) -> None:
    openmetrics = httpx.get(
        f"{node.url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")
