"""The measurements of a report as coded observations, and as lines of text.

Sources of the standard codes: PS3.16 CID 7469 (volume, attenuation), CID 7162 (artificial
intelligence), and UCUM for the units. Codes of the node's own scheme identify the measurements,
unless the settings name a site's codes. The node proposes no LOINC codes for them: a code that is
almost right is worse than a local one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from node.domain.coding_schemes import LOCAL_SCHEME
from node.domain.report import OrganReport, Quantity, Report, ReportCode
from node.settings import ObservationCode

METHOD = ReportCode("123110", "DCM", "Artificial Intelligence")

_MILLILITRE = ReportCode("mL", "UCUM", "mL")
_HOUNSFIELD = ReportCode("[hnsf'U]", "UCUM", "HU")
_NAMES = {
    Quantity.VOLUME: "volume",
    Quantity.MEAN: "mean attenuation",
    Quantity.STANDARD_DEVIATION: "standard deviation of attenuation",
    Quantity.MINIMUM: "minimum attenuation",
    Quantity.MAXIMUM: "maximum attenuation",
}
# A standard code for the other quantities would be that of attenuation as such, and would let a
# reader take a standard deviation for an attenuation.
_STANDARD_CODES = {
    Quantity.VOLUME: ReportCode("118565006", "SCT", "Volume"),
    Quantity.MEAN: ReportCode("112031", "DCM", "Attenuation Coefficient"),
}
# 0.01 mL is far below the error of a segmentation, 0.1 HU below that of a CT number.
_DECIMALS = {_MILLILITRE: 2, _HOUNSFIELD: 1}


@dataclass(frozen=True)
class Observation:
    """One measurement: `codes` from the most specific to the most general; `value` is a decimal
    number as text, empty where the organ was not found.

    With `is_lower_bound`, the true value is at least `value`.
    """

    organ: OrganReport
    quantity: Quantity
    codes: tuple[ReportCode, ...]
    value: str
    unit: ReportCode
    is_lower_bound: bool

    @property
    def key(self) -> str:
        """The code of the node's own scheme: distinct for each measurement of a report."""
        return next(code.value for code in self.codes if code.scheme == LOCAL_SCHEME)


def observations_of(report: Report, codes: Sequence[ObservationCode]) -> list[Observation]:
    """Returns the measurements: the volume of every organ, and the attenuations that it has.

    `codes` are those of the site; each comes before the node's own code.
    """
    site = {
        (one.organ, one.quantity): ReportCode(one.code, one.scheme, one.meaning) for one in codes
    }
    return [
        _observation(organ, quantity, site.get((organ.label, quantity)))
        for organ in report.organs
        for quantity in Quantity
        if quantity is Quantity.VOLUME or organ.value_of(quantity) is not None
    ]


def _observation(
    organ: OrganReport, quantity: Quantity, site_code: ReportCode | None
) -> Observation:
    unit = _MILLILITRE if quantity is Quantity.VOLUME else _HOUNSFIELD
    value = organ.value_of(quantity)
    codes = (site_code, _local_code(organ, quantity), _STANDARD_CODES.get(quantity))
    return Observation(
        organ=organ,
        quantity=quantity,
        codes=tuple(code for code in codes if code is not None),
        value="" if value is None else f"{value:.{_DECIMALS[unit]}f}",
        unit=unit,
        is_lower_bound=quantity is Quantity.VOLUME and organ.is_lower_bound,
    )


def _local_code(organ: OrganReport, quantity: Quantity) -> ReportCode:
    name = re.sub(r"[^a-z0-9]+", "-", organ.label.lower()).strip("-")
    return ReportCode(
        f"{name or organ.code.value}-{quantity.value}",
        LOCAL_SCHEME,
        f"{organ.label} {_NAMES[quantity]}",
    )


def summary_lines(report: Report) -> list[str]:
    """Returns the report in plain words, one sentence a line, without patient data."""
    model, series = report.model, report.series
    number = "" if series.number is None else f" {series.number}"
    description = f" ({series.description})" if series.description else ""
    return [
        f"{report.notice}.",
        *(["Check the findings before use."] * report.is_marked),
        f"Segmented by {model.model_id} {model.version} on segnode {model.node_version} "
        f"in series{number}{description}, {series.slice_count} slices.",
        *(_organ_line(report, organ) for organ in report.organs),
        *(finding.text for finding in report.findings),
    ]


def _organ_line(report: Report, organ: OrganReport) -> str:
    if not organ.found:
        return f"{organ.label}: not found."
    texts = []
    for one in observations_of(report, ()):
        if one.organ.label == organ.label:
            bound = "at least " if one.is_lower_bound else ""
            value = f"{bound}{one.value} {one.unit.meaning}" if one.value else "not measured"
            texts.append(f"{_NAMES[one.quantity]} {value}")
    return f"{organ.label}: {', '.join(texts)}."
