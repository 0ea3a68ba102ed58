"""The conformance statement and the guide of worklists equal the code."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
from pydicom.datadict import dictionary_description, keyword_for_tag
from pydicom.dataset import Dataset

from node.domain.errors import RejectionReason
from node.domain.identifiers import Uid
from node.domain.worklists.codes import Code, Discontinuation
from node.domain.worklists.work_item import WorkItemState
from node.settings import load_settings
from node.settings.credentials.options import HttpServiceOptions
from node.settings.worklists import WorklistOptions
from node.worklists.performed import (
    OutputSeries,
    Performance,
    cancellation_report,
    completion_report,
    progress_report,
)
from node.worklists.scheduled import RETURN_KEYS
from tests.support.conformance_statement import keyword, table
from tests.support.dicom.work_items import series_input
from tests.support.factories import NOON
from tests.support.servers.performing_node import SERIES, PerformingNode, performing_node
from tests.support.servers.ups_server import UpsOriginServer
from tests.support.servers.ups_worklist import Answer, Received

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "deploy" / "worklists.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "deploy" / "segnode.toml").read_text(encoding="utf-8")


def guide_table(first_heading: str) -> list[list[str]]:
    """The rows of the only table of the guide with that first heading."""
    (rows,) = re.findall(rf"^\| {first_heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]


@pytest.fixture
def ups() -> Iterator[UpsOriginServer]:
    with UpsOriginServer() as server:
        yield server


@pytest.fixture
def node(tmp_path: Path, ups: UpsOriginServer) -> Iterator[PerformingNode]:
    with performing_node(tmp_path, ups, 'station = "AI-1"\nlabel = "AI"') as made:
        yield made


def request_line(request: Received) -> tuple[str, str]:
    """The method and the resource template of a request."""
    parts = request.path.removeprefix("/dicom-web").split("/")
    for place, name in ((2, "{workitem}"), (4, "{aetitle}")):
        if len(parts) > place:
            parts[place] = name
    query = "?transaction-uid={uid}" if request.name == "update" else ""
    return request.method, "/".join(parts) + query


def test_the_transactions_equal_what_a_performer_sends(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    node.claim(station="AI-1", label="AI")
    node.deliver(node.job())
    node.poll()
    uid = node.schedule(station="AI-1", label="AI", codes=["OTHER"])
    node.poll()
    assert ups.state(uid) == "CANCELED"
    names = {"state IN PROGRESS": "Change state to IN PROGRESS"}
    names |= {f"state {s}": f"Change state to {s}" for s in ("COMPLETED", "CANCELED")}
    sent = {(names.get(r.name, r.name.capitalize()), *request_line(r)) for r in ups.received}
    documented = {(name, method, path) for name, method, path, _ in rows_of_transactions()}
    opened = ("Open Notification Connection", "GET", "/subscribers/{aetitle}")
    assert documented == sent | {opened}


def rows_of_transactions() -> list[list[str]]:
    """The table of transactions."""
    return table("Worklist transaction")


def test_the_query_keys_equal_a_search(node: PerformingNode, ups: UpsOriginServer) -> None:
    node.poll()
    search = next(r for r in ups.received if r.name == "search")
    documented = dict(table("Worklist query key"))
    names = {name for key in documented for name in key.split(", ")}
    assert names == set(search.query)
    for key in ("ProcedureStepState", "InputReadinessState"):
        assert documented[key] == search.query[key]
    assert search.query["limit"] == "100"


def test_the_guide_names_the_attributes_of_a_search() -> None:
    rows = guide_table("Attribute")
    words = set()
    for name, _ in rows:
        match = re.fullmatch(r"(?:> )?(.+) \((....),(....)\)", name)
        assert match is not None, name
        word = keyword_for_tag(match[2] + match[3])
        assert match[1] == dictionary_description(word)
        words.add(word)
    assert set(RETURN_KEYS) < words


@pytest.mark.parametrize("row", table("Status of a worklist response"), ids="-".join)
def test_the_reaction_to_a_status_equals_the_code(
    node: PerformingNode, ups: UpsOriginServer, row: list[str]
) -> None:
    status, transaction, reaction = row
    uid = node.claim(station="AI-1", label="AI")
    node.deliver(node.job())
    if transaction == "Change state to IN PROGRESS":
        second = node.schedule(station="AI-1", label="AI")
        node.worklist.search.poll()
        assert ups.claim(second, "1.2.3").status == 200
        node.poll()
        assert node.state(second) is WorkItemState.WITHDRAWN
        assert reaction == "withdraws, if the work item is not its own"
        return
    if transaction in {"Change state to COMPLETED", "Update"}:
        node.worklist.performer.poll()
        assert node.state(uid) is WorkItemState.COMPLETING
        ups.end(uid, "CANCELED")
        node.worklist.performer.poll()
        assert node.state(uid) is WorkItemState.WITHDRAWN
        return
    ups.answer = Answer(int(status))
    node.worklist.performer.poll()
    node.worklist.performer.poll()
    if reaction == "withdraws":
        assert node.state(uid) is WorkItemState.WITHDRAWN
    else:
        assert reaction == "tries again"
        assert node.state(uid) is WorkItemState.COMPLETING
        assert node.item(uid).error


PERFORMANCE = Performance(
    station=Code("SEGNODE", "99SEGNODE", "segnode"),
    workitem_codes=(Code("LIVER", "99HOSP", "Liver"),),
    started_at=NOON,
    ended_at=NOON,
    description="liver-ct 1.0",
    outputs=(
        OutputSeries(
            Uid("1.2"),
            Uid("1.2.3"),
            "1.2.840.10008.5.1.4.1.1.66.4",
            (Uid("1.2.4"),),
            ("PACS",),
            ("http://a",),
        ),
    ),
)
REPORTS = MappingProxyType(
    {
        "COMPLETED": completion_report(PERFORMANCE),
        "CANCELED": cancellation_report(
            PERFORMANCE, 50, "a reason", Code.of(Discontinuation.UNSPECIFIED)
        ),
    }
)
# The attributes of code items are those of every code sequence (PS3.3 8.8).
CODE_ATTRIBUTES = {"CodeValue", "CodingSchemeDesignator", "CodeMeaning"}


def words_of(dataset: Dataset) -> set[str]:
    """The keywords of all elements, at every level."""
    return {element.keyword for element in dataset.iterall()} - CODE_ATTRIBUTES


@pytest.mark.parametrize("state", REPORTS)
def test_the_attributes_of_the_final_report_equal_the_code(state: str) -> None:
    documented = set()
    for name, tag, presence, _ in table("Work item attribute"):
        word = keyword(tag)
        assert name == dictionary_description(word)
        if presence in {"ALWAYS", "ANAP", state}:
            documented.add(word)
    assert documented == words_of(REPORTS[state])


def test_a_progress_update_has_the_first_three_attributes() -> None:
    first = [keyword(tag) for _, tag, _, _ in table("Work item attribute")[:3]]
    assert set(first) == words_of(progress_report(10, "text"))


def test_the_reasons_of_cancellation_equal_the_code() -> None:
    documented = {(code, meaning) for meaning, code in table("Reason of cancellation")}
    assert documented == {reason.value for reason in Discontinuation}
    in_guide = {code for _, code in guide_table("Case") if code[0] == "1"}
    assert in_guide == {" ".join(reason.value) for reason in Discontinuation}


def test_every_requirement_of_the_profile_that_is_met_has_a_test() -> None:
    for requirement, met, how, test in table("AIW-I requirement"):
        assert how
        assert met in {"yes", "no"}
        assert bool(test) == (met == "yes"), requirement
        file, _, name = test.partition("::")
        assert not test or f"def {name}(" in (ROOT / file).read_text(), requirement


def test_the_example_of_the_guide_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    text = re.sub(r"^   ", "", block, flags=re.MULTILINE)
    destination = '[destinations.pacs]\nkind = "dicomweb"\nurl = "http://pacs/dicom-web"\n'
    file = tmp_path / "segnode.toml"
    file.write_text(f'data_dir = "data"\n{destination}{text}')
    settings = load_settings(file)
    assert settings.worklists["hospital"].station == "SEGNODE-1"
    assert settings.rules[0].only_for_work_items


def test_the_example_of_the_configuration_is_valid_and_shows_the_defaults() -> None:
    (block,) = re.findall(r"^#   \[worklists\.hospital\]\n(?:#.*\n)+", EXAMPLE, re.MULTILINE)
    text = re.sub(r"^#( {3})?", "", block, flags=re.MULTILINE)
    hospital = tomllib.loads(text)["worklists"]["hospital"]
    described_elsewhere = set(HttpServiceOptions.model_fields)  # in [sources]
    assert set(hospital) == set(WorklistOptions.model_fields) - described_elsewhere
    options = WorklistOptions(**hospital)
    defaults = WorklistOptions(url=options.url, tasks=options.tasks)
    for name in ("poll_seconds", "max_open", "give_up_after_hours", "subscribe"):
        assert getattr(options, name) == getattr(defaults, name)


def test_the_guide_maps_refusals_to_codes_as_the_code_does(
    node: PerformingNode, ups: UpsOriginServer
) -> None:
    expected = {
        RejectionReason.MISSING_SLICES: Discontinuation.OBJECT_SET_INCOMPLETE,
        RejectionReason.LOCALIZER: Discontinuation.OBJECT_TYPES_NOT_SUPPORTED,
        RejectionReason.UNREADABLE: Discontinuation.OBJECTS_MALFORMED,
        RejectionReason.NOT_BELIEVABLE: Discontinuation.UNSPECIFIED,
    }
    for number, (reason, discontinuation) in enumerate(expected.items()):
        series = f"{SERIES}.{number}"
        node.add_images(series)
        uid = node.schedule(series_input("1.2", series), station="AI-1", label="AI")
        node.poll()
        node.refuse(node.job(series), reason, "a reason")
        node.poll()
        (code,) = ups.progress(uid).ProcedureStepDiscontinuationReasonCodeSequence
        assert (code.CodeValue, code.CodeMeaning) == discontinuation.value
