"""Rules and decisions: what is wanted, and how it is explained."""

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from node.routing.conditions import SeriesFacts
from node.routing.decision import Decision, decide, explain
from node.routing.rules import Rule, read_condition
from node.routing.series_facts import facts_from_dataset

CT = SeriesFacts(
    {
        "Modality": ("CT",),
        "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "SliceThickness": ("3.0",),
        "SeriesDescription": ("Abd. portal venous",),
        "PatientID": ("4711",),
    },
    slice_count=42,
    origin_peer="CT1",
)


def rule(name: str, condition: object) -> Rule:
    return Rule(name, "liver-ct", ("pacs",), read_condition(condition, ()), 10.0)


def test_the_explanation_says_which_condition_failed_on_what_value() -> None:
    wanted = {"all": [{"attribute": "Modality", "equals": "CT"}, {"at_least_slices": 50}]}
    told = explain(decide([rule("liver", wanted)], CT))
    assert told.splitlines() == [
        "Rule 'liver' did not match",
        "  ✗ all of",
        "    ✓ Modality equals CT (is CT)",
        "    ✗ at least 50 slices (has 42)",
    ]


def test_the_explanation_of_a_wanted_series_says_where_results_go() -> None:
    told = explain(decide([rule("liver", {"from_ae": ["CT1"]})], CT))
    assert told.startswith("Rule 'liver' wanted the series: liver-ct, results to pacs")


def test_an_end_beyond_all_numbers_is_an_open_one() -> None:
    condition = {"attribute": "SliceThickness", "range": [-(10**400), 10**400]}
    assert decide([rule("x", condition)], CT).rules == ("x",)


def test_an_absent_attribute_is_called_absent() -> None:
    condition = {"attribute": "BodyPartExamined", "equals": "ABDOMEN"}
    assert "(is absent)" in explain(decide([rule("x", condition)], CT))


def test_a_value_that_could_name_a_patient_is_compared_but_not_kept() -> None:
    kinds = ({"equals": "4711"}, {"one_of": ["4711"]}, {"matches": "4711"})
    decision = decide([rule("x", {"attribute": "PatientID", **kind}) for kind in kinds], CT)
    assert decision.rules == ("x", "x", "x")
    assert "4711" not in decision.to_json()
    assert "4711" not in explain(decision)


def test_a_decision_survives_being_kept() -> None:
    decision = decide(
        [rule("a", {"not": {"any": [{"at_least_slices": 5}]}}), rule("b", {"at_least_slices": 5})],
        CT,
    )
    assert Decision.from_json(decision.to_json()) == decision
    assert decision.rules == ("b",)


def test_without_rules_the_explanation_says_so() -> None:
    assert "No rules are configured" in explain(decide([], CT))


def test_facts_are_the_headers_attributes_as_texts() -> None:
    header = Dataset()
    header.Modality = "CT"
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.SliceThickness = "2.50"
    header.BodyPartExamined = ""
    header.ReferencedImageSequence = [Dataset()]
    facts = facts_from_dataset(header, 7, "CT1")
    assert facts.attributes == {
        "Modality": ("CT",),
        "ImageType": ("ORIGINAL", "PRIMARY"),
        "SliceThickness": ("2.50",),
    }
    assert (facts.slice_count, facts.origin_peer) == (7, "CT1")


def test_a_value_of_many_lines_is_told_in_a_short_one() -> None:
    wordy = SeriesFacts({"ImageComments": ("first\nsecond " + "x" * 500,)}, 1, "CT1")
    told = explain(decide([rule("x", {"attribute": "ImageComments", "matches": "z"})], wordy))
    assert len(told.splitlines()) == 2
    assert "(is first second xx" in told
    assert len(told) < 200


def test_not_over_several_conditions_says_of_each_whether_it_held() -> None:
    none_of = {"not": {"any": [{"at_least_slices": 99}, {"from_ae": ["CT1"]}]}}
    assert explain(decide([rule("x", none_of)], CT)).splitlines() == [
        "Rule 'x' did not match",
        "  ✗ not any of",
        "    ✗ at least 99 slices (has 42)",
        "    ✓ sent by CT1 (was sent by CT1)",
    ]


def test_what_all_frames_of_an_enhanced_ct_share_is_a_fact_and_frames_are_slices() -> None:
    measures = Dataset()
    measures.SliceThickness = "2.5"
    groups = Dataset()
    groups.PixelMeasuresSequence = [measures]
    header = Dataset()
    header.Modality = "CT"
    header.NumberOfFrames = 120
    header.SharedFunctionalGroupsSequence = [groups]
    facts = facts_from_dataset(header, 1, "CT1")
    assert facts.attributes["SliceThickness"] == ("2.5",)
    assert facts.slice_count == 120


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize(
    ("keyword", "vr", "content"),
    [("Rows", "US", b"123"), ("TablePosition", "FD", b"12"), ("NumberOfFrames", "IS", b"many")],
)
def test_a_header_that_does_not_keep_to_its_types_has_its_other_facts(
    keyword: str, vr: str, content: bytes
) -> None:
    tag = Tag(tag_for_keyword(keyword) or 0)
    header = Dataset()
    header.Modality = "CT"
    header[tag] = RawDataElement(tag, vr, len(content), content, 0, False, True)
    facts = facts_from_dataset(header, 7, "CT1")
    assert facts.attributes["Modality"] == ("CT",)
    assert facts.slice_count == 7
