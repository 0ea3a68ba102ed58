"""The content of results, measured in a phantom with a known mask, for tests of encoders."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from models.data import LabelledVolume
from models.installed_packages import find
from models.manifest import ModelSpec
from models.mask import Mask
from models.phantom import labelled_scan
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.ct_writer import write_ct_series
from node.dicom.results.content import ResultContent
from node.dicom.results.quality_findings import derive_findings, series_findings
from node.domain.job import ReplacedResult
from tests.support.dicom.body import in_liver, voxel_positions
from tests.support.dicom.builders import LIVER, SPLEEN, CtFiles, ct_series
from tests.support.dicom.results import content_of

JOB_ID = "job"
_SEED = 500
# The half of the body's liver that these tests call the spleen starts here (LPS z, mm).
_HALF_MM = 14.0


def measured_content(
    series: CtSeries, mask: Mask, replaces: ReplacedResult | None = None
) -> ResultContent:
    """Measures the mask in the series, with the labels' minimum volumes and usual ranges."""
    content = content_of(series, mask, job_id=JOB_ID, replaces=replaces)
    return replace(
        content,
        spec=replace(content.spec, labels=mask.labels),
        findings=(
            *series_findings(series),
            *derive_findings(content.measurements, mask.labels),
        ),
    )


def body_content(
    folder: Path,
    *,
    files: CtFiles | None = None,
    change: Callable[[int, Dataset], None] | None = None,
    replaces: ReplacedResult | None = None,
) -> ResultContent:
    """The analytic body: a liver, a spleen that is its upper half, and no kidney.

    `change` modifies the headers of the source. The liver's volume is outside its usual range.
    """
    files = ct_series() if files is None else files
    if change is not None:
        files.modify(change)
    series = read_series(files.write(folder))
    positions = voxel_positions(series.volume)
    values = in_liver(positions).astype(np.uint8)
    values[in_liver(positions) & (positions[..., 2] > _HALF_MM)] = SPLEEN.index
    labels = (
        replace(LIVER, min_volume_ml=1.0, usual_volume_ml=(800.0, 2300.0), usual_hu=(40.0, 110.0)),
        SPLEEN,
        replace(SPLEEN, index=3, name="Left kidney", type=replace(SPLEEN.type, value="18639004")),
    )
    return measured_content(series, Mask(series.volume.with_array(values), labels), replaces)


@cache
def _organs() -> tuple[ModelSpec, LabelledVolume]:
    spec = find("organs-ct")
    return spec, labelled_scan(_SEED, spec.labels)


def organs_content(folder: Path) -> ResultContent:
    """A phantom of the abdomen with the labels of `organs-ct`, of which the pancreas is missing."""
    spec, case = _organs()
    series = read_series(write_ct_series(case.volume, folder, seed=_SEED))
    values = case.truth.volume.match_geometry(series.volume.get_geometry()).array.copy()
    for label in spec.labels:
        if label.name == "Pancreas":
            values[values == label.index] = 0
    mask = Mask(series.volume.with_array(values), spec.labels)
    return replace(measured_content(series, mask), spec=spec)
