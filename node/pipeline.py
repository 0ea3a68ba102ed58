"""Segments one CT series; the worker, the command line and the tests all use it.

It uses no database and no network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Protocol

import highdicom as hd
from pydicom.dataset import Dataset

from models.inference.prediction import Prediction
from models.manifest import ModelSpec
from models.mask import Mask
from models.measurement import Measurement, is_found, measure
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.comparison.model_agreement import compare
from node.dicom.results.comparison.other_result import OtherResult
from node.dicom.results.content import ResultContent
from node.dicom.results.quality_findings import derive_findings, series_findings
from node.dicom.results.segmentation import encode
from node.dicom.results.source_slices.image_measurement import measure_in_images
from node.domain.errors import Rejected, RejectionReason
from node.domain.findings import DEFAULT_MIN_AGREEMENT, Finding, FindingKind
from node.domain.job import ReplacedResult
from node.domain.result_objects import SEG
from node.domain.series import AcquisitionChoice, SeriesPart
from node.domain.texts.numbers import exact, rounded_beside
from node.domain.texts.result_texts import ResultTexts

Progress = Callable[[float], None]
StageCallback = Callable[[str], None]


def _ignore_stage(_stage: str) -> None:
    pass


class Segmenter(Protocol):
    """Segments organs in a volume: `Predictor` of `models.inference`, or a threshold in tests."""

    @property
    def spec(self) -> ModelSpec:
        """The specification of the model."""
        ...

    def predict(self, volume: hd.Volume, progress: Progress | None = None) -> Prediction:
        """Returns the mask on the grid of `volume`."""
        ...


@dataclass(frozen=True)
class ResultRequest:
    """The job that the result belongs to and the texts it gets; `made_at` is time zone aware."""

    job_id: str
    made_at: datetime
    replaces: ReplacedResult | None = None
    texts: ResultTexts = field(default_factory=ResultTexts)
    mark_on: frozenset[FindingKind] = frozenset()  # findings that mark the result
    min_agreement: float = DEFAULT_MIN_AGREEMENT  # with other models, Dice coefficient
    acquisitions: AcquisitionChoice = AcquisitionChoice.REFUSE
    part: SeriesPart | None = None  # the part of the series that the job is about


@dataclass(frozen=True)
class Analysis:
    """What a series' result objects are encoded from; `timings_s` in seconds by stage."""

    content: ResultContent
    timings_s: dict[str, float]


@dataclass(frozen=True)
class SegmentationResult:
    """The content of a series' result and its SEG; `timings_s` in seconds by stage."""

    content: ResultContent
    dataset: Dataset = field(repr=False)
    timings_s: dict[str, float]


@dataclass(frozen=True)
class VolumeSegmentation:
    """The organs of a volume; `timings_s` in seconds by stage, `measurements` by label name."""

    mask: Mask = field(repr=False)
    measurements: dict[str, Measurement]
    timings_s: dict[str, float]


def segment(
    paths: Sequence[Path],
    predictor: Segmenter,
    request: ResultRequest,
    progress: Progress | None = None,
    on_stage: StageCallback = _ignore_stage,
) -> SegmentationResult:
    """Analyses one CT series and encodes its SEG; see `analyse`."""
    found = analyse(paths, predictor, request, progress, on_stage)
    on_stage("encode")
    started = perf_counter()
    (dataset,) = encode(found.content, SEG)
    timings_s = found.timings_s | {"encode": perf_counter() - started}
    return SegmentationResult(found.content, dataset, timings_s)


def analyse(
    paths: Sequence[Path],
    predictor: Segmenter,
    request: ResultRequest,
    progress: Progress | None = None,
    on_stage: StageCallback = _ignore_stage,
) -> Analysis:
    """Reads, segments and measures one CT series.

    Calls `on_stage` with the name of each stage when the stage starts.

    Raises:
        Rejected: the series is not suitable for this model; the message is in plain words.
    """
    started = perf_counter()
    on_stage("load")
    source = read_series(paths, request.acquisitions, request.part)
    read = perf_counter()
    on_stage("segment")
    found = segment_series(source, predictor, progress)
    findings = (
        *series_findings(source),
        *derive_findings(found.measurements, predictor.spec.labels),
    )
    content = ResultContent(
        job_id=request.job_id,
        source=source,
        mask=found.mask,
        spec=predictor.spec,
        measurements=found.measurements,
        findings=findings,
        made_at=request.made_at,
        replaces=request.replaces,
        texts=request.texts,
        is_marked=_is_marked(findings, request),
    )
    return Analysis(content, {"read": read - started, **found.timings_s})


