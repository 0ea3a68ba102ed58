"""Records in the audit trail when the configuration file of a host changes."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from node.audit.losses import AuditLosses
from node.audit.recording import record_if_possible
from node.configuration.differences import recorded_change, without_any_secret
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.errors import Misconfigured, NodeError
from node.settings import Settings

_LOG = structlog.get_logger()
# The text in the data folder, without secrets, that was recorded last.
_RECORDED = "recorded-configuration.toml"
_MAX_DETAIL = 1000


@dataclass(frozen=True)
class ConfigurationFile:
    """The configuration file of a host; None if the node runs with the defaults."""

    file: Path | None

    def record_use(self, settings: Settings) -> None:
        """Records the difference from the text that was recorded last, if there is one.

        `settings` are those of the file. A text that cannot be recorded now is compared again by
        the next call. The file may have changed while the node was stopped.
        """
        if self.file is None:
            return
        recorded = settings.data_dir / _RECORDED
        try:
            new = without_any_secret(self.file.read_text(encoding="utf-8-sig"))
            old = recorded.read_text(encoding="utf-8") if recorded.exists() else ""
            if new != old:
                append_record_of(settings, self._record("", recorded_change(old, new)))
                _replace(recorded, new)
        except (OSError, NodeError) as error:
            _LOG.error("audit.not_recorded", action="configuration changed", error=str(error))

    def record_mistakes(self, settings: Settings, error: Misconfigured) -> None:
        """Records that the node goes on with `settings`, because the file has mistakes."""
        record = self._record(f"not used: {mistakes_in_a_line(error)}", "")
        record_if_possible(
            partial(append_record_of, settings), record, AuditLosses(settings.data_dir)
        )

    def _record(self, detail: str, change: str) -> AuditRecord:
        return AuditRecord(
            datetime.now(UTC),
            AuditAction.CONFIGURATION_CHANGED,
            AuditOutcome.MINOR_FAILURE if detail else AuditOutcome.SUCCESS,
            AuditActor("segnode", AuditInterface.NODE),
            (AuditObject(AuditObjectType.CONFIGURATION, str(self.file)),),
            detail or "the configuration file of the host",
            change,
        )


def mistakes_in_a_line(error: Misconfigured) -> str:
    """Returns the mistakes for the detail of a record."""
    return "; ".join(str(error).splitlines())[:_MAX_DETAIL]


def append_record_of(settings: Settings, record: AuditRecord) -> None:
    """Appends a record of a site whose store the caller has not opened.

    Raises:
        NodeError: the record cannot be written.
    """
    from node.store.opening import opened_store  # here: the supervisor seldom needs the database

    store = opened_store(settings)
    try:
        store.record_soon(record)
    finally:
        store.close()


def _replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    new.replace(file)
