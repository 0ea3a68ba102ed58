"""What only an administrator may change: who may use the node, and which secret goes where."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.configuration.protected_settings import AdministratorNeeded
from node.configuration.site_configuration import SiteConfiguration
from node.store import Store
from node.store.configuration.revisions import RevisionDraft
from tests.support.factories import NOON, sqlite_url

ACTIVE = """\
[destinations.web]
kind = "dicomweb"
url = "https://pacs.example/dicom-web"
username = "node"
password_env = "PACS_PASSWORD"

[alerts.mail]
host = "mail.example"
security = "tls"
sender = "node@example.org"
recipients = ["pacs@example.org"]
username = "node"
password_env = "MAIL_PASSWORD"

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["web"]
when = { attribute = "Modality", equals = "CT" }
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteConfiguration]:
    """The configuration as a configurator may change it, with ACTIVE as its first revision."""
    file = tmp_path / "segnode.toml"
    file.write_text('config = "database"\n', encoding="utf-8")
    (tmp_path / "mine.pem").touch()
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    SiteConfiguration(store, file).propose(RevisionDraft(ACTIVE, "Ada", "first"), None, NOON)
    yield SiteConfiguration(store, file, is_administrator=False)
    store.close()


@pytest.mark.parametrize(
    ("old", "new", "setting"),
    [
        ("", '[access]\nlogin = "none"\n', "[access]"),
        ("", '[audit.syslog]\nhost = "mine.example"\n', "[audit]"),
        ("", "[retention]\naudit_days = 1\n", "retention.audit_days"),
        ("", '[web]\npublic_url = "http://localhost"\n', "web.public_url"),
        ("", '[web]\ntrusted_proxies = ["0.0.0.0/0"]\n', "web.trusted_proxies"),
        ("PACS_PASSWORD", "HOME", "destinations.web.password_env"),
        ('password_env = "PACS_PASSWORD"', 'password_file = "/etc/shadow"', "password_file"),
        ("https://pacs.example", "https://mine.example", "destinations.web.password_env"),
        ("https://pacs.example", "http://pacs.example", "destinations.web.password_env"),
        ("[destinations.web]\n", '[destinations.web]\nca_file = "mine.pem"\n', "password_env"),
        ('security = "tls"', 'security = "starttls"', "alerts.mail.password_env"),
    ],
)
def test_a_protected_change_needs_an_administrator(
    site: SiteConfiguration, old: str, new: str, setting: str
) -> None:
    text = ACTIVE.replace(old, new, 1) if old else new + ACTIVE
    draft = RevisionDraft(text, "Bob", "a test")
    with pytest.raises(AdministratorNeeded) as caught:
        site.propose(draft, 1, NOON)
    assert setting in str(caught.value)
    assert site.store.active_revision_number() == 1
    SiteConfiguration(site.store, site.file).propose(draft, 1, NOON)
    with pytest.raises(AdministratorNeeded):  # a roll-back is no way around
        site.roll_back(1, "Bob", "a test", 2, NOON)


def test_the_events_of_a_worklist_get_its_secret_and_are_protected(
    site: SiteConfiguration,
) -> None:
    worklist = (
        '[worklists.w]\nurl = "https://ups.example/x"\ntoken_env = "UPS_TOKEN"\n'
        'tasks = [{ code = "A", scheme = "B", rule = "liver" }]\n'
    )
    administrator = SiteConfiguration(site.store, site.file)
    administrator.propose(RevisionDraft(ACTIVE + worklist, "Ada", "a test"), 1, NOON)
    text = f'{ACTIVE}{worklist}events_url = "wss://mine.example/x"\n'
    with pytest.raises(AdministratorNeeded, match=r"worklists\.w\.token_env"):
        site.propose(RevisionDraft(text, "Bob", "a test"), 2, NOON)


def test_a_configurator_changes_everything_else(site: SiteConfiguration) -> None:
    text = ACTIVE.replace('"liver"', '"liver and more"').replace(
        "[[rules]]", '[destinations.archive]\nkind = "folder"\npath = "archive"\n\n[[rules]]'
    )
    renamed = text.replace("destinations.web", "destinations.pacs").replace('["web"]', '["pacs"]')
    for number, each in enumerate((text, renamed), 1):
        site.propose(RevisionDraft(each, "Bob", "a test"), number, NOON)
    assert site.store.active_revision_number() == 3
