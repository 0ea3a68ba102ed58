"""The audit trail in the console and by REST."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import httpx
import pytest
from playwright.sync_api import Page, expect

from node.access.api_tokens import TokenKeeper
from node.domain.access.permissions import Permission, Role
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from tests.support.audit_records import audit_records
from tests.support.factories import NOON
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import add_user, open_session

SCRIPT = "<script>document.title='x'</script>"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    """A node with 120 records of a minute each, and some special ones after them."""
    with served_node(tmp_path_factory.mktemp("node"), login="required") as node:
        for number in range(120):
            record(node, NOON + timedelta(minutes=number), detail=f"record {number}")
        later = NOON + timedelta(days=1)
        study = AuditObject(AuditObjectType.QUERY, f"patient={SCRIPT}")
        record(node, later, AuditAction.SEARCHED, actor=SCRIPT, objects=(study,))
        record(
            node,
            later,
            AuditAction.CONFIGURATION_CHANGED,
            objects=(AuditObject(AuditObjectType.CONFIGURATION, "revision 2"),),
            change="-quiet_seconds = 10\n+quiet_seconds = 5",
        )
        record(
            node,
            later,
            AuditAction.PATIENT_DATA_READ,
            outcome=AuditOutcome.MINOR_FAILURE,
            address="192.0.2.9",
            objects=(AuditObject(AuditObjectType.SERIES, "1.2.3"),),
        )
        yield node


def record(
    node: ServedNode,
    at: datetime,
    action: AuditAction = AuditAction.EXPORTED,
    *,
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
    actor: str = "ada",
    address: str = "192.0.2.7",
    objects: tuple[AuditObject, ...] = (),
    detail: str = "",
    change: str = "",
) -> None:
    who = AuditActor(actor, AuditInterface.CONSOLE, address)
    node.store.record(AuditRecord(at, action, outcome, who, objects, detail, change))


def token(node: ServedNode, *permissions: Permission) -> httpx.Client:
    name = "-".join(each.value for each in permissions)
    keeper = TokenKeeper(node.store, "a test", 365)
    if all(each.name != name for each in node.store.list_api_tokens()):
        secret = keeper.create(name, frozenset(permissions), timedelta(days=1), datetime.now(UTC))
        SECRETS[name] = secret
    headers = {"Authorization": f"Bearer {SECRETS[name]}"}
    return httpx.Client(base_url=node.url, headers=headers, timeout=60)


SECRETS: dict[str, str] = {}


@pytest.fixture
def client(node: ServedNode) -> Iterator[httpx.Client]:
    """A program that may administer."""
    with token(node, Permission.ADMINISTER) as made:
        yield made


@pytest.mark.parametrize("path", ["/audit", "/api/audit", "/api/audit/export"])
def test_only_administrators_read_the_trail(node: ServedNode, path: str) -> None:
    others = [each for each in Permission if each is not Permission.ADMINISTER]
    with token(node, *others) as program:
        before = audit_records(node.store)
        assert program.get(path).status_code == 403
        latest = audit_records(node.store)
        assert all(
            each.action != "audit trail read" for each in latest[: len(latest) - len(before)]
        )


def test_pages_hold_every_record_once_from_the_newest_on(client: httpx.Client) -> None:
    until = "2026-01-02T23:00:00"
    found: list[str] = []
    older: str | None = ""
    while older is not None:
        parameters = {"limit": "50", "until": until, "older": older}
        page = client.get("/api/audit", params=parameters).json()
        found += [each["detail"] for each in page["records"] if each["action"] == "exported"]
        older = page["older"]
    assert found == [f"record {number}" for number in reversed(range(120))]


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({"user": "AD", "until": "2026-01-02T23:00:00"}, 120),
        ({"user": "%"}, 0),
        ({"action": "configuration changed"}, 1),
        ({"outcome": "minor failure", "action": "patient data read"}, 1),
        ({"object": "1.2.3"}, 1),
        ({"object": "1.2"}, 0),
        ({"address": "192.0.2.9"}, 1),
        ({"since": "2026-01-02T12:10:00", "until": "2026-01-02T12:20:00Z"}, 10),
        ({"since": "2026-01-02T13:10:00+01:00", "until": "2026-01-02T12:20:00"}, 10),
        ({"since": "2026-01-02T13:10+01:00", "until": "2026-01-02 12:20"}, 10),
        ({"since": "2026-01-03", "user": "ada"}, 2),
    ],
)
def test_all_conditions_of_a_search_hold(
    client: httpx.Client, conditions: dict[str, str], count: int
) -> None:
    answer = client.get("/api/audit", params={"limit": "200"} | conditions)
    assert len(answer.json()["records"]) == count


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "0"},
        {"limit": "501"},
        {"action": "invented"},
        {"since": "yesterday"},
        {"older": "x"},
        {"older": "2026-01-02T12:00:00.000000~x~host"},
        {"user": "a\x00b"},
    ],
)
def test_a_wrong_search_is_named_and_reads_nothing(
    client: httpx.Client, node: ServedNode, wrong: dict[str, str]
) -> None:
    before = len(audit_records(node.store))
    assert client.get("/api/audit", params=wrong).status_code in {400, 422}
    assert client.get("/audit", params=wrong).status_code in {200, 400, 404, 422}
    added = len(audit_records(node.store)) - before
    assert added <= 1, "the page takes no limit"


def test_a_wrong_time_is_explained_and_another_zone_becomes_utc(client: httpx.Client) -> None:
    for path in ("/api/audit", "/audit"):
        answer = client.get(path, params={"since": "yesterday"})
        assert "such as 2026-11-30T08:15" in answer.text
        assert "isoformat" not in answer.text
    page = client.get("/audit", params={"since": "2026-01-02T13:10+01:00"}).text
    assert 'value="2026-01-02T12:10:00"' in page, "the form repeats the same moment"


def test_an_export_holds_every_record_as_json_or_dicom(client: httpx.Client) -> None:
    conditions = {"until": "2026-01-02T23:00:00"}
    answer = client.get("/api/audit/export", params=conditions)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.jsonl"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [each["detail"] for each in lines] == [f"record {n}" for n in reversed(range(120))]
    assert all(len(each["hash"]) == 64 for each in lines)
    messages = client.get("/api/audit/export", params=conditions | {"format": "dicom"}).text
    roots = [ElementTree.fromstring(each) for each in messages.splitlines()]  # noqa: S314 own text
    assert [root.tag for root in roots] == ["AuditMessage"] * 120


def test_who_reads_or_exports_is_recorded_with_the_conditions(
    client: httpx.Client, node: ServedNode
) -> None:
    client.get("/api/audit/export", params={"user": "ada", "format": "dicom"})
    latest = audit_records(node.store)[0]
    assert (latest.action, latest.actor) == ("audit trail read", "token administer")
    assert (latest.interface, latest.detail) == ("api", "exported as dicom")
    assert latest.objects == (("audit trail", "audit trail"), ("query", "user=ada"))


def test_without_the_record_nothing_is_shown(client: httpx.Client, node: ServedNode) -> None:
    with node.store._database.writing():  # as another process that holds the lock
        for path in ("/audit", "/api/audit", "/api/audit/export"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "record 1" not in answer.text


def test_an_administrator_searches_in_the_console(node: ServedNode, page: Page) -> None:
    add_user(node.store, "root", Role.ADMINISTRATOR)
    cookies = open_session(node, "root").cookies
    page.context.add_cookies(
        [{"name": name, "value": value, "url": node.url} for name, value in cookies.items()]
    )
    page.goto(f"{node.url}/overview")
    page.get_by_role("link", name="Access").click()
    page.get_by_role("link", name="Audit trail").click()
    expect(page).to_have_title("Audit trail · segnode")
    expect(page.get_by_text("record 119")).to_be_visible()
    expect(page.get_by_text(SCRIPT).first).to_be_visible()
    page.get_by_role("link", name="Older records").click()
    expect(page.get_by_text("record 60", exact=True)).to_be_visible()
    page.get_by_role("link", name="Newest records").click()
    page.get_by_text("Search", exact=True).first.click()
    page.get_by_label("Action").select_option("configuration changed")
    page.get_by_role("button", name="Search").click()
    found = page.get_by_role("region", name="Found records")
    expect(found.get_by_role("heading", level=3)).to_have_count(1)
    found.locator("summary").click()
    expect(found.get_by_text("+quiet_seconds = 5")).to_be_visible()
    expect(page.get_by_role("region", name="Hash chains")).to_contain_text("records, head ")
    assert page.title() == "Audit trail · segnode"
