"""The tables of the conformance statement equal the code."""

import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from models.installed_packages import find
from node.commitment import scu as commitment_scu
from node.delivery.response_status import check_storage_status
from node.dicom.ct.reader import read_series
from node.dicom.equipment import this_node
from node.dicom.query import FoundStudy, QueryLevel, SeriesQuery
from node.dicom.results.encoders import encode
from node.dicom.results.measurement_groups import EVALUATIONS
from node.dicom.results.transcoding import sent_syntaxes
from node.dicom.uid_names import uid_name
from node.dimse.find import FIND_FAILURES, QUERY_MODEL
from node.dimse.retrieve import (
    GET_MODEL,
    MOVE_MODEL,
    RETRIEVAL_TIMEOUT_S,
    MoveDestination,
    NotPerformed,
    completed_sub_operations,
    get_contexts,
)
from node.dimse.scu import Remote
from node.domain.errors import Rejected, Transient
from node.domain.identifiers import AeTitle, Uid
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding
from node.retrieval.series_search import find_series, find_studies
from node.settings import DicomTlsOptions, load_settings
from node.store import Store
from node.web.app import create_app
from node.web.dicomweb.transcoding import COMPRESSED_SYNTAXES, UNCOMPRESSED_SYNTAXES
from pacs_listener import commitment as commitment_service
from pacs_listener.admission import (
    CALLING_NOT_RECOGNIZED,
    IDENTITY_REJECTED,
    TEMPORARY_CONGESTION,
)
from pacs_listener.application_entity import ACSE_TIMEOUT_S, NETWORK_TIMEOUT_S
from pacs_listener.presentation_contexts import (
    STORAGE_COMMITMENT,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    VERIFICATION,
    VERIFICATION_TRANSFER_SYNTAXES,
)
from pacs_listener.store_status import MEANINGS
from tests.support.conformance_statement import TEXT, keyword, table
from tests.support.dicom.builders import ct_series
from tests.support.dicom.measured_content import organs_content
from tests.support.dicom.results import content_of, encoded_seg

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"


def by_uid(first_heading: str) -> list[tuple[str, str]]:
    """The rows of a table of names and UIDs, in order, as pairs of UID and name."""
    return [(uid, name) for name, uid in table(first_heading)]


def test_the_sop_classes_equal_the_code() -> None:
    verification = (VERIFICATION, UID(VERIFICATION).name)
    commitment = (STORAGE_COMMITMENT, UID(STORAGE_COMMITMENT).name)
    assert by_uid("SOP class") == [verification, commitment, *STORAGE_SOP_CLASSES.items()]


def test_the_transfer_syntaxes_and_their_order_equal_the_code() -> None:
    assert by_uid("Storage transfer syntax") == list(STORAGE_TRANSFER_SYNTAXES.items())
    assert by_uid("Verification transfer syntax") == list(VERIFICATION_TRANSFER_SYNTAXES.items())


def test_the_store_statuses_equal_the_code() -> None:
    documented = [
        (meaning, int(status, 16), when) for meaning, status, when in table("Meaning in PS3.4")
    ]
    assert documented == [
        (meaning, int(status), when) for status, (meaning, when) in MEANINGS.items()
    ]


@pytest.mark.parametrize("row", table("Answer"), ids=lambda row: row[1])
def test_the_reaction_to_a_status_equals_the_code(row: list[str]) -> None:
    _, status, consequence = row
    try:
        check_storage_status(int(status, 16))
    except Transient:
        assert consequence == "tries again"
    except Rejected:
        assert consequence == "parked"
    else:
        assert consequence == "delivered"


def test_the_statuses_of_n_action_equal_the_code() -> None:
    documented = {int(status, 16) for _, status, _ in table("Status of N-ACTION")}
    service = commitment_service
    assert documented == {
        service.SUCCESS,
        service.INVALID_ARGUMENT,
        service.NO_SUCH_ACTION,
        service.NOT_AUTHORIZED,
        service.RESOURCE_LIMITATION,
    }


def test_the_statuses_of_n_event_report_equal_the_code() -> None:
    documented = {
        int(status, 16) for _, status, _ in table("Status of our N-EVENT-REPORT response")
    }
    scu = commitment_scu
    assert documented == {scu.SUCCESS, scu.PROCESSING_FAILURE, scu.INVALID_ARGUMENT}


def test_the_sop_classes_of_queries_equal_the_code() -> None:
    models = [UID(uid) for uid in (QUERY_MODEL, MOVE_MODEL, GET_MODEL)]
    assert by_uid("SOP class of queries") == [(model, model.name) for model in models]


