"""A configuration that is not used is a problem of the site: a revision, or a file."""

import os
from datetime import timedelta
from pathlib import Path

from node.health.configuration import file_problems
from node.health.problems import site_problems
from node.settings import Settings, load_settings
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


def test_a_file_with_mistakes_is_a_problem_until_it_is_correct(tmp_path: Path) -> None:
    file = tmp_path / "segnode.toml"
    file.write_text("[listener]\nport = 11112\n")
    settings = load_settings(file)
    assert file_problems(settings) == []
    _write(file, "[listener]\nprot = 11112\nae_title = 3\n", changed_at_ns=1)
    (problem,) = file_problems(settings)
    assert (problem.kind, problem.subject) == ("configuration-not-used", str(file))
    assert problem.text.startswith(f"The configuration file has mistakes: {file}:2: listener.prot")
    assert problem.text.endswith("(and 1 more).")
    _write(file, "[listener]\nport = 11113\n", changed_at_ns=2)
    assert file_problems(settings) == []


def test_a_file_that_is_gone_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "segnode.toml"
    file.write_text("")
    settings = load_settings(file)
    file.unlink()
    (problem,) = file_problems(settings)
    assert "cannot be read" in problem.text


def _write(file: Path, text: str, changed_at_ns: int) -> None:
    file.write_text(text)
    os.utime(file, ns=(changed_at_ns, changed_at_ns))
