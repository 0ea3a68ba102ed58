"""Numbers in sentences: rounded, but never to a false statement."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from node.domain.texts.numbers import distinct, exact, instances, millilitres, rounded_beside

_NUMBERS = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        (0.612, 0.8, "0.61"),
        (0.9984, 0.999, "0.998"),
        (0.8999, 0.9, "0.8999"),
        (0.899999999, 0.9, "0.899999999"),
        (1.0, 1.0, "1.00"),
    ],
)
def test_a_value_beside_a_limit_has_as_many_decimals_as_tell_them_apart(
    value: float, limit: float, text: str
) -> None:
    assert rounded_beside(value, limit, decimals=2) == text


@given(_NUMBERS, _NUMBERS, st.integers(0, 3))
def test_a_text_is_on_the_same_side_of_the_limit_as_the_value(
    value: float, limit: float, decimals: int
) -> None:
    text = float(rounded_beside(value, limit, decimals=decimals))
    assert (text < limit, text == limit) == (value < limit, value == limit)


@given(_NUMBERS, st.integers(0, 3))
def test_a_configured_number_keeps_every_digit(value: float, decimals: int) -> None:
    text = exact(value, decimals)
    assert float(text) == value
    assert "e" not in text


@given(_NUMBERS, _NUMBERS)
def test_values_that_differ_look_different(one: float, other: float) -> None:
    assume(one != other)
    assert len(set(distinct(one, other))) == 2


@pytest.mark.parametrize(
    ("volume_ml", "text"),
    [(1523.4, "1523 mL"), (10.0, "10 mL"), (3.24, "3.2 mL"), (0.04, "less than 0.1 mL")],
)
def test_a_small_volume_is_not_stated_as_zero(volume_ml: float, text: str) -> None:
    assert millilitres(volume_ml) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 instances"), (1, "1 instance"), (2, "2 instances")]
)
def test_one_instance_is_not_stated_as_several(count: int, text: str) -> None:
    assert instances(count) == text