def test_a_c_get_proposes_each_storage_class_with_each_transfer_syntax() -> None:
    proposed = {
        (context.abstract_syntax, *context.transfer_syntax) for context in get_contexts()[1:]
    }
    assert proposed == {
        (sop_class, syntax)
        for sop_class in STORAGE_SOP_CLASSES
        for syntax in STORAGE_TRANSFER_SYNTAXES
    }
    assert f"after {RETRIEVAL_TIMEOUT_S:g} s of silence" in TEXT


def test_the_keys_of_queries_equal_the_code() -> None:
    used: set[tuple[str, str]] = set()

    def find(level: QueryLevel, keys: Mapping[str, str], max_matches: int) -> list[Dataset]:
        used.update((word, level) for word in keys)
        return []

    everything = SeriesQuery("id", "accession", "20260101", "CT", "1.2", "1.2.3")
    find_studies(find, everything, 1)
    find_series(find, everything, FoundStudy(Uid("1.2"), "", "", None), 1)
    rows = table("Query key")
    assert {(keyword(tag), level) for _, tag, both, _ in rows for level in both.split(", ")} == used
    for name, tag, _, _ in rows:
        assert name == dictionary_description(keyword(tag))


def test_the_statuses_of_c_find_equal_the_code() -> None:
    assert {int(status, 16) for _, status in table("Status of C-FIND")} == set(FIND_FAILURES)


@pytest.mark.parametrize("row", table("Outcome of a retrieval"), ids=lambda row: row[0])
def test_the_reaction_to_the_outcome_of_a_retrieval_equals_the_code(row: list[str]) -> None:
    _, status, completed, failed, consequence = row
    final = Dataset()
    final.Status = int(status, 16)
    final.NumberOfCompletedSuboperations = int(completed)
    final.NumberOfFailedSuboperations = int(failed)
    remote = Remote(AeTitle("PACS"), "pacs", 104)
    try:
        destination = MoveDestination(AeTitle("US"), "port 1")
        completed_sub_operations(final, remote, Uid("1.2.3"), destination)
    except NotPerformed:
        assert consequence == "tries again if the peer has the series"
    except Transient:
        assert consequence == "tries again"
    except Rejected:
        assert consequence == "ends"
    else:
        assert consequence == "done"


def test_the_limits_and_defaults_equal_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_DATA_DIR", str(tmp_path))
    settings = load_settings(None)
    for _, name, default in table("Parameter"):
        value: object = settings
        for part in name.split("."):
            value = getattr(value, part)
        assert str(value) == default, name
    limits = dict(table("Limit"))
    assert limits["Maximum PDU received"].startswith(f"{settings.listener.max_pdu} bytes")
    assert limits["Simultaneous associations"].startswith(f"{settings.listener.max_associations},")
    assert limits["Wait for an association request"] == f"{ACSE_TIMEOUT_S:g} s"
    assert limits["Silence within an association"].startswith(f"{NETWORK_TIMEOUT_S:g} s")


def test_the_ciphers_equal_those_of_a_context() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(DicomTlsOptions().ciphers)
    ciphers = [(cipher["name"], cipher["protocol"]) for cipher in context.get_ciphers()]
    assert sorted(table("Cipher")) == sorted(
        [name, version.replace("v", " ")] for name, version in ciphers
    )


def test_the_rejections_of_associations_equal_the_code() -> None:
    answers = {answer for _, answer in table("Rejected association")}
    codes = (CALLING_NOT_RECOGNIZED, IDENTITY_REJECTED, TEMPORARY_CONGESTION)
    assert {", ".join(map(str, code)) for code in codes} < answers


def test_the_implementation_identifiers_equal_the_code() -> None:
    node = this_node()
    assert dict(table("Item")) == {
        "Implementation Class UID": node.implementation_class_uid,
        "Implementation Version Name": node.implementation_version_name,
    }
    assert f"segnode {node.software_version}, in the structure" in TEXT


def test_the_dicomweb_resources_equal_the_routes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_DATA_DIR", str(tmp_path))
    settings = load_settings(None)
    store = Store.open(settings.database_url, settings.data_dir)
    paths = create_app(settings, store).openapi()["paths"]
    store.close()
    served = {
        (method.upper(), path.removeprefix("/dicom-web"))
        for path, methods in paths.items()
        if path.startswith("/dicom-web")
        for method in methods
    }
    assert {(method, resource) for _, method, resource in table("Transaction")} == served


