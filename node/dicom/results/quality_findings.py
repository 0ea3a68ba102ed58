"""Derivation of quality findings: what a reader of the result must know besides the values."""

from collections.abc import Iterator, Mapping, Sequence

from models.manifest import Label
from models.measurement import MIN_COMPONENT_ML, Measurement, is_found
from node.dicom.ct.non_slices import counted
from node.dicom.ct.reader import CtSeries
from node.domain.findings import Finding, FindingKind
from node.domain.texts.numbers import exact, millilitres, rounded_beside

# Smaller holes are the contours of vessels and ducts at the organ's edge.
_MIN_HOLES_ML = 1.0


def derive_findings(
    measurements: Mapping[str, Measurement], labels: Sequence[Label]
) -> tuple[Finding, ...]:
    """Returns the findings about each organ, in the order of the labels.

    An organ that was not found has that finding only.
    """
    return tuple(
        Finding(kind, label.name, text)
        for label in labels
        for kind, text in _findings(measurements[label.name], label)
    )


def series_findings(source: CtSeries) -> tuple[Finding, ...]:
    """Returns the findings about the series as a whole."""
    found = []
    if source.excluded:
        found.append(Finding(FindingKind.EXCLUDED_IMAGES, "", _excluded(source)))
    if source.chosen:
        found.append(Finding(FindingKind.SEVERAL_ACQUISITIONS, "", source.chosen))
    return tuple(found)


def _excluded(source: CtSeries) -> str:
    """Says which objects of the series are not part of the volume."""
    number = len(source.excluded)
    what = (
        "object of the series is no slice and was"
        if number == 1
        else ("objects of the series are no slices and were")
    )
    return f"{number} {what} left out: {counted(source.excluded)}."


def _findings(measured: Measurement, label: Label) -> Iterator[tuple[FindingKind, str]]:
    """Yields kind and text of each finding about one organ."""
    name = label.name.lower()
    if not is_found(measured, label):
        yield FindingKind.NOT_FOUND, _not_found(measured, label)
        return
    at_least = f"so its volume is at least {millilitres(measured.volume_ml)}."
    if measured.cut_by_series:
        yield (
            FindingKind.CUT_BY_SERIES,
            f"The {name} reaches the first or last slice and may continue outside the series, "
            f"{at_least}",
        )
    if measured.touches_field_of_view:
        yield (
            FindingKind.TOUCHES_FIELD_OF_VIEW,
            f"The {name} reaches the edge of the field of view and may continue outside the "
            f"images, {at_least}",
        )
    if measured.component_count > 1:
        yield (
            FindingKind.SEVERAL_COMPONENTS,
            f"What was found as {name} consists of {measured.component_count} separate parts of "
            f"at least {exact(MIN_COMPONENT_ML)} mL each.",
        )
    if measured.holes_ml >= _MIN_HOLES_ML:
        yield (
            FindingKind.HOLES,
            f"What was found as {name} encloses holes of {millilitres(measured.holes_ml)} in "
            f"total, which do not count in its volume of {millilitres(measured.volume_ml)}.",
        )
    yield from _unusual_values(measured, label)
    agreement, expected = measured.window_agreement, label.min_window_agreement
    if agreement is not None and agreement < expected:
        yield (
            FindingKind.WINDOWS_DISAGREE,
            "The model analyses the images in overlapping sections, and where these overlap, they "
            f"agree on the {name} only to {rounded_beside(agreement, expected, decimals=2)} "
            f"(Dice, at least {exact(expected, 2)} is expected).",
        )


def _not_found(measured: Measurement, label: Label) -> str:
    name = label.name.lower()
    if measured.volume_ml == 0:
        return f"No {name} was found in the series."
    volume = rounded_beside(measured.volume_ml, 0.0, label.min_volume_ml, decimals=1)
    return (
        f"No {name} was found in the series: what resembles it measures "
        f"{volume} mL, less than the {exact(label.min_volume_ml)} mL from which it counts as found."
    )


def _unusual_values(measured: Measurement, label: Label) -> Iterator[tuple[FindingKind, str]]:
    name = label.name.lower()
    volume = _comparison(
        measured.volume_ml,
        label.usual_volume_ml,
        "mL",
        "",
        is_lower_bound=measured.is_lower_bound,
    )
    if volume is not None:
        yield (
            FindingKind.UNUSUAL_VOLUME,
            f"The {name} measures {volume}.",
        )
    if measured.mean_hu is None:
        return
    attenuation = _comparison(measured.mean_hu, label.usual_hu, "HU", " on average")
    if attenuation is not None:
        yield (
            FindingKind.UNUSUAL_ATTENUATION,
            f"The {name} has {attenuation}.",
        )


def _comparison(
    value: float,
    usual: tuple[float, float] | None,
    unit: str,
    after_unit: str,
    *,
    is_lower_bound: bool = False,
) -> str | None:
    """Says that the value is outside the usual range; None if it is not, or there is no range.

    A lower bound below the range says nothing about the true value.
    """
    if usual is None:
        return None
    low, high = usual
    if value > high:
        relation = "more"
    elif value < low and not is_lower_bound:
        relation = "less"
    else:
        return None
    return (
        f"{rounded_beside(value, low, high)} {unit}{after_unit}, {relation} than the "
        f"{exact(low)} to {exact(high)} {unit} that are usual for adults"
    )
