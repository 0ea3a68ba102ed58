"""Any valid rules give a decision on any facts; it can be stored and explained."""

from hypothesis import given, reject, settings
from hypothesis import strategies as st

from node.routing.condition_parsing import InvalidCondition, parse_condition
from node.routing.conditions import Condition
from node.routing.rule_matching import Decision, decide, explain
from node.routing.rules import Rule
from node.routing.series_facts import SeriesFacts

TEXTS = ("Modality", "ImageType", "PatientName", "StationName")
NUMBERS = ("SliceThickness", "KVP", "PatientAge")
texts = st.text(max_size=12)
named = texts.filter(str.strip)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
plain = st.one_of(
    st.builds(lambda n: {"at_least_slices": n}, st.integers(1, 500)),
    st.builds(lambda a: {"from_ae": a}, st.lists(named, min_size=1, max_size=3)),
    st.builds(
        lambda a, v: {"attribute": a, "equals": v},
        st.sampled_from(TEXTS),
        st.one_of(named, numbers),
    ),
    st.builds(
        lambda a, v: {"attribute": a, "range": sorted(v)},
        st.sampled_from(NUMBERS),
        st.tuples(numbers, numbers),
    ),
    st.builds(
        lambda a, v: {"attribute": a, "one_of": v},
        st.sampled_from(NUMBERS[:2]),
        st.lists(numbers, min_size=1, max_size=3),
    ),
    st.builds(
        lambda a, v: {"attribute": a, "matches": v},
        st.sampled_from(TEXTS),
        st.sampled_from(["", ".", "^A", "(?i)ct|mr", r"\d+$", "[^x]"]),
    ),
)
conditions = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.builds(lambda c: {"not": c}, inner),
        st.builds(
            lambda k, c: {k: c}, st.sampled_from(["any", "all"]), st.lists(inner, min_size=1)
        ),
    ),
    max_leaves=8,
)
facts = st.builds(
    SeriesFacts,
    st.dictionaries(st.sampled_from(TEXTS + NUMBERS), st.lists(texts, max_size=3).map(tuple)),
    st.integers(0, 5000),
    texts,
)


def parsed(table: dict[str, object]) -> Condition:
    """Parse the table; leave out one whose parts happen to exclude each other."""
    try:
        return parse_condition(table, ())
    except InvalidCondition:
        reject()


@settings(max_examples=50, deadline=None)
@given(facts, st.lists(conditions, max_size=3))
def test_a_decision_is_always_made_and_survives_storage(
    series: SeriesFacts, tables: list[dict[str, object]]
) -> None:
    rules = [Rule(f"rule {i}", "m", ("d",), parsed(table), 1.0) for i, table in enumerate(tables)]
    decision = decide(rules, series)
    assert Decision.from_json(decision.to_json()) == decision
    assert len(explain(decision).splitlines()) >= max(1, 2 * len(rules))


@settings(max_examples=50, deadline=None)
@given(facts, conditions)
def test_a_condition_and_its_negation_never_agree(
    series: SeriesFacts, table: dict[str, object]
) -> None:
    held = parsed(table).evaluate(series).held
    assert parsed({"not": table}).evaluate(series).held is not held
