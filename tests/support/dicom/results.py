"""The content of results of the body phantom, for tests of the encoders."""

from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset

from models.manifest import Label
from models.mask import Mask
from models.measurement import measure
from node.dicom.ct.reader import CtSeries
from node.dicom.results.content import ResultContent
from node.dicom.results.segmentation import encode
from node.domain.job import ReplacedResult
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding
from node.domain.texts.result_texts import ResultTexts
from tests.support.dicom.body import in_liver, voxel_positions
from tests.support.dicom.builders import LIVER, MADE_AT, ThresholdSegmenter, model_spec


def content_of(
    series: CtSeries,
    mask: Mask | None = None,
    *,
    job_id: str = "job",
    made_at: datetime = MADE_AT,
    replaces: ReplacedResult | None = None,
    texts: ResultTexts | None = None,
) -> ResultContent:
    """Returns the content of a result; without a mask, that of the liver found by threshold."""
    found = ThresholdSegmenter().predict(series.volume) if mask is None else mask
    spec = ThresholdSegmenter().spec if mask is None else model_spec(labels=mask.labels)
    return ResultContent(
        job_id=job_id,
        source=series,
        mask=found,
        spec=spec,
        measurements=measure(series.volume, found),
        findings=(),
        made_at=made_at,
        replaces=replaces,
        texts=ResultTexts() if texts is None else texts,
    )


def liver_mask(series: CtSeries, labels: tuple[Label, ...] = (LIVER,)) -> Mask:
    """Returns the ground truth liver; with two labels, its upper half is the second."""
    positions = voxel_positions(series.volume)
    values = in_liver(positions).astype(np.uint8)
    if len(labels) > 1:
        values[in_liver(positions) & (positions[..., 2] > 14)] = labels[1].index
    return Mask(volume=series.volume.with_array(values), labels=labels)


def encoded_seg(content: ResultContent, encoding: SegEncoding = SegEncoding.ALL_FRAMES) -> Dataset:
    """Encodes the SEG of the content."""
    (dataset,) = encode(content, ResultObject(ResultKind.SEG, encoding))
    return dataset


def with_source_series(
    content: ResultContent, number: object = None, description: object = None
) -> ResultContent:
    """Returns the content as of a source series with that number and description."""
    header = deepcopy(content.source.sources[0])
    header.SeriesNumber, header.SeriesDescription = number, description
    source = replace(content.source, sources=(header, *content.source.sources[1:]))
    return replace(content, source=source)


def part10(dataset: Dataset) -> bytes:
    """Returns the data set as the bytes of a Part 10 file."""
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
