"""No revision holds a secret; what earlier versions allowed is found and removed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.configuration.active import active_settings
from node.configuration.literal_secrets import without_literal_secrets
from node.configuration.site_configuration import SiteConfiguration, import_file
from node.domain.errors import Misconfigured
from node.settings import load_location
from node.store import Store
from node.store.configuration.revisions import RevisionDraft
from tests.support.audit_records import audit_records
from tests.support.factories import LATER, NOON, sqlite_url

SECRET = "T0KEN-4711"
HOST = 'config = "database"\ndata_dir = "data"\n'
WEBHOOK = f'# the room of the PACS team: ä\n[alerts.webhook]\nurl = "https://chat/hooks/{SECRET}"\n'
INLINE = f'[alerts]\nwebhook = {{ timeout_seconds = 5, url = "https://chat/{SECRET}" }}\n'
DOTTED = f'alerts.webhook.url = "https://chat/{SECRET}"\n'
COMMENTS = [
    f'# password = "{SECRET}"\n',
    f"  ##smtp_password='{SECRET}'  # of mail\n",
    f'[alerts]\n# oauth_client_secret = "{SECRET}"\n',
]
WITHOUT = '[alerts.webhook]\nurl_file = "webhook"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a host whose configuration is in the database."""
    file = tmp_path / "segnode.toml"
    file.write_text(HOST)
    return file


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def site(store: Store, file: Path) -> SiteConfiguration:
    """A site whose active revision an earlier version has stored, with a secret."""
    store.activate_revision(draft(WEBHOOK), None, NOON)
    return SiteConfiguration(store, file)


def draft(text: str) -> RevisionDraft:
    return RevisionDraft(text, "Ada", "a test")


def texts_of(store: Store) -> str:
    return "".join(revision.text for revision in store.list_revisions(100))


@pytest.mark.parametrize("text", [WEBHOOK, INLINE, DOTTED, *COMMENTS])
def test_a_text_with_a_secret_becomes_no_revision(store: Store, file: Path, text: str) -> None:
    line = next(i for i, each in enumerate(text.splitlines(), start=1) if SECRET in each)
    site = SiteConfiguration(store, file)
    for use in (
        lambda: site.propose(draft(text), None, NOON),
        lambda: site.check_proposed(text),
    ):
        with pytest.raises(Misconfigured, match=rf"configuration:{line}: ") as caught:
            use()
        assert SECRET not in str(caught.value)
    assert store.active_revision() is None


@pytest.mark.parametrize("text", [WEBHOOK, COMMENTS[0]])
def test_a_file_with_a_secret_is_not_imported(store: Store, file: Path, text: str) -> None:
    file.write_text(HOST + text)
    with pytest.raises(Misconfigured, match=r"segnode\.toml:\d: "):
        import_file(store, file, NOON)
    assert store.active_revision() is None
    location = load_location(file)
    Store.open(location.database_url, location.data_dir).close()
    with pytest.raises(Misconfigured, match=r"segnode\.toml:\d: "):
        active_settings(file)


@pytest.mark.parametrize(
    "text",
    [
        WITHOUT,
        '# url_file = "webhook"\n# password_env = "PASSWORD"\n# the password = a word\n',
        '# token_file = "token"\n# password_file = "/etc/segnode/password"\n',
        '[alerts]\nsite = "# password = 1"\n',
    ],
)
def test_the_names_of_files_and_variables_are_no_secrets(
    store: Store, file: Path, text: str
) -> None:
    assert SiteConfiguration(store, file).propose(draft(text), None, NOON).number == 1
    assert without_literal_secrets(text) == text


@pytest.mark.parametrize("key", ["password", "token", "oauth_client_secret"])
def test_a_secret_in_place_of_its_file_is_refused_without_being_shown(
    store: Store, file: Path, key: str
) -> None:
    text = f'[sources.s]\nurl = "https://s/x"\n{key} = "{SECRET}"\n'
    with pytest.raises(Misconfigured, match=f"configuration:3: .*{key}_file names") as caught:
        SiteConfiguration(store, file).propose(draft(text), None, NOON)
    assert SECRET not in str(caught.value)


def test_a_revision_of_an_earlier_version_stays_usable(site: SiteConfiguration) -> None:
    settings = site.check(site.text())
    assert settings.alerts.webhook is not None
    assert settings.alerts.webhook.url == f"https://chat/hooks/{SECRET}"
    with pytest.raises(Misconfigured, match=r"alerts\.webhook\.url: .*url_file"):
        site.propose(draft(site.text() + "[delivery]\n"), 1, LATER)


def test_secrets_are_removed_from_revisions_that_are_not_active(site: SiteConfiguration) -> None:
    with pytest.raises(Misconfigured, match=r"revision 1:3: alerts\.webhook\.url"):
        site.remove_secrets("Ada", LATER)
    site.propose(draft(WITHOUT), 1, LATER)
    assert SECRET in texts_of(site.store)
    assert SECRET not in site.difference(1, 2)

    assert site.remove_secrets("Ada", LATER) == [1]

    assert SECRET not in texts_of(site.store)
    old = site.revision(1)
    assert old.text == WEBHOOK.replace(f"https://chat/hooks/{SECRET}", "***")
    assert (old.author, old.created_at) == ("Ada", NOON)
    assert SECRET not in site.difference(1, 2)
    (event,) = [
        each
        for each in site.store.history_of("configuration")
        if each.event == "configuration.secrets_removed"
    ]
    assert event.detail == "revisions 1 by Ada"
    removed, _proposed, *_ = audit_records(site.store)
    assert (removed.detail, removed.objects) == (
        "secrets removed",
        (("configuration", "revision 1"),),
    )
    assert SECRET not in str(audit_records(site.store))
    assert site.remove_secrets("Ada", LATER) == [], "a second time there are none"
    with pytest.raises(Misconfigured, match="must be an address"):
        site.roll_back(1, "Ada", "back", 2, LATER)


@pytest.mark.parametrize("text", [WEBHOOK, INLINE, DOTTED, *COMMENTS, "\r\n".join(COMMENTS[:2])])
def test_what_is_removed_is_the_secret_alone(text: str) -> None:
    remaining = re.split(rf"[\"'][^\"'\n]*{SECRET}[\"']", text)
    assert without_literal_secrets(text).split('"***"') == remaining