def test_the_transfer_syntaxes_on_request_equal_the_code() -> None:
    syntaxes = (*UNCOMPRESSED_SYNTAXES, *COMPRESSED_SYNTAXES)
    assert by_uid("Transfer syntax on request") == [(uid, uid.name) for uid in syntaxes]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[SegEncoding, Dataset]:
    series = read_series(ct_series().write(tmp_path_factory.mktemp("series")))
    return {each: encoded_seg(content_of(series), each) for each in SegEncoding}


@pytest.fixture(scope="module")
def result(results: dict[SegEncoding, Dataset]) -> Dataset:
    return results[SegEncoding.ALL_FRAMES]


def test_the_attributes_and_their_presence_equal_a_result(result: Dataset) -> None:
    rows = {keyword(tag): (name, presence) for name, tag, presence, _ in table("Attribute")}
    # Of the further modules, this source has only the Study Description.
    carried = {"StudyDescription", "SpecificCharacterSet"}
    assert {element.keyword for element in result} - carried <= set(rows)
    for word, (name, presence) in rows.items():
        assert name == dictionary_description(word)
        match presence:
            case "ALWAYS":
                assert not result[word].is_empty, word
            case "EMPTY":
                assert word in result, word
            case _:
                assert presence == "ANAP"


def test_the_fixed_values_equal_a_result(result: Dataset) -> None:
    fixed = 0
    for _, tag, _, value in table("Attribute"):
        whole = re.search(
            rf"^\|[^|]*\| {re.escape(tag)} \|[^|]*\| `([^`]*)` \|$", TEXT, re.MULTILINE
        )
        if whole:
            actual = result[keyword(tag)].value
            values = [actual] if isinstance(actual, str | int) else actual
            assert "\\".join(str(one) for one in values) == value, tag
            fixed += 1
    assert fixed > 12


def test_the_segment_attributes_equal_a_result(result: Dataset) -> None:
    documented = {keyword(tag) for _, tag, _ in table("Segment attribute")}
    assert {element.keyword for element in result.SegmentSequence[0]} == documented


def test_the_encodings_equal_the_code(results: dict[SegEncoding, Dataset]) -> None:
    rows = table("Attribute by encoding")
    assert [row[0] for row in rows] == [
        "SOP Class UID",
        "Segmentation Type",
        "Bits Allocated",
        "Pixel Padding Value",
        "Transfer Syntax UID",
    ]
    for row in rows:
        word = row[0].replace(" ", "")
        for encoding, documented in zip(SegEncoding, row[1:], strict=True):
            dataset = results[encoding]
            holder = dataset.file_meta if word == "TransferSyntaxUID" else dataset
            assert str(holder.get(word, "absent")) == documented, (word, encoding)


def test_a_label_map_has_the_documented_attributes(
    results: dict[SegEncoding, Dataset],
) -> None:
    rows = {keyword(tag) for _, tag, _, _ in table("Attribute")}
    carried = {"StudyDescription", "SpecificCharacterSet", "PixelPaddingValue"}
    label_map = {element.keyword for element in results[SegEncoding.LABELMAP]}
    assert label_map - carried <= rows


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    content = organs_content(tmp_path_factory.mktemp("report"))
    (dataset,) = encode(content, ResultObject(ResultKind.SR))
    return dataset


def test_the_attributes_and_their_presence_equal_a_report(report: Dataset) -> None:
    rows = {keyword(tag): (name, presence) for name, tag, presence, _ in table("Report attribute")}
    # Of the further modules, this source has only the Study Description.
    assert {element.keyword for element in report} - {"StudyDescription"} <= set(rows)
    for word, (name, presence) in rows.items():
        assert name == dictionary_description(word)
        match presence:
            case "ALWAYS":
                assert not report[word].is_empty, word
            case "EMPTY":
                assert word in report, word
            case _:
                assert presence == "ANAP"


def test_the_fixed_values_equal_a_report(report: Dataset) -> None:
    row = re.compile(r"\| (\([^|]*\)) \| ALWAYS \| `([^`]*)` \|$", re.MULTILINE)
    fixed = {keyword(tag): value for tag, value in row.findall(_section("Report attribute"))}
    assert len(fixed) > 7
    for word, value in fixed.items():
        assert str(report[word].value) == value, word


def _section(first_heading: str) -> str:
    """The text of the table with that first heading."""
    start = TEXT.index(f"| {first_heading} |")
    return TEXT[start : TEXT.index("\n\n", start)]


