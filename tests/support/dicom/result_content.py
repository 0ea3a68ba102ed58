"""The content of results of the body phantom with its true liver, for tests of pictures."""

from dataclasses import replace
from io import BytesIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.manifest import Label
from models.mask import Mask
from node.dicom.ct.reader import CtSeries
from node.dicom.results.captures import refusal_notice
from node.dicom.results.captures.refusal_notice import Refusal
from node.dicom.results.content import ResultContent
from node.domain.findings import Finding
from node.domain.identifiers import Uid, mint_uid
from tests.support.dicom.body import in_liver, voxel_positions
from tests.support.dicom.builders import LIVER, MADE_AT
from tests.support.dicom.results import content_of, part10


def liver_content(
    series: CtSeries,
    *,
    labels: tuple[Label, ...] = (LIVER,),
    findings: tuple[Finding, ...] = (),
) -> ResultContent:
    """Returns the content with the true liver; with two labels, its upper half is the second."""
    positions = voxel_positions(series.volume)
    values = in_liver(positions).astype(np.uint8)
    if len(labels) > 1:
        values[in_liver(positions) & (positions[..., 2] > 14)] = labels[1].index
    mask = Mask(volume=series.volume.with_array(values), labels=labels)
    return replace(content_of(series, mask), findings=findings)


def read_back(dataset: Dataset) -> Dataset:
    """Returns the data set as another program reads it from a file."""
    return dcmread(BytesIO(part10(dataset)))


def notice_of(source: CtSeries) -> Dataset:
    """Returns the notice of a refusal of the series."""
    return refusal_notice.encode(
        Refusal(
            study_instance_uid=Uid(source.sources[0].StudyInstanceUID),
            headers=source.sources,
            instance_count=len(source.sources),
            rule="abdomen",
            model="liver-ct 0.3.0",
            reason="Slices are missing. Send the series again.",
            made_at=MADE_AT,
        ),
        series_instance_uid=mint_uid("notice", "series"),
        sop_instance_uid=mint_uid("notice", "instance"),
    )
