"""A process follows the configuration, and keeps its last good one if a newer one is unusable."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.configuration.follower import ConfigurationFollower
from node.configuration.site_configuration import SiteConfiguration
from node.configuration.sources import ConfigurationSource, configuration_source
from node.domain.errors import Misconfigured, NodeError, Transient
from node.settings import Settings
from node.store import Store
from node.store.configuration.revisions import RevisionDraft
from tests.support.factories import NOON, sqlite_url

DATABASE = 'config = "database"\ndata_dir = "data"\nquiet_seconds = 1\n'


@dataclass
class Site:
    """One process of a site, with a clock and a request to reload that the test sets."""

    folder: Path
    store: Store
    used: list[float] = field(default_factory=list)  # the quiet times, in the order of use
    refused: float | None = None  # the process refuses settings with this quiet time
    is_down: bool = False
    reload_requested: bool = False
    time: float = 0.0

    @property
    def file(self) -> Path:
        return self.folder / "segnode.toml"

    def use(self, settings: Settings) -> None:
        if settings.quiet_seconds == self.refused:
            raise Misconfigured("the model cannot be loaded", key="rules.model")
        if self.is_down:
            raise Transient("the database of the workflows does not answer")
        self.used.append(settings.quiet_seconds)

    def source(self) -> ConfigurationSource:
        def requested() -> bool:
            was_requested, self.reload_requested = self.reload_requested, False
            return was_requested

        source = configuration_source(self.file, self.store, "host/worker", requested, lambda: NOON)
        if hasattr(source, "clock"):
            source.clock = lambda: self.time
        return source

    def follower(self) -> ConfigurationFollower:
        return ConfigurationFollower(self.source(), self.use, clock=lambda: self.time)

    def activate(self, quiet_seconds: float, more: str = "") -> None:
        site = SiteConfiguration(self.store, self.file)
        draft = RevisionDraft(f"quiet_seconds = {quiet_seconds}\n{more}", "Ada", "a test")
        site.store.activate_revision(draft, site.store.active_revision_number(), NOON)

    def reported(self) -> tuple[int, str]:
        (process,) = self.store.configured_processes(NOON)
        return process.number, process.problem


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site whose configuration is in the database."""
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    made = Site(tmp_path, store)
    made.file.write_text(DATABASE, encoding="utf-8")
    yield made
    store.close()


def test_the_first_start_imports_the_file_as_the_first_revision(site: Site) -> None:
    site.follower().start()
    active = site.store.active_revision()
    assert active is not None
    assert (active.number, active.text) == (1, "quiet_seconds = 1\n")
    assert site.reported() == (1, "")
    site.file.write_text(DATABASE.replace("= 1", "= 3"), encoding="utf-8")
    site.follower().start()  # another process, or a later start
    assert site.used == [1, 1]


def test_an_invalid_file_is_not_imported(site: Site) -> None:
    site.file.write_text(DATABASE + "quiet_minutes = 1\n", encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"segnode\.toml:4: quiet_minutes"):
        site.follower().start()
    assert site.store.active_revision_number() is None


def test_a_process_switches_to_a_new_revision_once(site: Site) -> None:
    follower = site.follower()
    follower.start()
    follower.poll()
    site.activate(2)
    follower.poll()
    follower.poll()
    assert site.used == [1, 2]
    assert site.reported() == (2, "")


def test_a_process_keeps_its_revision_where_the_new_one_has_mistakes_on_its_host(
    site: Site,
) -> None:
    follower = site.follower()
    follower.start()
    site.activate(2, "quiet_minutes = 1\n")
    follower.poll()
    assert site.used == [1]
    number, problem = site.reported()
    assert number == 1
    assert problem.startswith("revision 2 cannot be used: revision 2:2: quiet_minutes")
    site.activate(3)
    follower.poll()
    assert site.used == [1, 3]
    assert site.reported() == (3, "")


