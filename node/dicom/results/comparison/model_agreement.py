"""Findings about organs of which another model finds something else in the same images."""

from collections.abc import Iterator
from dataclasses import dataclass

from models.manifest import Label
from node.dicom.results.comparison.coded_organ import CodedOrgan
from node.dicom.results.comparison.other_result import OtherResult
from node.dicom.results.comparison.overlap import dice
from node.dicom.results.comparison.stored_segments import (
    StoredSegment,
    StoredSegments,
    read_segments,
)
from node.dicom.results.content import ResultContent
from node.dicom.results.source_slices.label_interpolation import labels_on_source_slices
from node.domain.findings import Finding, FindingKind
from node.domain.job_summary import is_lower_bound
from node.domain.texts.numbers import exact, rounded_beside


@dataclass(frozen=True)
class _Volume:
    """The volume that a model measured; a lower bound where the images do not show the whole."""

    model: str
    volume_ml: float
    is_lower_bound: bool

    @property
    def rounded_ml(self) -> int:
        return round(self.volume_ml)

    def __str__(self) -> str:
        if self.volume_ml <= 0:
            return f"{self.model} found none"
        at_least = "at least " if self.is_lower_bound else ""
        return f"{self.model} has {at_least}{self.rounded_ml} mL"


def compare(
    content: ResultContent, other: OtherResult, min_agreement: float
) -> tuple[Finding, ...]:
    """Returns a finding for each organ on which the models agree less than `min_agreement`.

    The agreement is the Dice coefficient over the pixels of the source slices. An organ that only
    one model finds is a finding; one that neither finds is none. Organs are equal by their codes.

    Raises:
        NotComparable: the other SEG cannot be read, or is of other images.
    """
    stored = read_segments(other.segmentation, content.source)
    own = labels_on_source_slices(content.mask, content.source)
    findings = []
    for label, segment in _shared(content, stored):
        if segment.name not in other.measurements:
            continue
        agreement = dice(own, label.index, stored.numbers, segment.number)
        if agreement is None or agreement >= min_agreement:
            continue
        text = _text(
            label.name.lower(),
            _own_volume(content, label),
            _stored_volume(other, segment),
            f"Dice {rounded_beside(agreement, min_agreement, decimals=2)}, at least "
            f"{exact(min_agreement, 2)} is expected",
        )
        findings.append(Finding(FindingKind.MODELS_DISAGREE, label.name, text))
    return tuple(findings)


def _shared(
    content: ResultContent, stored: StoredSegments
) -> Iterator[tuple[Label, StoredSegment]]:
    """Yields each label whose organ the other SEG has, with that segment.

    An organ that several labels or segments show is left out.
    """
    organs = [CodedOrgan.of_label(label) for label in content.mask.labels]
    for label, organ in zip(content.mask.labels, organs, strict=True):
        segment = stored.of(organ)
        if segment is not None and organs.count(organ) == 1:
            yield label, segment


def _own_volume(content: ResultContent, label: Label) -> _Volume:
    measured = content.measurements[label.name]
    model = f"{content.spec.model_id} {content.spec.version}"
    return _Volume(model, measured.volume_ml, measured.is_lower_bound)


def _stored_volume(other: OtherResult, segment: StoredSegment) -> _Volume:
    """Returns the volume that the other result states, which is that of the same mask."""
    measured = other.measurements[segment.name]
    return _Volume(other.model, float(measured["volume_ml"]), is_lower_bound(measured))


def _text(name: str, own: _Volume, stored: _Volume, agreement: str) -> str:
    if own.volume_ml <= 0 or stored.volume_ml <= 0:
        return f"Two models disagree on the {name}: {own}, {stored}."
    difference = stored.rounded_ml - own.rounded_ml
    more = f", {abs(difference)} mL {'more' if difference > 0 else 'less'}" if difference else ""
    return f"Two models disagree on the {name}: {own}, {stored}{more} ({agreement})."
