"""Records that the audit trail lacks are a problem of their host for a day."""

from datetime import timedelta
from pathlib import Path

from node.audit.losses import AuditLosses
from node.health.audit import audit_problems
from node.settings import Settings
from node.store import Store
from tests.support.factories import NOON, sqlite_url


def test_lost_records_are_named_with_their_host_times_and_remedy_for_a_day(tmp_path: Path) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    settings, losses = Settings(data_dir=tmp_path), AuditLosses(tmp_path)
    stated_at = NOON + timedelta(minutes=1)
    losses.add(NOON)
    assert audit_problems(settings, store, stated_at) == []
    losses.report(store.record, lambda: stated_at)
    (problem,) = audit_problems(settings, store, stated_at)
    host = problem.subject
    since = f"{NOON:%Y-%m-%d %H:%M:%S}"
    assert problem.text == (
        f"The audit trail lacks 1 record of {host} from {since} to {since} (UTC): the database "
        "could not be written."
    )
    assert "audit.not_recorded" in problem.remedy
    losses.add(NOON)
    losses.report(store.record, lambda: stated_at)
    (same,) = audit_problems(settings, store, stated_at)
    assert (same.key, same.text.split(" of ")[0]) == (
        problem.key,
        "The audit trail lacks 2 records",
    )
    assert audit_problems(settings, store, stated_at + timedelta(days=1, seconds=1)) == []
    store.close()
