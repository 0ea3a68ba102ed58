"""Rules and decisions: what is wanted, and how it is explained."""

import pytest
from pydicom.dataset import Dataset

from node.routing.conditions import SeriesFacts
from node.routing.decide import Decision, decide, explain
from node.routing.facts import facts_from_dataset
from node.routing.rules import InvalidCondition, Rule, read_condition

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


def holds(condition: object, facts: SeriesFacts = CT) -> bool:
    return read_condition(condition, ()).judge(facts).held


def rule(name: str, condition: object) -> Rule:
    return Rule(name, "liver-ct", ("pacs",), read_condition(condition, ()), 10.0)


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"attribute": "Modality", "equals": "CT"}, True),
        ({"attribute": "Modality", "equals": "MR"}, False),
        ({"attribute": "SliceThickness", "equals": 3}, True),
        ({"attribute": "ImageType", "equals": "AXIAL"}, True),
        ({"attribute": "BodyPartExamined", "equals": "ABDOMEN"}, False),
        ({"attribute": "Modality", "one_of": ["MR", "CT"]}, True),
        ({"attribute": "Modality", "one_of": ["MR", "PT"]}, False),
        ({"attribute": "SliceThickness", "range": [3, 5]}, True),
        ({"attribute": "SliceThickness", "range": [3.1, 5]}, False),
        ({"attribute": "SeriesDescription", "range": [0, 5]}, False),
        ({"attribute": "SeriesDescription", "matches": "(?i)ABD"}, True),
        ({"attribute": "SeriesDescription", "matches": "^portal"}, False),
        ({"at_least_slices": 42}, True),
        ({"at_least_slices": 43}, False),
        ({"from_ae": ["CT1", "CT2"]}, True),
        ({"from_ae": ["CT2"]}, False),
        ({"any": [{"at_least_slices": 99}, {"from_ae": ["CT1"]}]}, True),
        ({"all": [{"at_least_slices": 99}, {"from_ae": ["CT1"]}]}, False),
        ({"not": {"at_least_slices": 99}}, True),
        ({"not": {"attribute": "ImageType", "matches": "LOCALIZER"}}, True),
        ({"attribute": "Modality", "equals": "CT", "at_least_slices": 99}, False),
    ],
)
def test_a_condition_holds_or_does_not(condition: object, held: bool) -> None:
    assert holds(condition) is held


@pytest.mark.parametrize(
    "condition",
    [
        None,
        {},
        {"equals": "CT"},
        {"attribute": "Modality"},
        {"attribute": "Modality", "one_of": []},
        {"attribute": "Modality", "equals": True},
        {"attribute": 5, "equals": 5},
        {"any": []},
        {"all": [3]},
        {"not": []},
        {"from_ae": "CT1"},
        {"at_least_slices": 2.5},
        {"attribute": "SliceThickness", "range": [1]},
        {"attribute": "SliceThickness", "range": ["a", "b"]},
    ],
)
def test_a_condition_that_makes_no_sense_is_an_error_and_never_merely_unmatched(
    condition: object,
) -> None:
    with pytest.raises(InvalidCondition):
        read_condition(condition, ())


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


def test_an_absent_attribute_is_called_absent() -> None:
    condition = {"attribute": "BodyPartExamined", "equals": "ABDOMEN"}
    assert "(is absent)" in explain(decide([rule("x", condition)], CT))


def test_a_value_that_could_name_a_patient_is_compared_but_not_kept() -> None:
    decision = decide([rule("x", {"attribute": "PatientID", "equals": "4711"})], CT)
    assert decision.rules == ("x",)
    kept = decision.to_json().replace("PatientID equals 4711", "")
    assert "4711" not in kept


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
