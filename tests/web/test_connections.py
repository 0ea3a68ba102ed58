"""The pages of connections in a real browser: list, add, change, test, remove, accept a sender."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectionKey,
    RejectionTally,
)
from node.runtime.listening import ListeningPorts, hold_listener_lock
from node.store import Store
from tests.support.servers.configurable_node import ConfigurableNode, configurable_node
from tests.support.servers.served_node import served_node

_TIMEOUT_MS = 20_000
TEXT = """
# --- our peers ---
[peers.ct1]  # room 1
ae_title = "CT1"
host = "192.0.2.21"
port = 104

[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["archive"]
when = { attribute = "Modality", equals = "CT" }
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ConfigurableNode]:
    with configurable_node(tmp_path, TEXT) as served:
        reject_senders(served.store)
        yield served


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    pacs = OrthancPacs(tmp_path_factory.mktemp("orthanc"))
    pacs.start()
    yield pacs
    pacs.kill()


@pytest.fixture
def connections(page: Page, node: ConfigurableNode) -> Iterator[Page]:
    """The page of connections; an exception in a script fails the test."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(_TIMEOUT_MS)
    expect.set_options(timeout=_TIMEOUT_MS)
    page.goto(f"{node.url}/connections")
    yield page
    assert errors == []


def reject_senders(store: Store) -> None:
    """Records an unknown sender, a wrong AE title, and objects that are no CT."""
    now = datetime.now(UTC)
    calling = ListenerRejection.CALLING_AE_TITLE
    keys = [
        RejectionKey("CT_ROOM 2", "SEGNODE", "192.0.2.22", calling),
        RejectionKey("CT1", "OLDNODE", "192.0.2.21", ListenerRejection.CALLED_AE_TITLE),
        *(
            RejectionKey("CT1", "SEGNODE", "192.0.2.21", ListenerRejection.SOP_CLASS, uid)
            for uid in ("1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.1.1.4")
        ),
    ]
    store.record_rejections({key: RejectionTally(3, now, now) for key in keys}, now)


def fill(page: Page, **values: object) -> None:
    """Fills in the fields with these identifiers."""
    for key, value in values.items():
        page.locator(f"#{key}").fill(str(value))


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()


def test_orthanc_is_added_as_a_destination_and_tested(
    connections: Page, node: ConfigurableNode, orthanc: OrthancPacs
) -> None:
    connections.get_by_role("link", name="Add one of the senders and other peers").click()
    fill(connections, name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port)
    fill(connections, author="Ada", reason="the new PACS")
    save(connections)
    connections.get_by_role("link", name="Add one of the destinations").click()
    connections.get_by_role("link", name="PACS by C-STORE").click()
    fill(connections, name="pacs")
    connections.get_by_label("Peer", exact=True).select_option("pacs")
    connections.get_by_label("Measurement report (SR)").first.check()
    save(connections)
    expect(connections).to_have_url(f"{node.url}/connections")
    connections.get_by_role("button", name="Test destinations.pacs").click()
    expect(connections.get_by_role("status").filter(has_text="It works.")).to_be_visible()
    expect(connections.get_by_label("Steps of the test")).to_contain_text(
        "It accepts Segmentation Storage, Comprehensive 3D SR Storage."
    )
    first, second = reversed(node.store.list_revisions(2))
    assert (first.author, first.reason) == ("Ada (127.0.0.1)", "the new PACS")
    assert second.reason == "destination pacs added"
    assert node.text.startswith("# --- our peers ---\n[peers.ct1]  # room 1\n")


def test_a_wrong_ae_title_gets_its_diagnosis_and_is_corrected(
    connections: Page, node: ConfigurableNode, orthanc: OrthancPacs
) -> None:
    connections.get_by_role("link", name="Edit peers.ct1").click()
    fill(connections, host="127.0.0.1", port=orthanc.dicom_port)
    save(connections)
    connections.get_by_role("button", name="Test peers.ct1").click()
    steps = connections.get_by_label("Steps of the test")
    expect(steps).to_contain_text("its AE title is not CT1 (called AE title not recognized)")
    expect(steps).to_contain_text("To do: enter the AE title that it has.")
    connections.get_by_role("link", name="All connections").click()
    connections.get_by_role("link", name="Edit peers.ct1").click()
    fill(connections, ae_title="ORTHANC")
    save(connections)
    connections.get_by_role("button", name="Test peers.ct1").click()
    expect(connections.get_by_text("It works.")).to_be_visible()
    assert f"port = {orthanc.dicom_port}\n" in node.text


def test_a_rejected_sender_is_accepted(connections: Page, node: ConfigurableNode) -> None:
    rejected = connections.get_by_role("region", name="Rejected connections")
    expect(rejected).to_contain_text("CT_ROOM 2 at 192.0.2.22")
    expect(rejected).to_contain_text("It calls this node OLDNODE, not SEGNODE.")
    rejected.get_by_text("2 types of objects").click()
    expect(rejected.get_by_text("MR Image Storage")).to_be_visible()
    rejected.get_by_role("link", name="Accept this sender").click()
    expect(connections.locator("#ae_title")).to_have_value("CT_ROOM 2")
    save(connections)
    expect(rejected).to_contain_text("The configuration accepts it now.")
    assert (
        '\n[peers.ct-room-2]\nae_title = "CT_ROOM 2"\nhost = "192.0.2.22"\nport = 104\n'
        in node.text
    )


def test_mistakes_are_shown_beside_their_fields(connections: Page, node: ConfigurableNode) -> None:
    connections.get_by_role("link", name="Edit peers.ct1").click()
    fill(connections, port="many", host="")
    save(connections)
    expect(connections.get_by_role("alert")).to_contain_text("Not saved.")
    expect(connections.locator("#port-mistake")).to_have_text("Must be a whole number.")
    expect(connections.locator("#host-mistake")).to_have_text("Is missing.")
    expect(connections.locator("#port")).to_have_value("many")
    expect(connections.locator("#port")).to_have_attribute("aria-invalid", "true")
    assert node.store.active_revision_number() == 1


def test_a_server_that_wants_a_token_is_added_by_the_names_of_its_secrets(
    connections: Page, node: ConfigurableNode
) -> None:
    connections.get_by_role("link", name="Add one of the DICOMweb servers").click()
    fill(connections, name="cloud", url="https://pacs.example/dicom-web")
    connections.get_by_text("More settings").click()
    fill(connections, oauth_token_url="https://login.example/token", oauth_client_id="segnode")
    save(connections)
    expect(connections.locator("#oauth_token_url-mistake")).to_have_text(
        "Needs oauth_client_secret_file or oauth_client_secret_env."
    )
    fill(connections, oauth_client_secret_file="cloud-secret")
    save(connections)
    expect(connections).to_have_url(f"{node.url}/connections")
    assert node.text.endswith(
        '\n[sources.cloud]\nurl = "https://pacs.example/dicom-web"\n'
        'oauth_token_url = "https://login.example/token"\noauth_client_id = "segnode"\n'
        'oauth_client_secret_file = "cloud-secret"\n'
    )
    connections.get_by_role("button", name="Test sources.cloud").click()
    failed = connections.get_by_label("Steps of the test")
    expect(failed).to_contain_text("oauth_client_secret_file: there is no credential cloud-secret")


def test_a_name_that_exists_or_is_none_is_refused(connections: Page) -> None:
    connections.get_by_role("link", name="Add one of the senders").click()
    fill(connections, name="ct1", ae_title="CT9", host="192.0.2.9", port=104)
    save(connections)
    mistake = connections.locator("#name-mistake")
    expect(mistake).to_have_text("There is already a peer of this name.")
    fill(connections, name="a b")
    save(connections)
    expect(mistake).to_contain_text("letters, digits")


def test_a_connection_in_use_is_not_removed(connections: Page, node: ConfigurableNode) -> None:
    connections.get_by_role("link", name="Edit destinations.archive").click()
    connections.get_by_role("button", name="Remove archive").click()
    expect(connections.get_by_role("alert")).to_contain_text(
        "The rule 'liver' uses it. Change that first."
    )
    expect(connections.get_by_role("alert")).to_contain_text("Not removed.")
    connections.get_by_role("link", name="All connections").click()
    connections.get_by_role("link", name="Edit peers.ct1").click()
    expect(connections.get_by_text("accepts the images of every AE title")).to_be_visible()
    connections.get_by_role("button", name="Remove ct1").click()
    expect(connections.get_by_text("No peers are listed")).to_be_visible()
    assert "[peers.ct1]" not in node.text
    assert node.store.list_revisions(1)[0].reason == "peer ct1 removed"


def test_the_address_of_the_node_is_changed(connections: Page, node: ConfigurableNode) -> None:
    connections.get_by_role("link", name="Change the address of this node").click()
    fill(connections, ae_title="LIVER", port=11113)
    save(connections)
    expect(connections.get_by_role("region", name="This node")).to_contain_text(
        "LIVER on port 11113"
    )
    assert '[listener]\nae_title = "LIVER"\nport = 11113\n' in node.text


def test_until_the_listener_has_another_port_the_pages_name_the_one_that_it_has(
    connections: Page, node: ConfigurableNode
) -> None:
    connections.get_by_role("link", name="Change the address of this node").click()
    fill(connections, port=11113)
    with hold_listener_lock(node.store.data_dir, ListeningPorts(11112, None)):
        save(connections)
        expect(connections.get_by_role("region", name="This node")).to_contain_text(
            "on port 11112. Host: this machine’s name or IP address. It changes to port 11113 once"
        )
        expect(connections.get_by_role("banner")).to_contain_text("on port 11112")
    connections.reload()
    expect(connections.get_by_role("banner")).to_contain_text("on port 11113")


def test_a_form_shows_again_at_the_next_visit(connections: Page, node: ConfigurableNode) -> None:
    for _ in range(2):  # the browser asks the second time whether its copy is up to date
        connections.goto(f"{node.url}/connections/peers/new")
        expect(connections.get_by_label("Name in this configuration")).to_be_visible()


def test_a_form_with_a_name_alone_is_not_saved(connections: Page, node: ConfigurableNode) -> None:
    connections.goto(f"{node.url}/connections/peers/new")
    fill(connections, name="x")
    save(connections)
    expect(connections.get_by_role("alert")).to_contain_text("Not saved.")
    assert node.store.active_revision_number() == 1


def test_two_people_do_not_overwrite_each_other(
    connections: Page, node: ConfigurableNode, browser: Browser
) -> None:
    connections.get_by_role("link", name="Edit peers.ct1").click()
    other = browser.new_page()
    other.goto(f"{node.url}/connections/peers/edit/ct1")
    fill(other, host="192.0.2.99", author="Grace")
    save(other)
    expect(other).to_have_url(f"{node.url}/connections")
    other.close()
    fill(connections, port=105)
    save(connections)
    expect(connections.get_by_role("alert")).to_contain_text("Grace (127.0.0.1) saved it")
    assert node.store.active_revision_number() == 2


def test_a_file_is_read_only_and_says_how_to_change_it(page: Page, tmp_path: Path) -> None:
    with served_node(tmp_path, TEXT) as served:
        reject_senders(served.store)
        page.goto(f"{served.url}/connections")
        expect(page.get_by_text("Read-only: the configuration is in")).to_be_visible()
        expect(page.get_by_role("link", name="Edit")).to_have_count(0)
        expect(page.get_by_role("link", name="Add")).to_have_count(0)
        page.get_by_text("Lines that accept it").click()
        expect(page.get_by_text("[peers.ct-room-2]")).to_be_visible()
        page.get_by_role("button", name="Test destinations.archive").click()
        expect(page.get_by_text("It works.")).to_be_visible()
        assert page.goto(f"{served.url}/connections/peers/new").status == 409  # type: ignore[union-attr]
        page.goto("about:blank")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_pages_have_no_axe_violations(
    browser: Browser, node: ConfigurableNode, width: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    for path in ("", "/node", "/peers/edit/ct1", "/destinations/new", "/destinations/new?kind=hl7"):
        page.goto(f"{node.url}/connections{path}")
        check_page(page)
    save(page)
    expect(page.get_by_role("alert")).to_be_visible()
    check_page(page)
    page.goto(f"{node.url}/connections")
    page.get_by_role("button", name="Test destinations.archive").click()
    check_page(page)
    context.close()


def check_page(page: Page) -> None:
    """Checks the page for violations, and that it is no wider than the window."""
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true; }")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url
