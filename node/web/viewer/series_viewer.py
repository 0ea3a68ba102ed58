"""What the slice viewer of a series shows: its slices, and the results that lie on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from pydicom import dcmread

from node.dicom.ct.headers import PARSE_ERRORS, readable_headers
from node.domain.errors import Rejected, RejectionReason
from node.domain.job import Job, JobState
from node.domain.job_summary import current_jobs
from node.domain.series import StoredSeries
from node.store import Store
from node.store.files import Files
from node.web.viewer.overlays import Overlay, overlay_of
from node.web.viewer.source_slices import ShownSlice, SourceSlices, Window, source_slices

# A superseded result was never sent, and a newer one covers the same and more slices.
_STATES_WITH_RESULT = {JobState.DELIVERING, JobState.DELIVERED, JobState.PARKED}
# The slices of a few open pages, about 1 MB each; image files never change.
_CACHED_SERIES = 8


@dataclass(frozen=True)
class ShownResult:
    """The segmentation of a job; without `overlay`, `problem` says why it is not shown."""

    job_id: str
    model: str
    part: str
    series_instance_uid: str
    sop_instance_uid: str
    overlay: Overlay | None
    problem: str


@dataclass(frozen=True)
class SeriesViewer:
    """A series as the viewer shows it; without slices, `problem` says why."""

    study_instance_uid: str
    series_instance_uid: str
    slices: tuple[ShownSlice, ...]
    axis: str
    row_spacing_mm: float
    column_spacing_mm: float
    window: Window | None
    left_out: int
    results: tuple[ShownResult, ...]
    problem: str


def series_viewer(store: Store, series: StoredSeries) -> SeriesViewer:
    """Returns the slices of a series and its current results.

    Raises:
        Transient: the file store does not answer.
    """
    uid = series.series_instance_uid
    paths = tuple(instance.path for instance in store.instances_of(uid))
    images = _Images(store.files, paths)
    source = _source(images)
    jobs = current_jobs(tuple(reversed(store.jobs_of(uid)))) if source.slices else ()
    return SeriesViewer(
        study_instance_uid=series.study_instance_uid,
        series_instance_uid=uid,
        slices=source.slices,
        axis=source.axis,
        row_spacing_mm=source.row_spacing_mm,
        column_spacing_mm=source.column_spacing_mm,
        window=source.window,
        left_out=source.left_out,
        results=tuple(_result(images, job) for job in jobs if has_segmentation(job)),
        problem=_problem(paths, source),
    )


def _problem(paths: Sequence[Path], source: SourceSlices) -> str:
    if source.slices:
        return ""
    if not paths:
        return "The images are deleted."
    return "The viewer shows CT slices with a position in the patient; this series has none."


def has_segmentation(job: Job) -> bool:
    """Whether the job has a segmentation that DICOMweb provides."""
    return job.state in _STATES_WITH_RESULT and job.result_path is not None and not job.is_refusal


@dataclass(frozen=True)
class _Images:
    """The image files of a series."""

    files: Files
    paths: tuple[Path, ...]


@lru_cache(maxsize=_CACHED_SERIES)
def _source(images: _Images) -> SourceSlices:
    with images.files.local_copies(images.paths) as local_copies:
        return source_slices(readable_headers(local_copies))


def _result(images: _Images, job: Job) -> ShownResult:
    overlay, problem = None, ""
    if job.result_path is not None and images.files.exists(job.result_path):
        try:
            overlay = _overlay(images, job.result_path, job.updated_at)
        except Rejected as error:
            problem = str(error)
    else:
        problem = "the segmentation is deleted"
    return ShownResult(
        job_id=job.job_id,
        model=f"{job.model_id} {job.model_version}",
        part="" if job.part is None else job.part.title,
        series_instance_uid=job.result_uids.series_instance_uid,
        sop_instance_uid=job.result_uids.sop_instance_uid(),
        overlay=overlay,
        problem=problem,
    )


@lru_cache(maxsize=_CACHED_SERIES)
def _overlay(images: _Images, seg: Path, _changed_at: datetime) -> Overlay:
    """Reads where the frames of a SEG lie; a rerun writes the same file at another time."""
    source = _source(images)
    with images.files.local_copies([seg]) as (file,):
        try:
            # Nothing copies or prints the header, so sequences that nobody reads stay encoded.
            header = dcmread(file, stop_before_pixels=True)
        except PARSE_ERRORS as error:
            message = f"the segmentation cannot be read: {type(error).__name__}"
            raise Rejected(RejectionReason.UNREADABLE, message) from error
    return overlay_of(header, source)


def viewer_version(series: StoredSeries, jobs: Sequence[Job]) -> str:
    """Returns a text that changes when the viewer of a series has other images or results."""
    states = [f"{job.job_id[:8]}:{job.state}:{job.updated_at.timestamp()}" for job in jobs]
    return " ".join((str(series.instance_count), *states))