def test_a_revision_that_could_not_be_used_is_tried_again(site: Site) -> None:
    follower = site.follower()
    follower.start()
    site.refused = 2
    site.activate(2)
    follower.poll()
    site.refused = None
    follower.poll()
    assert site.used == [1]
    site.time = 61.0
    follower.poll()
    assert site.used == [1, 2]


def test_a_revision_that_failed_for_a_transient_reason_is_tried_at_the_next_poll(
    site: Site,
) -> None:
    follower = site.follower()
    follower.start()
    site.activate(2)
    site.is_down = True
    with pytest.raises(Transient):
        follower.poll()
    site.is_down = False
    follower.poll()
    assert site.used == [1, 2]


def test_a_process_that_restarts_uses_the_revision_that_it_used_last(site: Site) -> None:
    first = site.follower()
    first.start()
    site.activate(2)
    first.poll()
    site.activate(3)  # while no process runs
    site.activate(4, "quiet_minutes = 1\n")
    follower = site.follower()
    follower.start()
    assert site.used == [1, 2, 2]
    number, problem = site.reported()
    assert (number, problem.split(":")[0]) == (2, "revision 4 cannot be used")
    follower.poll()
    assert site.used == [1, 2, 2]


def test_a_process_never_returns_to_a_revision_before_the_one_that_it_used_last(
    site: Site,
) -> None:
    """Earlier revisions may lack TLS or logins; its certificate, say, has expired."""
    site.follower().start()
    site.activate(2)
    site.follower().start()
    site.refused = 2
    with pytest.raises(Misconfigured, match="the model cannot be loaded"):
        site.follower().start()
    assert site.used == [1, 2]


def test_a_process_that_can_use_no_revision_names_the_mistake_in_the_active_one(
    site: Site,
) -> None:
    site.activate(1, "a = 1\n")
    site.activate(2, "b = 1\n")
    with pytest.raises(Misconfigured, match=r"revision 2:2: b"):
        site.follower().start()


def test_where_the_data_are_changes_only_at_a_restart(site: Site) -> None:
    used: list[Settings] = []
    follower = ConfigurationFollower(site.source(), used.append)
    follower.start()
    site.file.write_text(DATABASE.replace('"data"', '"other"'), encoding="utf-8")
    site.activate(2)
    follower.poll()
    assert [settings.quiet_seconds for settings in used] == [1, 2]
    assert used[1].data_dir == used[0].data_dir


def test_a_file_is_read_again_on_request_only_and_ignored_while_it_has_mistakes(
    site: Site,
) -> None:
    site.file.write_text("quiet_seconds = 1\n", encoding="utf-8")
    follower = site.follower()
    follower.start()
    site.file.write_text("quiet_seconds = 2\n", encoding="utf-8")
    follower.poll()
    assert site.used == [1]
    site.reload_requested = True
    follower.poll()
    assert site.used == [1, 2]
    site.file.write_text("quiet_minutes = 1\n", encoding="utf-8")
    site.reload_requested = True
    follower.poll()
    site.file.write_text("quiet_seconds = 3\n", encoding="utf-8")
    site.time = 1000.0
    follower.poll()
    assert site.used == [1, 2]
    site.reload_requested = True
    follower.poll()
    assert site.used == [1, 2, 3]
    assert site.store.active_revision_number() is None


def test_a_process_that_restarts_leaves_a_revision_whose_model_cannot_be_loaded(
    site: Site,
) -> None:
    class ModelDied(NodeError):
        pass

    used: list[float] = []

    def use(settings: Settings) -> None:
        if settings.quiet_seconds == 2:
            raise ModelDied("its process was ended by signal 9")
        used.append(settings.quiet_seconds)

    site.activate(1)
    ConfigurationFollower(site.source(), use).start()
    site.activate(2)
    ConfigurationFollower(site.source(), use).start()
    assert used == [1, 1]
    assert site.reported() == (1, "revision 2 cannot be used: its process was ended by signal 9")
