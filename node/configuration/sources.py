"""Where a process finds its configuration: the file of the host, or the active revision."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from node.configuration.site_configuration import import_file, revision_name
from node.settings import Settings, load_revision, load_settings
from node.settings.location import is_in_database
from node.store import Store

# A revision that did not work may work later: a model has been installed, a password been set.
_RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class Candidate:
    """A configuration that a process may use; `number` is that of the revision, None for a file.

    `load` returns its settings, or raises Misconfigured.
    """

    name: str
    number: int | None
    load: Callable[[], Settings]


class ConfigurationSource(Protocol):
    """Gives a process the configurations to use."""

    def at_start(self) -> Iterator[Candidate]:
        """Yields those to use at the start, in the order of preference."""
        ...

    def newer(self, tried: Candidate, *, failed: bool) -> Candidate | None:
        """Returns the one to use instead of the last one tried, if there is one.

        `failed` says whether the last one could not be used.
        """
        ...

    def report(self, number: int | None, problem: str) -> None:
        """Records which configuration the process uses, and why it uses no newer one."""
        ...


@dataclass(frozen=True)
class FileSource:
    """The file of the host. `reload_requested` says, once for each request, that it has changed."""

    file: Path | None
    reload_requested: Callable[[], bool]

    def at_start(self) -> Iterator[Candidate]:
        """Yields the file."""
        yield self._candidate()

    def newer(self, tried: Candidate, *, failed: bool) -> Candidate | None:
        """Returns the file after a request to reload it."""
        return self._candidate() if self.reload_requested() else None

    def report(self, number: int | None, problem: str) -> None:
        """Does nothing: the log has the problem, and each host its own file."""

    def _candidate(self) -> Candidate:
        name = "the defaults" if self.file is None else str(self.file)
        return Candidate(name, None, partial(load_settings, self.file))


@dataclass
class DatabaseSource:
    """The active revision. `process` names the process in reports: host and role."""

    store: Store
    file: Path | None
    process: str
    reload_requested: Callable[[], bool]
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    _next_retry_at: float = field(default=0.0)

    def at_start(self) -> Iterator[Candidate]:
        """Yields the active revision, then the one that this process used last.

        No other one: an earlier revision may lack TLS, peers or logins, and nobody expects it to
        come back. The first start imports the file.
        """
        import_file(self.store, self.file, self.now())
        active = self.store.active_revision_number()
        assert active is not None  # noqa: S101 imported
        self._next_retry_at = self.clock() + _RETRY_SECONDS
        yield self._candidate(active)
        used = self.store.revision_used_by(self.process)
        if used is not None and used != active:
            yield self._candidate(used)

    def newer(self, tried: Candidate, *, failed: bool) -> Candidate | None:
        """Returns the active revision if it was not tried, or is worth another try."""
        reload_requested = self.reload_requested()
        active = self.store.active_revision_number()
        if active is None:
            return None
        is_due = failed and self.clock() >= self._next_retry_at
        if active == tried.number and not is_due and not reload_requested:
            return None
        self._next_retry_at = self.clock() + _RETRY_SECONDS
        return self._candidate(active)

    def report(self, number: int | None, problem: str) -> None:
        """Records it in the database, where health finds it."""
        if number is not None:
            self.store.report_revision(self.process, number, problem, self.now())

    def _candidate(self, number: int) -> Candidate:
        return Candidate(revision_name(number), number, partial(self._load, number))

    def _load(self, number: int) -> Settings:
        revision = self.store.get_revision(number)
        assert revision is not None  # noqa: S101 revisions are never deleted
        return load_revision(self.file, revision.text, revision_name(number))


def configuration_source(
    file: Path | None,
    store: Store,
    process: str,
    reload_requested: Callable[[], bool],
    now: Callable[[], datetime],
) -> ConfigurationSource:
    """Returns the source that the file of the host names.

    Raises:
        Misconfigured: the file cannot be read, or is not valid TOML.
    """
    if is_in_database(file):
        return DatabaseSource(store, file, process, reload_requested, now)
    return FileSource(file, reload_requested)
