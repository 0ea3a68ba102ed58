"""A process that cannot use the active revision is a problem of the site."""

from datetime import timedelta
from pathlib import Path

from node.health.problems import site_problems
from node.settings import Settings
from node.store import Store
from tests.support.factories import NOON, sqlite_url


def test_a_process_with_an_earlier_revision_is_named_with_the_reason(tmp_path: Path) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    settings = Settings(least_free_gib=0)
    store.report_revision("a/listener", 2, "", NOON)
    assert site_problems(settings, store, NOON) == []
    store.report_revision("b/worker", 1, "revision 2 cannot be used: there is no model 'x'", NOON)
    (problem,) = site_problems(settings, store, NOON)
    assert (problem.kind, problem.subject) == ("configuration-not-used", "b/worker")
    assert problem.text == (
        "b/worker still runs revision 1 of the configuration: "
        "revision 2 cannot be used: there is no model 'x'."
    )
    later = NOON + timedelta(hours=1)
    assert site_problems(settings, store, later) == []  # it has not reported any more
    store.close()
