"""Findings: what is found about an organ, and how it is worded."""

from dataclasses import replace

import pytest

from models.installed_packages import find
from models.measurement import Measurement
from node.dicom.results.quality_findings import derive_findings
from node.domain.findings import Finding, FindingKind
from tests.support.dicom.builders import LIVER, SPLEEN

_LIVER = replace(
    LIVER, min_volume_ml=100.0, usual_volume_ml=(800.0, 2300.0), usual_hu=(40.0, 180.0)
)
_USUAL = Measurement(
    volume_ml=1400.0,
    mean_hu=110.0,
    cut_by_series=False,
    sd_hu=20.0,
    min_hu=-10.0,
    max_hu=200.0,
    component_count=1,
)


def _findings(**changed: object) -> list[tuple[FindingKind, str]]:
    """Kind and text of the findings about a usual liver that differs in these values."""
    measured = replace(_USUAL, **changed)  # type: ignore[arg-type]  # values of any field
    found = derive_findings({"Liver": measured}, (_LIVER,))
    assert {finding.organ for finding in found} <= {"Liver"}
    return [(finding.kind, finding.text) for finding in found]


def test_a_usual_organ_has_no_finding() -> None:
    assert _findings() == []
    assert _findings(volume_ml=800.0, mean_hu=180.0, holes_ml=0.9) == []
    assert _findings(window_agreement=0.8) == []
    assert _findings(window_agreement=None) == [], "not measured"


@pytest.mark.parametrize(
    ("changed", "kind", "text"),
    [
        (
            {"cut_by_series": True},
            FindingKind.CUT_BY_SERIES,
            "The liver reaches the first or last slice and may continue outside the series, so "
            "its volume is at least 1400 mL.",
        ),
        (
            {"touches_field_of_view": True},
            FindingKind.TOUCHES_FIELD_OF_VIEW,
            "The liver reaches the edge of the field of view and may continue outside the "
            "images, so its volume is at least 1400 mL.",
        ),
        (
            {"component_count": 3},
            FindingKind.SEVERAL_COMPONENTS,
            "What was found as liver consists of 3 separate parts of at least 1 mL each.",
        ),
        (
            {"holes_ml": 12.3},
            FindingKind.HOLES,
            "What was found as liver encloses holes of 12 mL in total, which do not count in its "
            "volume of 1400 mL.",
        ),
        (
            {"volume_ml": 2911.0},
            FindingKind.UNUSUAL_VOLUME,
            "The liver measures 2911 mL, more than the 800 to 2300 mL that are usual for adults.",
        ),
        (
            {"volume_ml": 640.0},
            FindingKind.UNUSUAL_VOLUME,
            "The liver measures 640 mL, less than the 800 to 2300 mL that are usual for adults.",
        ),
        (
            {"mean_hu": 12.4},
            FindingKind.UNUSUAL_ATTENUATION,
            "The liver has 12 HU on average, less than the 40 to 180 HU that are usual for adults.",
        ),
        (
            {"window_agreement": 0.612},
            FindingKind.WINDOWS_DISAGREE,
            "The model analyses the images in overlapping sections, and where these overlap, they "
            "agree on the liver only to 0.61 (Dice, at least 0.80 is expected).",
        ),
        (
            {"volume_ml": 0.0, "mean_hu": None},
            FindingKind.NOT_FOUND,
            "No liver was found in the series.",
        ),
        (
            {"volume_ml": 3.2, "cut_by_series": True},
            FindingKind.NOT_FOUND,
            "No liver was found in the series: what resembles it measures 3.2 mL, less than the "
            "100 mL from which it counts as found.",
        ),
    ],
)
def test_an_organ_that_differs_has_one_finding_in_plain_words(
    changed: dict[str, object], kind: FindingKind, text: str
) -> None:
    assert _findings(**changed) == [(kind, text)]


def test_no_value_is_rounded_to_its_limit() -> None:
    (volume,) = _findings(volume_ml=2300.3)
    assert "measures 2300.3 mL, more than the 800 to 2300 mL" in volume[1]
    (attenuation,) = _findings(mean_hu=39.96)
    assert "has 39.96 HU on average, less than the 40 to 180 HU" in attenuation[1]
    (missing,) = _findings(volume_ml=99.96)
    assert "measures 99.96 mL, less than the 100 mL" in missing[1]
    nearly = replace(_USUAL, window_agreement=0.9985)
    strict = replace(_LIVER, min_window_agreement=0.999)
    (finding,) = derive_findings({"Liver": nearly}, (strict,))
    assert "only to 0.9985 (Dice, at least 0.999 is expected)" in finding.text


@pytest.mark.parametrize("bound", ["cut_by_series", "touches_field_of_view"])
def test_a_lower_bound_is_not_called_less_than_usual_but_may_be_more(bound: str) -> None:
    small, large = (
        _findings(volume_ml=300.0, **{bound: True}),
        _findings(volume_ml=3000.0, **{bound: True}),
    )
    assert FindingKind.UNUSUAL_VOLUME not in [kind for kind, _ in small]
    assert FindingKind.UNUSUAL_VOLUME in [kind for kind, _ in large]


def test_an_organ_without_usual_ranges_is_never_unusual() -> None:
    measured = replace(_USUAL, volume_ml=9000.0, mean_hu=-500.0)
    assert derive_findings({"Spleen": measured}, (SPLEEN,)) == ()


def test_the_model_sets_from_which_agreement_of_windows_on() -> None:
    strict = replace(_LIVER, min_window_agreement=0.95)
    measured = {"Liver": replace(_USUAL, window_agreement=0.9)}
    assert derive_findings(measured, (_LIVER,)) == ()
    (finding,) = derive_findings(measured, (strict,))
    assert "only to 0.90 (Dice, at least 0.95" in finding.text


def test_findings_have_the_order_of_the_labels() -> None:
    measured = {"Spleen": replace(_USUAL, holes_ml=5.0), "Liver": replace(_USUAL, mean_hu=1.0)}
    found = derive_findings(measured, (_LIVER, SPLEEN))
    assert [(finding.organ, finding.kind) for finding in found] == [
        ("Liver", FindingKind.UNUSUAL_ATTENUATION),
        ("Spleen", FindingKind.HOLES),
    ]


@pytest.mark.parametrize("model_id", ["liver-ct", "organs-ct"])
def test_the_shipped_ranges_lie_within_what_is_believable(model_id: str) -> None:
    for label in find(model_id).labels:
        if label.usual_volume_ml is not None and label.max_volume_ml is not None:
            assert label.min_volume_ml < label.usual_volume_ml[0]
            assert label.usual_volume_ml[1] < label.max_volume_ml
        if label.usual_hu is not None and label.mean_hu is not None:
            assert label.mean_hu[0] < label.usual_hu[0]
            assert label.usual_hu[1] < label.mean_hu[1]


def test_a_finding_names_the_organ_as_the_label_does() -> None:
    (finding,) = derive_findings({"Liver": replace(_USUAL, holes_ml=2.0)}, (_LIVER,))
    assert isinstance(finding, Finding)
    assert finding.organ == "Liver"
