"""Numbers in sentences, rounded for readers but never to a false statement."""

from decimal import Decimal

# Readers rarely want more; where these do not suffice, all digits are shown.
_MAX_DECIMALS = 6
# Below this, whole millilitres are too coarse.
_SMALL_ML = 10.0
_SMALLEST_SHOWN_ML = 0.1


def exact(value: float, min_decimals: int = 0) -> str:
    """Returns every digit of a number that a person configured, and at least `min_decimals`."""
    text = f"{value:.{min_decimals}f}"
    return text if float(text) == value else f"{Decimal(repr(float(value))):f}"


def rounded_beside(value: float, *limits: float, decimals: int = 0) -> str:
    """Returns a value that is stated beside limits, such as `0.998` beside 0.999.

    It has `decimals`, and more where it would otherwise seem to be on the other side of a limit,
    or equal to it.
    """
    for places in range(decimals, _MAX_DECIMALS + 1):
        text = f"{value:.{places}f}"
        if all(_order(float(text), limit) == _order(value, limit) for limit in limits):
            return text
    return exact(value)


def distinct(one: float, other: float, decimals: int = 0) -> tuple[str, str]:
    """Returns two values that differ, with `decimals` and more where they would look equal."""
    for places in range(decimals, _MAX_DECIMALS + 1):
        texts = f"{one:,.{places}f}", f"{other:,.{places}f}"
        if texts[0] != texts[1]:
            return texts
    return exact(one), exact(other)


def millilitres(volume_ml: float) -> str:
    """Returns a volume above 0, such as `1523 mL`, `3.2 mL` or `less than 0.1 mL`."""
    if volume_ml < _SMALLEST_SHOWN_ML:
        return f"less than {_SMALLEST_SHOWN_ML} mL"
    return f"{volume_ml:.{1 if volume_ml < _SMALL_ML else 0}f} mL"


def instances(count: int) -> str:
    """Returns `1 instance` or `120 instances`."""
    return "1 instance" if count == 1 else f"{count} instances"


def _order(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)