def test_the_concepts_of_a_report_equal_the_table(report: Dataset) -> None:
    documented = {code: name for name, code, _, _ in table("Report concept")}
    organs = {label.type.value for label in find("organs-ct").labels}
    used = {
        f"{code.CodeValue}, {code.CodingSchemeDesignator}": code.CodeMeaning
        for code in _concept_names(report)
        if code.CodeValue not in organs
    }
    assert set(used) <= set(documented)
    for code, name in used.items():
        assert documented[code].lower() == name.lower()
    conditional = {
        f"{code.value}, {code.scheme_designator}"
        for code in (
            *EVALUATIONS.values(),
            codes.DCM.Normality,
            codes.SCT.NormalRangeLowerLimit,
            codes.SCT.NormalRangeUpperLimit,
            codes.DCM.NormalRangeDescription,
        )
    }
    assert set(documented) - set(used) <= conditional


def _concept_names(item: Dataset) -> Iterator[Dataset]:
    """The concept name of every content item below this one."""
    for child in item.get("ContentSequence") or ():
        yield from child.get("ConceptNameCodeSequence") or ()
        yield from _concept_names(child)


@pytest.fixture(scope="module")
def structure_set(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    content = organs_content(tmp_path_factory.mktemp("structure-set"))
    (dataset,) = encode(content, ResultObject(ResultKind.RTSTRUCT))
    return dataset


def test_the_attributes_and_their_presence_equal_a_structure_set(structure_set: Dataset) -> None:
    rows = {
        keyword(tag): (name, presence)
        for name, tag, presence, _ in table("Structure set attribute")
    }
    # Of the further modules, this source has only the Study Description.
    assert {element.keyword for element in structure_set} - {"StudyDescription"} == set(rows)
    for word, (name, presence) in rows.items():
        assert name == dictionary_description(word)
        assert presence == "EMPTY" or not structure_set[word].is_empty, word


def test_the_fixed_values_equal_a_structure_set(structure_set: Dataset) -> None:
    row = re.compile(r"\| (\([^|]*\)) \| ALWAYS \| `([^`]*)` \|$", re.MULTILINE)
    fixed = {keyword(tag): v for tag, v in row.findall(_section("Structure set attribute"))}
    assert len(fixed) > 5
    for word, value in fixed.items():
        assert str(structure_set[word].value) == value, word


def test_the_attributes_of_regions_equal_a_structure_set(structure_set: Dataset) -> None:
    contours = [c for roi in structure_set.ROIContourSequence for c in roi.ContourSequence]
    items = {
        "Structure Set ROI": structure_set.StructureSetROISequence,
        "ROI Contour": structure_set.ROIContourSequence,
        "Contour": contours,
        "RT ROI Observations": structure_set.RTROIObservationsSequence,
    }
    used = {
        (sequence, element.keyword)
        for sequence, several in items.items()
        for item in several
        for element in item
    }
    rows = table("ROI attribute")
    assert {(sequence, keyword(tag)) for _, tag, sequence, _ in rows} == used
    for name, tag, _, _ in rows:
        assert name == dictionary_description(keyword(tag))


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> dict[ResultKind, Dataset]:
    """The first capture, the summary and the PDF."""
    content = organs_content(tmp_path_factory.mktemp("captures"))
    kinds = (ResultKind.CAPTURE, ResultKind.SUMMARY, ResultKind.PDF)
    return {kind: next(iter(encode(content, ResultObject(kind)))) for kind in kinds}


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Capture attribute", ResultKind.CAPTURE),
        ("Summary attribute", ResultKind.SUMMARY),
        ("PDF attribute", ResultKind.PDF),
    ],
)
def test_the_attributes_of_captures_equal_the_code(
    captures: dict[ResultKind, Dataset], header: str, kind: ResultKind
) -> None:
    rows = {keyword(tag): (name, value) for name, tag, value in table(header)}
    common = {keyword(tag) for _, tag, _ in table("Attribute of all objects")}
    assert {element.keyword for element in captures[kind]} - {"StudyDescription"} == (
        set(rows) | common
    )
    for word, (name, value) in rows.items():
        assert name == dictionary_description(word)
        if fixed := re.fullmatch("`([^`]*)`", value):
            assert str(captures[kind][word].value) == fixed[1].replace("\\\\", "\\"), word


def test_the_proposed_presentation_contexts_equal_the_code(
    results: dict[SegEncoding, Dataset],
    report: Dataset,
    structure_set: Dataset,
    captures: dict[ResultKind, Dataset],
) -> None:
    produced = (*results.values(), report, structure_set, *captures.values())
    sop_classes = {each.SOPClassUID: uid_name(each.SOPClassUID) for each in produced}
    assert by_uid("SOP class of results") == list(sop_classes.items())
    syntaxes = {
        syntax: syntax.name
        for result in produced
        for syntax in sent_syntaxes(
            result.SOPClassUID, result.file_meta.TransferSyntaxUID, deflated=True
        )
    }
    assert by_uid("Result transfer syntax") == list(syntaxes.items())
