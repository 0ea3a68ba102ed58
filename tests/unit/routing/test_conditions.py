"""Conditions: which hold on a series, and which can never hold and so are mistakes."""

import pytest

from node.routing.condition_parsing import InvalidCondition, parse_condition
from node.routing.series_facts import SeriesFacts

CT = SeriesFacts(
    {
        "Modality": ("CT",),
        "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "SliceThickness": ("3.0",),
        "SeriesDescription": ("Abd. portal venous",),
        "PatientAge": ("045Y",),
        "KVP": ("unknown",),
        "StationName": ("007",),
        "SoftwareVersions": ("1.10",),
    },
    slice_count=42,
    origin_peer="CT1",
)


def holds(condition: object) -> bool:
    return parse_condition(condition, ()).evaluate(CT).held


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
        ({"attribute": "SliceThickness", "range": [3, float("inf")]}, True),
        ({"attribute": "PatientAge", "range": [18, 120]}, True),
        ({"attribute": "PatientAge", "range": [80, 120]}, False),
        ({"attribute": "KVP", "range": [0, 500]}, False),
        ({"attribute": "ImageType", "equals": "Axial"}, True),
        ({"attribute": "StationName", "equals": "7"}, False),
        ({"attribute": "StationName", "equals": "007"}, True),
        ({"attribute": "SoftwareVersions", "one_of": ["1.1"]}, False),
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
        {"attribute": "ImageType", "equals": "ORIGINAL\\PRIMARY\\AXIAL"},
        {"attribute": 5, "equals": 5},
        {"any": []},
        {"all": [3]},
        {"not": []},
        {"from_ae": "CT1"},
        {"at_least_slices": 2.5},
        {"attribute": "Modality", "at_least_slices": 20},
        {"attribute": "Modality", "equals": ""},
        {"attribute": "SliceThickness", "equals": "thin"},
        {"attribute": "SliceThickness", "one_of": [3, "thin"]},
        {"attribute": "SliceThickness", "range": [1]},
        {"attribute": "SliceThickness", "range": [float("nan"), 5]},
        {"attribute": "SliceThickness", "range": [5, 1]},
        {"attribute": "SeriesDescription", "range": [0, 5]},
        {"attribute": "SeriesDescription", "matches": "("},
        {"attribute": "SeriesDescription", "matches": "a{99999999999}"},
        {"attribute": "RequestAttributesSequence", "equals": "x"},
        {"attribute": "PixelData", "equals": "x"},
        {"attribute": "TransferSyntaxUID", "equals": "1.2.840.10008.1.2"},
        {"attribute": "SliceThickness", "range": ["a", "b"]},
    ],
)
def test_an_invalid_condition_is_an_error_and_not_a_mismatch(
    condition: object,
) -> None:
    with pytest.raises(InvalidCondition):
        parse_condition(condition, ())


@pytest.mark.parametrize(
    ("attribute", "suggested"),
    [
        ("SliceThicknes", "SliceThickness"),
        ("SpiralPitchFacter", "SpiralPitchFactor"),
        ("(0018,0050)", "SliceThickness"),
        ("Body Part Examined", "BodyPartExamined"),
    ],
)
def test_a_misspelt_keyword_is_reported_with_a_suggestion(attribute: str, suggested: str) -> None:
    with pytest.raises(InvalidCondition, match=f"did you mean '{suggested}'"):
        parse_condition({"attribute": attribute, "equals": 1}, ())


def test_every_mistake_in_a_condition_is_reported_with_its_location() -> None:
    wrong = {"any": [{"attribute": "Modalty", "range": [2, 1]}, {"not": {"at_least_slices": 0}}]}
    with pytest.raises(InvalidCondition) as caught:
        parse_condition(wrong, ("when",))
    assert [path for path, _ in caught.value.mistakes] == [
        ("when", "any", 0, "attribute"),
        ("when", "any", 0, "range"),
        ("when", "any", 1, "not", "at_least_slices"),
    ]
