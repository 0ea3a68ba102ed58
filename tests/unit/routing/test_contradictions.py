"""Conditions that no series can satisfy are mistakes; all others are accepted."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from node.routing.condition_parsing import InvalidCondition, parse_condition
from node.routing.conditions import (
    All,
    AnyOf,
    AtLeastSlices,
    Condition,
    Equals,
    FromAe,
    InRange,
    Not,
    OneOf,
)
from node.routing.contradictions import contradiction
from node.routing.series_facts import SeriesFacts

_CT = {"attribute": "Modality", "equals": "CT"}
_MR = {"attribute": "Modality", "equals": "MR"}
_THIN = {"attribute": "SliceThickness", "range": [0, 2]}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"all": [_CT, _MR]}, "Modality equals CT excludes Modality equals MR"),
        ({"all": [_CT, {"not": _CT}]}, "Modality equals CT excludes not: Modality equals CT"),
        ({"all": [_CT, {"all": [{"any": [_MR]}]}]}, "Modality equals CT excludes"),
        (
            {"all": [_CT, {"attribute": "Modality", "one_of": ["MR", "PT"]}]},
            "Modality equals CT excludes Modality is one of MR, PT",
        ),
        (
            {"all": [_THIN, {"attribute": "SliceThickness", "range": [3, 5]}]},
            "SliceThickness is from 0 to 2 excludes SliceThickness is from 3 to 5",
        ),
        ({"all": [_THIN, {"attribute": "SliceThickness", "equals": 5}]}, "excludes"),
        ({"attribute": "KVP", "equals": 80, "range": [100, 140]}, "KVP equals 80 excludes"),
        ({"attribute": "PatientAge", "equals": "080Y", "range": [0, 18]}, "excludes"),
        ({"attribute": "Modality", "equals": "CT", "matches": "MR"}, "excludes"),
        ({"all": [{"at_least_slices": 20}, {"not": {"at_least_slices": 9}}]}, "at least 20 slices"),
        ({"all": [{"from_ae": ["A"]}, {"from_ae": ["B"]}]}, "sent by A excludes sent by B"),
        ({"not": {"any": [_CT, {"not": _CT}]}}, "excludes"),
        (
            {"all": [{"any": [_CT, {"attribute": "Modality", "equals": "PT"}]}, _MR]},
            "Modality equals CT excludes Modality equals MR",
        ),
    ],
)
def test_a_condition_that_can_never_hold_is_a_mistake(condition: object, message: str) -> None:
    with pytest.raises(InvalidCondition, match="can never hold: ") as caught:
        parse_condition(condition, ())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "condition",
    [
        {"all": [_CT, {"attribute": "Modality", "equals": "ct"}]},
        {"all": [_CT, {"any": [_MR, {"at_least_slices": 3}]}]},
        {"attribute": "Modality", "equals": "ct", "matches": "^CT$"},
        {"attribute": "KVP", "equals": 120, "matches": r"^120\.0$"},
        {"all": [{"attribute": "ImageType", "equals": v} for v in ("ORIGINAL", "PRIMARY")]},
        {"all": [{"attribute": "ImageType", "equals": "AXIAL"}, {"not": _MR}]},
        {"all": [_THIN, {"attribute": "SliceThickness", "range": [2, 5]}]},
        {"all": [{"not": _CT}, {"not": _MR}]},
        {"all": [{"from_ae": ["A", "B"]}, {"from_ae": ["B", "C"]}]},
        {"all": [{"at_least_slices": 9}, {"not": {"at_least_slices": 10}}]},
        {"all": [{"any": [{"attribute": "KVP", "equals": n} for n in range(9)]}] * 5},
    ],
)
def test_a_condition_that_may_hold_is_accepted(condition: object) -> None:
    parse_condition(condition, ())


def test_the_value_of_a_patient_stays_out_of_the_message() -> None:
    ids = [{"attribute": "PatientID", "equals": value} for value in ("P-1", "P-2")]
    with pytest.raises(InvalidCondition) as caught:
        parse_condition({"all": ids}, ())
    assert "P-1" not in str(caught.value)


_SINGLE: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Equals, st.just("KVP"), st.sampled_from(["80", "100", "120.0"])),
    st.builds(OneOf, st.just("Modality"), st.sampled_from([("CT",), ("mr", "ct"), ("PT",)])),
    st.builds(InRange, st.just("KVP"), st.sampled_from([0.0, 90.0]), st.just(120.0)),
    st.builds(AtLeastSlices, st.integers(1, 3)),
    st.builds(FromAe, st.sampled_from([("A",), ("B",), ("A", "B")])),
    st.builds(Equals, st.just("ImageType"), st.sampled_from(["AXIAL", "PRIMARY"])),
)
_CONDITIONS = st.recursive(
    _SINGLE,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
_FACTS = st.builds(
    SeriesFacts,
    st.fixed_dictionaries(
        {},
        optional={
            "KVP": st.sampled_from([("80",), ("100.0",), ("120",)]),
            "Modality": st.sampled_from([("CT",), ("MR",)]),
            "ImageType": st.sampled_from([("PRIMARY",), ("PRIMARY", "AXIAL")]),
        },
    ),
    st.integers(1, 3),
    st.sampled_from(["A", "B", "C"]),
)


@given(_CONDITIONS, _FACTS)
@hypothesis_settings(max_examples=300)
def test_no_condition_that_holds_on_a_series_is_called_a_contradiction(
    condition: Condition, facts: SeriesFacts
) -> None:
    if condition.evaluate(facts).held:
        assert contradiction(condition) == ""
