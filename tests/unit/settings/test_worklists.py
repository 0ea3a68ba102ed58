"""Settings of worklists."""

from pathlib import Path

import pytest

from node.settings import load_settings
from tests.unit.settings.site import VALID, mistakes_in, write

WORKLIST = """
[worklists.hospital]
url = "http://workflow/dicom-web"
tasks = [{ code = "LIVER", scheme = "99HOSP", rule = "liver" }]
"""
ONLY = VALID.replace("when = ", "only_for_work_items = true\nwhen = ")


def test_a_worklist_names_a_rule_for_each_code(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ONLY + WORKLIST))
    worklist = settings.worklists["hospital"]
    assert [(task.code, task.rule) for task in worklist.tasks] == [("LIVER", "liver")]
    assert (worklist.poll_seconds, worklist.max_open, worklist.subscribe) == (30.0, 10, True)
    assert settings.rules[0].only_for_work_items


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VALID + WORKLIST.replace('"liver"', '"livr"'), "no rule 'livr' (did you mean 'liver'?)"),
        (VALID + WORKLIST.replace("tasks", "task"), "(did you mean 'tasks'?)"),
        (VALID + WORKLIST.replace("scheme", "sceme"), "(did you mean 'scheme'?)"),
        (VALID + WORKLIST + 'source = "pasc"\n', "there is no source or peer 'pasc'"),
        (VALID + WORKLIST + 'source = "pacs"\n', "peer 'pacs' needs retrieve = \"move\""),
        (VALID + WORKLIST + "poll_seconds = 0\n", "must be above 0"),
        (VALID + WORKLIST + "max_open = 0\n", "must be from 1 to 1000, not 0"),
        (VALID + WORKLIST + 'station = "A LONG STATION NAME"\n', "1 to 16 printable characters"),
        (VALID + WORKLIST + 'events_url = "http://x/y"\n', "must begin with ws:// or wss://"),
        (VALID + WORKLIST + 'events_url = "ws://"\n', "must be an address"),
        (VALID + WORKLIST + 'password_env = "P"\n', "has no effect without a username"),
        (VALID + WORKLIST.replace('"http://workflow/dicom-web"', '"workflow"'), "an address such"),
        (
            VALID.replace("when = ", "enabled = false\nwhen = ") + WORKLIST,
            "rule 'liver' is disabled, so it would perform no work item",
        ),
        (VALID + WORKLIST + 'station_scheme = "S"\n', "has no effect without a station"),
        (
            VALID + WORKLIST.replace("dicom-web", "dicom-web/workitems"),
            "must be the part of the address before /workitems",
        ),
        (ONLY, "no task of a worklist names this rule, so it would never apply"),
        (ONLY.replace("true", '"yes"') + WORKLIST, "must be true or false"),
    ],
)
def test_a_mistake_is_reported_with_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    lines = mistakes_in(tmp_path, text)
    assert any(message in line for line in lines), lines


def test_a_code_that_is_named_twice_is_a_mistake(tmp_path: Path) -> None:
    task = '{ code = "LIVER", scheme = "99HOSP", rule = "liver" }'
    text = VALID + WORKLIST.replace(task, f"{task}, {task}")
    (line,) = mistakes_in(tmp_path, text)
    assert "the code 'LIVER' is named twice" in line


def test_a_rule_whose_results_cannot_be_retrieved_performs_no_work_items(tmp_path: Path) -> None:
    folder = VALID.replace('kind = "cstore"\npeer = "pacs"', 'kind = "folder"\npath = "x"')
    (line,) = mistakes_in(tmp_path, folder + WORKLIST)
    assert "rule 'liver' needs a destination of kind cstore or dicomweb" in line
