"""The dashboard, the alert rules and the guide name metrics, kinds and fields that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from node.alerts.message import content_of_test
from node.domain.monitoring.problem import ProblemKind
from node.settings import load_settings
from node.store import Store
from node.web.api.metrics_collector import SiteCollector
from tests.support.factories import NOON, sqlite_url

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "segnode.rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "segnode.json"
GUIDE = (DEPLOY / "monitoring.md").read_text(encoding="utf-8")
METRIC = re.compile(r"\bsegnode_\w+")


@pytest.fixture(scope="module")
def exposition(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The metrics of a site with a destination, a worker and a finished job."""
    folder = tmp_path_factory.mktemp("site")
    store = Store.open(sqlite_url(folder), folder)
    store.add_worker("worker", "worker", NOON)
    store.add_stage_durations("liver-ct", {"segment": 1.0})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SiteCollector(load_settings(None), store, NOON))
    text = generate_latest(registry)
    store.close()
    return text


@pytest.fixture(scope="module")
def names(exposition: bytes) -> set[str]:
    """The names of the samples."""
    return set(re.findall(r"^(segnode_\w+)", exposition.decode(), re.MULTILINE))


def expressions() -> Iterator[str]:
    """The PromQL of the dashboard and of the rules."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            yield str(target["expr"])
    for rule in re.split(r"- alert:", RULES.read_text(encoding="utf-8"))[1:]:
        found = re.search(r"expr: ([\s\S]*?)\n        (?:for|labels):", rule)
        assert found is not None
        yield found[1].removeprefix("|").strip()


def test_the_dashboard_and_the_rules_use_metrics_that_exist(names: set[str]) -> None:
    used = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert len(used) > 12
    assert used - names == set()


def test_the_guide_lists_every_metric_and_no_other(names: set[str]) -> None:
    section = GUIDE.split("| metric | type | labels |")[1].split("\n\n")[0]
    listed = set(re.findall(r"`(segnode_\w+)`", section))
    histogram = "segnode_stage_duration_seconds"
    samples = {histogram if name.startswith(histogram) else name for name in names}
    assert listed == samples


def test_the_guide_lists_every_kind_of_problem() -> None:
    section = GUIDE.split("## Problems")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)`", section, re.MULTILINE)) == set(ProblemKind)


def test_the_guide_describes_every_field_of_a_message() -> None:
    section = GUIDE.split("### Webhook")[1].split("### ")[0]
    example = json.loads(section.split("```json")[1].split("```")[0])
    fields = list(content_of_test("SITE", NOON).as_json())
    assert list(example) == fields
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == [
        *fields[:5],
        "urgency",
        "subject",
        *fields[7:],
    ]


def promtool(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip(
            "promtool is not installed; it checks metrics and rules: apt install prometheus"
        )
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, check=False)


def test_prometheus_accepts_the_rules() -> None:
    checked = promtool("check", "rules", str(RULES))
    assert checked.returncode == 0, checked.stderr


def test_prometheus_accepts_the_metrics_without_a_complaint_about_their_names(
    exposition: bytes,
) -> None:
    checked = promtool("check", "metrics", stdin=exposition)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_prometheus_accepts_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    rules = "groups:\n  - name: dashboard\n    rules:\n"
    for number, expression in enumerate(expressions()):
        text = json.dumps(expression.replace("$__rate_interval", "5m"))
        rules += f"      - record: test:expression_{number}\n        expr: {text}\n"
    file = tmp_path / "dashboard.yaml"
    file.write_text(rules, encoding="utf-8")
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stderr
