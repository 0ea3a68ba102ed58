"""What a hospital information system gets: the measurements of a job as data without DICOM.

A report is stored as JSON beside the other results of its job and delivered from there.
"""

import json
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from node.domain.findings import Finding

# The layout of the JSON text. It is raised when a change keeps earlier versions from reading it.
_FORMAT = 1


class Quantity(StrEnum):
    """What is measured in an organ; the values are those of the setting `codes`."""

    VOLUME = "volume"  # mL
    MEAN = "mean"  # HU, as the following
    STANDARD_DEVIATION = "standard-deviation"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"


@dataclass(frozen=True)
class ReportCode:
    """A coded concept (PS3.3 8): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class NameComponents:
    """The components of a person name (PS3.5 6.2.1); all empty where the name is unknown."""

    family: str = ""
    given: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class ReportName:
    """The three representations of a person name (PS3.5 6.2.1.2)."""

    alphabetic: NameComponents = NameComponents()
    ideographic: NameComponents = NameComponents()
    phonetic: NameComponents = NameComponents()


@dataclass(frozen=True)
class Issuer:
    """Who issued an identifier: a local name, a universal ID and the type of the latter."""

    name: str = ""
    universal_id: str = ""
    universal_id_type: str = ""


@dataclass(frozen=True)
class ReportIdentifier:
    """An identifier and who issued it; `value` is empty where it is unknown."""

    value: str = ""
    issuer: Issuer = Issuer()


@dataclass(frozen=True)
class ReportPatient:
    """The patient, as in the source's header. `birth_date` is YYYYMMDD or empty."""

    identifier: ReportIdentifier = field(repr=False)
    name: ReportName = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(repr=False)


@dataclass(frozen=True)
class ReportStudy:
    """The study and the visit, as in the source's header.

    `date` is YYYYMMDD and `time` is HHMM or HHMMSS, in the time zone `utc_offset` (+HHMM or
    -HHMM); each is empty where the header has none.
    """

    study_instance_uid: str
    date: str
    time: str
    utc_offset: str
    description: str
    accession: ReportIdentifier = field(repr=False)
    admission: ReportIdentifier = field(repr=False)
    referring_physician: ReportName = field(repr=False)


@dataclass(frozen=True)
class ReportOrder:
    """The order that the images were made for, as in the source's header."""

    placer_order: ReportIdentifier
    filler_order: ReportIdentifier
    requested_procedure_id: str
    requested_procedure_description: str
    requested_procedure_code: ReportCode | None


@dataclass(frozen=True)
class ReportSeries:
    """The series that was segmented; `number` is None where the header has none."""

    series_instance_uid: str
    number: int | None
    description: str
    slice_count: int


@dataclass(frozen=True)
class ReportModel:
    """The model that segmented the series, and the release of the node that ran it."""

    model_id: str
    version: str
    manufacturer: str
    weights_sha256: str
    node_version: str


@dataclass(frozen=True)
class OrganReport:
    """The measurements of an organ: volume in mL, attenuation in HU; None is "not measured".

    With `is_lower_bound`, the organ may continue outside the series, so that it has at least that
    volume. An organ that was not found has no measurements.
    """

    label: str
    code: ReportCode
    found: bool
    is_lower_bound: bool
    volume_ml: float | None
    mean_hu: float | None = None
    std_hu: float | None = None
    min_hu: float | None = None
    max_hu: float | None = None

    def value_of(self, quantity: Quantity) -> float | None:
        """Returns the measurement in mL or HU; None where the organ has none."""
        match quantity:
            case Quantity.VOLUME:
                return self.volume_ml
            case Quantity.MEAN:
                return self.mean_hu
            case Quantity.STANDARD_DEVIATION:
                return self.std_hu
            case Quantity.MINIMUM:
                return self.min_hu
            case Quantity.MAXIMUM:
                return self.max_hu


@dataclass(frozen=True)
class ReportedObject:
    """A DICOM object of the same job; `name` is that of its `ResultObject`."""

    name: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class Report:
    """The report of a job. `created_at` is time zone aware; `notice` limits its use.

    With `is_marked`, a reader must check the findings first.
    """

    job_id: str
    patient: ReportPatient
    study: ReportStudy
    order: ReportOrder
    series: ReportSeries
    model: ReportModel
    organs: tuple[OrganReport, ...]
    findings: tuple[Finding, ...]
    created_at: datetime
    objects: tuple[ReportedObject, ...]
    notice: str
    is_marked: bool = False

    def to_json(self) -> str:
        """Returns the report as JSON; equal reports give equal texts."""
        content = {"format": _FORMAT, **asdict(self)}
        content["created_at"] = self.created_at.isoformat()
        return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the report that `to_json` wrote.

        Raises:
            ValueError: the text is not a report of this format.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise ValueError(f"it is not a report of format {_FORMAT}")
        return typing.cast("Self", _value(content, cls))

    def personal_data(self) -> tuple[str, ...]:
        """Returns the texts that identify the patient, the visit or the order."""
        names = (self.patient.name, self.study.referring_physician)
        components = [
            component
            for name in names
            for part in (name.alphabetic, name.ideographic, name.phonetic)
            for component in asdict(part).values()
        ]
        identifiers = (
            self.patient.identifier,
            self.study.accession,
            self.study.admission,
            self.order.placer_order,
            self.order.filler_order,
        )
        birth_date = self.patient.birth_date
        dashed = f"{birth_date[:4]}-{birth_date[4:6]}-{birth_date[6:]}" if birth_date else ""
        texts = [*(one.value for one in identifiers), birth_date, dashed, *components]
        return tuple(text for text in texts if text)


def _value(content: Any, kind: Any) -> Any:
    """Returns the JSON value as an instance of `kind`, the type of a field.

    Raises:
        ValueError: the value has another type, or a table has missing or unknown keys.
    """
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is types.UnionType:
        (inner,) = (one for one in arguments if one is not types.NoneType)
        return None if content is None else _value(content, inner)
    if typing.get_origin(kind) is tuple:
        return tuple(_value(item, arguments[0]) for item in _checked(content, list))
    if is_dataclass(kind):
        return _table(content, kind)
    if issubclass(kind, StrEnum):
        return kind(content)
    if kind is datetime:
        return datetime.fromisoformat(_checked(content, str))
    return _checked(content, kind)


def _table(content: Any, kind: Any) -> Any:
    hints = typing.get_type_hints(kind)
    names = {one.name for one in fields(kind)}
    if set(_checked(content, dict)) != names:
        raise ValueError(f"{kind.__name__} has missing or unknown keys")
    return kind(**{name: _value(content[name], hints[name]) for name in names})


def _checked(content: Any, kind: type) -> Any:
    if kind is float and type(content) is int:
        return float(content)
    if type(content) is not kind:
        raise ValueError(f"{type(content).__name__} where {kind.__name__} is expected")
    return content
