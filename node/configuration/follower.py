"""Keeps a process on the active configuration; on its last good one where that cannot be used."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from node.configuration.sources import Candidate, ConfigurationSource
from node.domain.error_classification import Defect, attempt
from node.domain.errors import NodeError, Rejected, Transient
from node.settings import Settings
from node.settings.location import LOCATION_KEYS

_LOG = structlog.get_logger()
# How often a process looks for a newer configuration.
POLL_SECONDS = 1.0
# How often a process reports what it uses.
REPORT_SECONDS = 30.0
# What a process cannot change while it runs.
_FIXED = tuple(key for key in LOCATION_KEYS if key != "catalogues")


@dataclass
class ConfigurationFollower:
    """Passes settings to `use`, which switches the process to them, or raises and changes nothing.

    An error of `use` or a mistake in the configuration leaves the process as it is. It is logged
    once and reported, and tried again now and then.
    """

    source: ConfigurationSource
    use: Callable[[Settings], None]
    clock: Callable[[], float] = time.monotonic
    _settings: Settings | None = None
    _used: Candidate | None = None
    _tried: Candidate | None = None
    _waiting: Candidate | None = None  # after a transient error
    _problem: str = ""
    _next_report_at: float = field(default=0.0)

    def start(self) -> None:
        """Uses the first configuration of the source that can be used.

        Raises:
            Misconfigured: none can; the message is that of the first.
            InferenceError: as above, because a model cannot be loaded.
            Transient: the database does not answer.
        """
        failure: NodeError | None = None
        for candidate in self.source.at_start():
            try:
                settings = candidate.load()
                self.use(settings)
            except Transient:
                raise
            except NodeError as error:
                _LOG.error("configuration.not_used", name=candidate.name, error=str(error))
                failure = failure or error
                self._tried = self._tried or candidate
                continue
            self._settings, self._used = settings, candidate
            self._tried = self._tried or candidate
            self._problem = "" if failure is None else _problem(self._tried, str(failure))
            _LOG.info("configuration.used", name=candidate.name)
            self._report()
            return
        assert failure is not None  # noqa: S101 a source yields at least one
        raise failure

    def poll(self) -> None:
        """Uses the newer configuration, if there is one.

        Raises:
            Transient: the database does not answer, or what the configuration needs does not.
        """
        assert self._tried is not None  # noqa: S101 `start` comes first
        candidate = self.source.newer(self._tried, failed=bool(self._problem)) or self._waiting
        if candidate is not None:
            self._switch(candidate)
        elif self.clock() >= self._next_report_at:
            self._report()

    def _switch(self, candidate: Candidate) -> None:
        self._waiting = None
        outcome = attempt(lambda: self._load_and_use(candidate))
        match outcome:
            case Settings():
                self._settings, self._used, self._tried = outcome, candidate, candidate
                self._problem = ""
                _LOG.info("configuration.used", name=candidate.name)
            case Transient():
                self._waiting = candidate  # for the next poll
                raise outcome
            case Rejected() | Defect():
                error = outcome.message if isinstance(outcome, Defect) else str(outcome)
                problem = _problem(candidate, error)
                if problem != self._problem or candidate.number is None:
                    _LOG.error("configuration.not_used", name=candidate.name, error=error)
                self._tried, self._problem = candidate, problem
        self._report()

    def _load_and_use(self, candidate: Candidate) -> Settings:
        settings = candidate.load()
        if self._settings is not None:
            settings = _with_fixed(self._settings, settings)
        self.use(settings)
        return settings

    def _report(self) -> None:
        self.source.report(None if self._used is None else self._used.number, self._problem)
        self._next_report_at = self.clock() + REPORT_SECONDS


def _problem(candidate: Candidate, error: str) -> str:
    return f"{candidate.name} cannot be used: {error}"


def _with_fixed(current: Settings, new: Settings) -> Settings:
    """Returns the new settings with the current values of those that only a restart changes."""
    changed = {
        key: getattr(current, key) for key in _FIXED if getattr(current, key) != getattr(new, key)
    }
    if changed:
        _LOG.warning("configuration.needs_restart", settings=sorted(changed))
    return new.model_copy(update=changed)
