"""Requests leave records that name who sent them, from where, and about which object."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import httpx
import pytest

from node.access.passwords import hash_password
from node.audit.losses import AuditLosses
from node.domain.access.permissions import Role
from node.domain.audit.records import AuditInterface
from node.domain.series import StoredSeries
from node.store.audit_trail.chain import ChainedRecord
from node.store.configuration.revisions import RevisionDraft
from node.web.audit.audited_routes import AUDITED_ROUTES
from node.web.dependencies import utc_now
from tests.support.audit_records import audit_records
from tests.support.dicom.small_ct import small_ct
from tests.support.factories import NOON
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import add_user, open_session
from tests.web.test_access_control import request


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("node"), login="required") as node:
        for role in Role:
            add_user(node.store, role, role)
        yield node


@pytest.fixture(scope="module")
def series(node: ServedNode, tmp_path_factory: pytest.TempPathFactory) -> StoredSeries:
    return node.receive(small_ct(), tmp_path_factory.mktemp("ct"))


@pytest.fixture
def as_user(node: ServedNode) -> Iterator["Clients"]:
    with ExitStack() as stack:
        yield Clients(node, stack)


class Clients:
    """Opens clients of users; `records` are those that have been added since."""

    def __init__(self, node: ServedNode, stack: ExitStack) -> None:
        self._node, self._stack = node, stack
        self._before = len(audit_records(node.store))

    def __call__(self, name: str) -> httpx.Client:
        return self._stack.enter_context(open_session(self._node, name).client(self._node))

    def records(self) -> Sequence[ChainedRecord]:
        every = audit_records(self._node.store)
        return every[: len(every) - self._before]


CHANGING = sorted(route for route in AUDITED_ROUTES if route[0] != "GET")


@pytest.mark.parametrize("route", CHANGING, ids=" ".join)
def test_each_route_that_changes_something_leaves_a_record_of_its_user(
    node: ServedNode, as_user: Clients, route: tuple[str, str]
) -> None:
    session = open_session(node, "administrator")
    with httpx.Client(base_url=node.url) as client:
        status = request(client, route, session).status_code
    (record,) = as_user.records()
    assert (record.actor, record.address) == ("administrator", "127.0.0.1")
    assert record.action == AUDITED_ROUTES[route].action
    assert record.detail == " ".join(route)
    assert (record.outcome == "success") is (status < 400)
    named = [name for name in AUDITED_ROUTES[route].objects if f"{{{name}" in route[1]]
    assert len(record.objects) == len(named)


def test_a_page_that_is_read_again_has_one_record_for_each_user(
    as_user: Clients, series: StoredSeries
) -> None:
    viewer, operator = as_user("viewer"), as_user("operator")
    for client in (viewer, viewer, operator):
        assert client.get(f"/series/{series.series_instance_uid}").status_code == 200
    records = as_user.records()
    assert [record.actor for record in records] == ["operator", "viewer"]
    for record in records:
        assert (record.action, record.interface) == ("patient data read", "console")
        assert record.objects == (("series", series.series_instance_uid),)


def test_a_viewer_that_reads_a_study_leaves_one_record(
    node: ServedNode, as_user: Clients, series: StoredSeries
) -> None:
    viewer = as_user("viewer")
    root = f"/dicom-web/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"
    assert viewer.get(f"{root}/metadata").status_code == 200
    for each in node.store.instances_of(series.series_instance_uid):
        frame = viewer.get(f"{root}/instances/{each.sop_instance_uid}/frames/1")
        assert frame.status_code == 200
    (record,) = as_user.records()
    assert (record.actor, record.interface) == ("viewer", "dicomweb")
    assert record.objects == (("study", series.study_instance_uid),)


def test_a_search_is_recorded_with_its_conditions(as_user: Clients) -> None:
    client = as_user("viewer")
    for _ in range(2):
        assert client.get("/dicom-web/studies", params={"PatientID": "A 7"}).status_code < 300
    assert client.get("/dicom-web/studies", params={"PatientID": "A 8"}).status_code < 300
    found = [(record.action, record.objects) for record in as_user.records()]
    assert found == [
        ("searched", (("query", "PatientID=A 8"),)),
        ("searched", (("query", "PatientID=A 7"),)),
    ]


def test_a_missing_permission_and_an_unknown_token_are_recorded_once(
    node: ServedNode, as_user: Clients
) -> None:
    viewer = as_user("viewer")
    for _ in range(2):
        assert viewer.get("/users").status_code == 403
        headers = {"Authorization": "Bearer segnode_wrong"}
        assert httpx.get(f"{node.url}/api/series", headers=headers).status_code == 401
    token, permission = as_user.records()
    assert (token.action, token.outcome, token.actor) == ("access refused", "minor failure", "")
    assert token.detail == "the token is unknown or revoked"
    assert "segnode_wrong" not in str(token)
    assert (permission.action, permission.actor) == ("access refused", "viewer")
    assert permission.detail == "the permission 'administer' is missing"


def test_what_shows_nothing_leaves_no_record(as_user: Clients) -> None:
    viewer = as_user("viewer")
    assert viewer.get("/series/1.2.3.99").status_code == 404
    assert viewer.get("/overview").status_code == 200
    assert as_user.records() == ()


def test_a_change_of_a_user_is_recorded_with_its_address(as_user: Clients) -> None:
    administrator = as_user("administrator")
    answer = administrator.post("/users/viewer/role", data={"role": "viewer"})
    assert answer.status_code == 303
    assert administrator.post("/users/nobody/disable").status_code == 422
    (record,) = as_user.records()
    assert (record.action, record.actor, record.address) == (
        "user changed",
        "administrator",
        "127.0.0.1",
    )
    assert (record.interface, record.objects) == ("console", (("user", "viewer"),))
    assert record.detail == "role changed to viewer"


def test_logins_and_failed_logins_are_recorded_without_what_was_typed(
    node: ServedNode, as_user: Clients
) -> None:
    node.store.set_password("operator", hash_password("a long password"))
    with httpx.Client(base_url=node.url) as client:
        for name, password, status in (
            ("operator", "wrong", 422),
            ("typed by mistake", "wrong", 422),
            ("operator", "a long password", 303),
        ):
            answer = client.post("/login", data={"name": name, "password": password})
            assert answer.status_code == status
    done, unknown, wrong = as_user.records()
    assert [(each.action, each.outcome, each.actor) for each in (done, unknown, wrong)] == [
        ("login", "success", "operator"),
        ("login", "minor failure", ""),
        ("login", "minor failure", "operator"),
    ]
    assert done.address == "127.0.0.1"
    assert "typed" not in str(unknown)


def test_a_change_of_the_configuration_has_author_reason_and_revision(
    node: ServedNode,
) -> None:
    draft = RevisionDraft("quiet_seconds = 1\n", "ada", "slow scanner")
    interface = AuditInterface.API
    node.store.activate_revision(draft, None, NOON, interface=interface, address="192.0.2.1")
    every = audit_records(node.store)
    (record,) = (each for each in every if each.action == "configuration changed")
    assert (record.actor, record.interface, record.address) == ("ada", "api", "192.0.2.1")
    assert record.objects == (("configuration", "revision 1"),)
    assert record.detail == "slow scanner"


def test_people_can_read_while_the_database_cannot_be_written_and_the_trail_later_says_so(
    node: ServedNode, as_user: Clients, series: StoredSeries
) -> None:
    address = f"/api/series/{series.series_instance_uid}/explain"
    configurator = as_user("configurator")
    with node.store._database.writing():  # as another process that holds the lock
        assert configurator.get(address).status_code == 200
    assert as_user.records() == ()
    assert configurator.get(address).status_code == 200
    AuditLosses(node.settings.data_dir).report(node.store.record_soon, utc_now)
    lost, record = as_user.records()
    assert (record.actor, record.action) == ("configurator", "patient data read")
    assert lost.detail.startswith("records that could not be written: 1; first at ")
    overview = configurator.get("/overview").text
    assert "The audit trail lacks 1 record of" in overview
    assert "segnode_audit_records_lost 1.0" in configurator.get("/metrics").text
