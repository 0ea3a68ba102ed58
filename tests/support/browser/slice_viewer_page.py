"""The slice viewer of the console in a browser, and results of the body phantom to show in it."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, expect
from pydicom import Dataset, dcmread, dcmwrite

from models.manifest import Label
from models.mask import Mask
from node.dicom.ct.reader import read_series
from node.dicom.results.content import ResultContent
from node.dicom.results.preview import overlay_png
from node.domain.job import Job, JobState
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding, StoredObject
from node.domain.series import SeriesState, StoredSeries
from tests.support.dicom.builders import LIVER
from tests.support.dicom.results import content_of, encoded_seg, liver_mask
from tests.support.factories import job_of
from tests.support.processes.running_node import RunningNode
from tests.support.servers.served_node import ServedNode

_PIXELS = """canvas => [...canvas.getContext('2d')
    .getImageData(0, 0, canvas.width, canvas.height).data]"""


def add_result(
    node: ServedNode,
    series: StoredSeries,
    *,
    encoding: SegEncoding = SegEncoding.ALL_FRAMES,
    labels: tuple[Label, ...] = (LIVER,),
    mask: Mask | None = None,
) -> Job:
    """Accepts the series and adds a result of its job, which is DELIVERING.

    Without a `mask`, the result is the true liver of the body phantom; with two labels, its upper
    half is the second one.
    """
    now = datetime.now(UTC)
    uid, store = series.series_instance_uid, node.store
    job = replace(
        job_of(uid),
        study_instance_uid=series.study_instance_uid,
        instance_count=series.instance_count,
        created_at=now,
        updated_at=now,
    )
    assert store.add_job(job)
    store.record_decision(uid, '{"matches": []}', SeriesState.ACCEPTED, now, series.instance_count)
    with store.files.local_copies([i.path for i in store.instances_of(uid)]) as files:
        source = read_series(files)
    found = liver_mask(source, labels) if mask is None else mask
    content = content_of(source, found, job_id=job.job_id)
    encoded = BytesIO()
    dcmwrite(encoded, encoded_seg(content, encoding), enforce_file_format=True)
    made = ResultObject(ResultKind.SEG, encoding)
    path = node.settings.data_dir / "results" / job.job_id / f"{made.name}.dcm"
    store.files.put(path, [encoded.getvalue()])
    sop_class = dcmread(path, stop_before_pixels=True).SOPClassUID
    store.record_objects([StoredObject(job.job_id, made, sop_class, (path,), 0)])
    store.files.put(path.with_name("overlay.png"), [_preview(content)])
    store.change_job(job.job_id, JobState.RUNNING, now)
    store.add_deliveries(job.job_id, job.destinations, now)
    return store.change_job(
        job.job_id,
        JobState.DELIVERING,
        now,
        timings_s={"waited": 0.4, "read": 1.2, "segment": 8.4, "measure": 0.7, "encode": 1.9},
        measurements={
            name: {"volume_ml": found.volume_ml, "cut_by_series": found.cut_by_series}
            for name, found in content.measurements.items()
        },
        result_path=path,
        picture_path=path.with_name("overlay.png"),
    )


def _preview(content: ResultContent) -> bytes:
    return overlay_png(content.source.volume, content.mask, content.measurements)


class SliceViewerPage:
    """The viewer on the page of a series."""

    def __init__(self, page: Page, node: ServedNode | RunningNode, series_uid: str) -> None:
        self.page = page
        page.goto(f"{node.url}/series/{series_uid}")
        self.region = page.get_by_role("region", name="Images")
        self.region.scroll_into_view_if_needed()
        self.number = self.region.locator(".slice-number")
        self.slider = self.region.get_by_role("slider", name="Slice")
        expect(self.number).to_have_text(re.compile("Slice"))

    def show(self, number: int) -> str:
        """Shows a slice by its number, from 1; returns its SOP Instance UID."""
        self.slider.fill(str(number))
        expect(self.number).to_have_text(re.compile(f"Slice {number} of"))
        uid = self.region.get_attribute("data-shown")
        assert uid is not None
        return uid

    def overlay(self) -> NDArray[np.uint8]:
        """Returns the pixels of the overlay (row, column, RGBA)."""
        return self._pixels("canvas.masks")

    def picture(self) -> NDArray[np.uint8]:
        """Returns the pixels of the CT slice (row, column, RGBA)."""
        return self._pixels("canvas.ct")

    def _pixels(self, selector: str) -> NDArray[np.uint8]:
        canvas = self.region.locator(selector)
        size: Any = canvas.evaluate("canvas => [canvas.height, canvas.width]")
        return np.array(canvas.evaluate(_PIXELS), np.uint8).reshape(*size, 4)


def windowed(dataset: Dataset, center: float, width: float) -> NDArray[np.float64]:
    """Returns the brightness of a CT image, 0 to 255 (PS3.3 C.11.2.1.2)."""
    hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    brightness: NDArray[np.float64] = ((hu - (center - 0.5)) / (width - 1) + 0.5).clip(0, 1) * 255
    return brightness