def compared(analysis: Analysis, other: OtherResult, request: ResultRequest) -> Analysis:
    """Adds the findings of the comparison with the stored result of another model.

    Raises:
        NotComparable: the stored SEG cannot be read, or is of other images.
    """
    started = perf_counter()
    content = analysis.content
    findings = (*content.findings, *compare(content, other, request.min_agreement))
    compare_s = analysis.timings_s.get("compare", 0.0) + perf_counter() - started
    return Analysis(
        replace(content, findings=findings, is_marked=_is_marked(findings, request)),
        analysis.timings_s | {"compare": compare_s},
    )


def _is_marked(findings: Sequence[Finding], request: ResultRequest) -> bool:
    return any(finding.kind in request.mark_on for finding in findings)


def segment_series(
    source: CtSeries, predictor: Segmenter, progress: Progress | None = None
) -> VolumeSegmentation:
    """Segments and measures the volume of a series within its images; see `segment_volume`."""
    return _segment(
        source.volume, source.slice_count, predictor, partial(measure_in_images, source), progress
    )


def segment_volume(
    volume: hd.Volume, predictor: Segmenter, progress: Progress | None = None
) -> VolumeSegmentation:
    """Segments and measures a volume in HU with axes slice, row, column.

    Raises:
        Rejected: the volume is too small for the model, shows none of its organs, or an organ
            measures what no such organ does.
    """

    def measured(mask: Mask) -> tuple[Mask, dict[str, Measurement]]:
        return mask, measure(volume, mask)

    return _segment(volume, volume.spatial_shape[0], predictor, measured, progress)


def _segment(
    volume: hd.Volume,
    slice_count: int,
    predictor: Segmenter,
    measured: Callable[[Mask], tuple[Mask, dict[str, Measurement]]],
    progress: Progress | None,
) -> VolumeSegmentation:
    started = perf_counter()
    check_size(volume, slice_count, predictor.spec)
    found = predictor.predict(volume, progress)
    segmented = perf_counter()
    mask, measurements = measured(found)
    check_found(measurements, predictor.spec)
    check_plausible(measurements, predictor.spec)
    measurements = {
        name: replace(each, window_agreement=found.window_agreement.get(name))
        for name, each in measurements.items()
    }
    timings_s = {"segment": segmented - started, "measure": perf_counter() - segmented}
    return VolumeSegmentation(mask, measurements, timings_s)


def check_size(volume: hd.Volume, slice_count: int, spec: ModelSpec) -> None:
    """Refuses a volume of too few images, or too short an extent, for the model."""
    if slice_count < spec.min_slices:
        raise Rejected(
            RejectionReason.TOO_FEW_SLICES,
            f"The series has {slice_count} slices; {spec.model_id} needs at least "
            f"{spec.min_slices}. Send the whole series.",
        )
    extent_mm = (volume.spatial_shape[0] - 1) * volume.spacing[0]  # from centre to centre
    if extent_mm < spec.min_extent_mm:
        raise Rejected(
            RejectionReason.TOO_FEW_SLICES,
            f"The series covers {rounded_beside(extent_mm, spec.min_extent_mm)} mm of the body; "
            f"{spec.model_id} needs at least {exact(spec.min_extent_mm)} mm. "
            "Send the whole series.",
        )


def check_found(measurements: dict[str, Measurement], spec: ModelSpec) -> None:
    """Refuses when none of the model's organs was found with a plausible volume."""
    if any(is_found(measurements[label.name], label) for label in spec.labels):
        return
    names = [label.name.lower() for label in spec.labels]
    organs = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    smallest = min(label.min_volume_ml for label in spec.labels)
    expected = f" (at least {exact(smallest)} mL are expected)" if smallest > 0 else ""
    raise Rejected(
        RejectionReason.REGION_NOT_COVERED,
        f"No {organs} was found in the series{expected}, so it does not seem to cover that "
        f"region. Send a series that covers the {organs}.",
    )


def check_plausible(measurements: dict[str, Measurement], spec: ModelSpec) -> None:
    """Refuses when an organ is larger, denser or less dense than any such organ."""
    for label in spec.labels:
        found = measurements[label.name]
        too_large = label.max_volume_ml is not None and found.volume_ml > label.max_volume_ml
        implausible_hu = (
            label.mean_hu is not None
            and found.mean_hu is not None
            and not label.mean_hu[0] <= found.mean_hu <= label.mean_hu[1]
        )
        if too_large or implausible_hu:
            raise Rejected(
                RejectionReason.NOT_BELIEVABLE,
                f"What was found as {label.name.lower()} measures {found.volume_ml:.0f} mL at "
                f"{found.mean_hu:.0f} HU on average, which no {label.name.lower()} does. Either "
                "the series shows something else, or its values are not Hounsfield units.",
            )
