"""Rules and decisions: which series match, and how the decision is explained."""

from dataclasses import replace

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from node.routing.condition_parsing import Mistake, parse_condition
from node.routing.fact_extraction import facts_from_dataset
from node.routing.rule_matching import Decision, decide, explain
from node.routing.rule_parsing import parse_rules
from node.routing.rules import Rule
from node.routing.series_facts import SeriesFacts

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
    return Rule(name, "liver-ct", ("pacs",), parse_condition(condition, ()), 10.0)


def test_the_explanation_names_the_failed_condition_and_the_value() -> None:
    wanted = {"all": [{"attribute": "Modality", "equals": "CT"}, {"at_least_slices": 50}]}
    explanation = explain(decide([rule("liver", wanted)], CT))
    assert explanation.splitlines() == [
        "Rule 'liver' did not match",
        "  ✗ all of",
        "    ✓ Modality equals CT (is CT)",
        "    ✗ at least 50 slices (has 42)",
    ]


def test_the_explanation_of_a_match_names_the_destinations() -> None:
    explanation = explain(decide([rule("liver", {"from_ae": ["CT1"]})], CT))
    assert explanation.startswith("Rule 'liver' matched the series: liver-ct, results to pacs")


def test_a_range_end_beyond_floating_point_is_open() -> None:
    condition = {"attribute": "SliceThickness", "range": [-(10**400), 10**400]}
    assert decide([rule("x", condition)], CT).rules == ("x",)


def test_an_absent_attribute_is_described_as_absent() -> None:
    condition = {"attribute": "BodyPartExamined", "equals": "ABDOMEN"}
    assert "(is absent)" in explain(decide([rule("x", condition)], CT))


def test_a_value_that_can_identify_a_patient_is_compared_but_not_stored() -> None:
    tests = ({"equals": "4711"}, {"one_of": ["4711"]}, {"matches": "4711"})
    decision = decide([rule("x", {"attribute": "PatientID", **test}) for test in tests], CT)
    assert decision.rules == ("x", "x", "x")
    assert "4711" not in decision.to_json()
    assert "4711" not in explain(decision)


def test_a_decision_survives_storage() -> None:
    decision = decide(
        [rule("a", {"not": {"any": [{"at_least_slices": 5}]}}), rule("b", {"at_least_slices": 5})],
        CT,
    )
    assert Decision.from_json(decision.to_json()) == decision
    assert decision.rules == ("b",)


def test_the_explanation_states_that_no_rules_are_configured() -> None:
    assert "No rules are configured" in explain(decide([], CT))


def test_facts_are_the_attributes_of_the_header_as_texts() -> None:
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


def test_a_long_value_is_shortened_to_one_line() -> None:
    wordy = SeriesFacts({"ImageComments": ("first\nsecond " + "x" * 500,)}, 1, "CT1")
    explanation = explain(
        decide([rule("x", {"attribute": "ImageComments", "matches": "z"})], wordy)
    )
    assert len(explanation.splitlines()) == 2
    assert "(is first second xx" in explanation
    assert len(explanation) < 200


def test_the_explanation_of_not_lists_every_inner_condition() -> None:
    none_of = {"not": {"any": [{"at_least_slices": 99}, {"from_ae": ["CT1"]}]}}
    assert explain(decide([rule("x", none_of)], CT)).splitlines() == [
        "Rule 'x' did not match",
        "  ✗ not any of",
        "    ✗ at least 99 slices (has 42)",
        "    ✓ sent by CT1 (was sent by CT1)",
    ]


def test_shared_attributes_of_an_enhanced_ct_are_facts_and_frames_are_slices() -> None:
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
def test_an_invalid_value_in_the_header_does_not_affect_other_facts(
    keyword: str, vr: str, content: bytes
) -> None:
    tag = Tag(tag_for_keyword(keyword) or 0)
    header = Dataset()
    header.Modality = "CT"
    header[tag] = RawDataElement(tag, vr, len(content), content, 0, False, True)
    facts = facts_from_dataset(header, 7, "CT1")
    assert facts.attributes["Modality"] == ("CT",)
    assert facts.slice_count == 7


def test_a_rule_only_for_work_items_matches_where_one_requests_it_and_its_condition_holds() -> None:
    mistakes: list[Mistake] = []
    (only,) = parse_rules(
        [
            {
                "name": "on order",
                "model": "liver-ct",
                "destinations": ["pacs"],
                "only_for_work_items": True,
                "when": {"attribute": "Modality", "equals": "CT"},
            }
        ],
        10.0,
        mistakes,
    )
    assert mistakes == []
    requested = replace(CT, requested_rules=frozenset({"on order"}))
    assert decide([only], CT).rules == ()
    assert "✗ requested by a work item (no work item names it)" in explain(decide([only], CT))
    assert decide([only], requested).rules == ("on order",)
    assert decide([only], replace(requested, attributes={})).rules == ()
