"""The configuration of a site: what a revision holds, and what changes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.configuration.active import active_settings
from node.configuration.location_lines import without_location
from node.configuration.site_configuration import (
    ConfigurationReadOnly,
    NothingChanged,
    SiteConfiguration,
    UnknownRevision,
    import_file,
)
from node.domain.errors import Misconfigured
from node.settings import load_location
from node.store import Store
from node.store.configuration.revisions import RevisionDraft
from tests.support.factories import LATER, NOON

FILE = """\
# Our site
config = "database"
data_dir = "data"
catalogues = [
  "models",
]
"log_level" = "debug"
quiet_seconds = 1

[listener]
data_dir = 1
"""
VALID = FILE.replace("data_dir = 1", "port = 104")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteConfiguration]:
    """A site whose file has been imported."""
    (tmp_path / "models").mkdir()
    file = tmp_path / "segnode.toml"
    file.write_text(VALID, encoding="utf-8")
    location = load_location(file)
    store = Store.open(location.database_url, location.data_dir)
    import_file(store, file, NOON)
    yield SiteConfiguration(store, file)
    store.close()


def draft(text: str) -> RevisionDraft:
    return RevisionDraft(text, "Ada", "a test")


def test_a_revision_has_nothing_that_belongs_to_a_host() -> None:
    text = without_location(FILE, "file")
    assert text.split("\n") == [
        "# Our site", *[""] * 6, "quiet_seconds = 1", "", "[listener]", "data_dir = 1", ""
    ]  # fmt: skip


def test_the_settings_are_those_of_the_host_and_of_the_active_revision(
    site: SiteConfiguration,
) -> None:
    assert site.file is not None
    site.propose(draft("quiet_seconds = 2\n[listener]\nport = 105\n"), 1, LATER)
    settings = active_settings(site.file)
    assert (settings.quiet_seconds, settings.listener.port) == (2, 105)
    assert (settings.log_level, settings.data_dir) == ("debug", site.file.parent / "data")


def test_the_environment_overrides_a_revision(
    site: SiteConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_QUIET_SECONDS", "9")
    monkeypatch.setenv("SEGNODE_CONFIG", str(site.file))  # names the file, not a setting
    assert active_settings(site.file).quiet_seconds == 9


def test_mistakes_name_the_line_in_the_text_and_change_nothing(site: SiteConfiguration) -> None:
    with pytest.raises(Misconfigured) as caught:
        site.propose(draft("\n\nquiet_seconds = 'x'\n[listner]\n"), 1, LATER)
    assert [(each.line, each.key) for each in caught.value.mistakes] == [
        (3, "quiet_seconds"),
        (4, "listner"),
    ]
    assert site.store.active_revision_number() == 1


@pytest.mark.parametrize("key", ["config", "data_dir", "database_url", "log_level"])
def test_a_revision_cannot_say_what_belongs_to_a_host(site: SiteConfiguration, key: str) -> None:
    with pytest.raises(Misconfigured, match=rf":2: {key}: belongs to each host"):
        site.propose(draft(f'quiet_seconds = 1\n{key} = "x"\n'), 1, LATER)


def test_a_roll_back_is_a_revision_with_the_old_text(site: SiteConfiguration) -> None:
    site.propose(draft("quiet_seconds = 2\n"), 1, LATER)
    revision = site.roll_back(1, "Bob", "too slow", 2, LATER)
    assert (revision.number, revision.parent, revision.author) == (3, 2, "Bob")
    assert revision.text == site.revision(1).text
    assert "-quiet_seconds = 2" in site.difference(2, 3)
    assert site.difference(1, 3) == ""
    with pytest.raises(UnknownRevision, match="there is no revision 9"):
        site.roll_back(9, "Bob", "too slow", 3, LATER)


def test_the_browser_s_line_ends_and_outer_blank_lines_are_no_change(
    site: SiteConfiguration,
) -> None:
    site.propose(draft("\r\nquiet_seconds = 2\r\n\r\n\r\n"), 1, LATER)
    assert site.text() == "quiet_seconds = 2\n"


def test_an_unchanged_text_makes_no_revision(site: SiteConfiguration) -> None:
    text = site.text()
    with pytest.raises(NothingChanged, match="revision 1 has this text already"):
        site.propose(draft(f"\n{text}\n\n"), None, LATER)
    with pytest.raises(NothingChanged):
        site.roll_back(1, "Bob", "no change", 1, LATER)
    assert [each.number for each in site.store.list_revisions(5)] == [1]


def test_what_a_text_changes_of_the_identity_is_named(site: SiteConfiguration) -> None:
    text = '[listener]\nae_title = "OTHER"\nport = 104\nmax_pdu = 16384\n[web]\nport = 81\n'
    assert [str(each) for each in site.identity_changes(text)] == [
        "listener.ae_title: SEGNODE becomes OTHER",
        "web.port: 8080 becomes 81",
    ]
    assert site.identity_changes("[listener]\nport = 104\nmax_pdu = 16384\n") == ()


def test_a_configuration_in_a_file_cannot_be_changed(
    site: SiteConfiguration, tmp_path: Path
) -> None:
    file = tmp_path / "other.toml"
    file.write_text("quiet_seconds = 4\n", encoding="utf-8")
    other = SiteConfiguration(site.store, file)
    assert (other.is_writable, other.text()) == (False, "quiet_seconds = 4\n")
    with pytest.raises(ConfigurationReadOnly, match="segnode reload"):
        other.propose(draft(""), None, NOON)
    assert SiteConfiguration(site.store, None).text() == ""
