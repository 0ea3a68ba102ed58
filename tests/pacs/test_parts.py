"""Each acquisition of a series has its own result in the PACS, on its own slices.

The same acquisitions are also sent as series of their own: the masks must be the same, pixel by
pixel, and overlap with the known liver of their phantom, but not with that of the other one.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from models.phantom import abdomen
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct_writer import CtDescription, ct_datasets
from node.domain.identifiers import Uid, mint_uid
from node.domain.job import Job, JobState
from node.domain.result_objects import ResultKind
from tests.support.dicom.builders import CtFiles, enhanced_of
from tests.support.processes.running_node import RunningNode

_DESTINATION = 'objects = ["seg", "sr", "capture", "rtstruct"]\nrefusal_notice = true'
_SLICES = 50
# The second acquisition lies this far from the first: patient shifted, slices between the others.
_SHIFT_MM = np.array([8.0, -4.0, 2.0])
_MIN_DICE = 0.8
_ROUNDING_MM = 1e-3

# Liver on the slice at a position, by the rounded position.
Masks = dict[tuple[float, ...], NDArray[np.bool_]]


@dataclass(frozen=True)
class Acquisition:
    """The images of one acquisition, and the known liver on each by its position."""

    images: tuple[Dataset, ...]
    liver: Masks


def acquisition(number: int) -> Acquisition:
    """Returns acquisition 1 or 2, each of another body."""
    phantom = abdomen(40 + number, spacing_mm=(6.0, 4.0, 4.0), shape=(_SLICES, 96, 96))
    affine = phantom.volume.affine.copy()
    affine[:3, 3] += _SHIFT_MM * (number - 1)
    volume = hd.Volume(phantom.volume.array, affine, coordinate_system="PATIENT")
    images = ct_datasets(volume, CtDescription(seed=f"part {number}", study_seed="parts"))
    known = {}
    for k, image in enumerate(images):
        image.AcquisitionNumber = number
        image.InstanceNumber = k + 1 + _SLICES * (number - 1)
        known[position_of(image)] = phantom.mask.volume.array[k] > 0
    return Acquisition(tuple(images), known)


def position_of(item: Dataset) -> tuple[float, ...]:
    return tuple(round(float(v) / _ROUNDING_MM) for v in item.ImagePositionPatient)


def in_one_series(images: tuple[Dataset, ...], seed: str) -> CtFiles:
    """Gives the images the UIDs of one series."""
    for number, image in enumerate(images):
        image.SeriesInstanceUID = mint_uid("series", seed)
        image.SOPInstanceUID = mint_uid("instance", seed, str(number))
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return CtFiles(images)


def alternating_frames(files: CtFiles) -> Dataset:
    """Returns both acquisitions as one Enhanced CT whose frames alternate between them."""
    pairs = zip(files.datasets[:_SLICES], files.datasets[_SLICES:], strict=True)
    enhanced = enhanced_of([image for pair in pairs for image in pair])
    for k, groups in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        groups.FrameContentSequence[0].FrameAcquisitionNumber = 1 + k % 2
        groups.FrameContentSequence[0].TemporalPositionIndex = 1 + k % 2
    return enhanced


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    with OrthancPacs(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def node(orthanc: OrthancPacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("node"), orthanc)
    running.configure(quiet_seconds=1, destination=_DESTINATION, rule='acquisitions = "each"')
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def alone(
    node: RunningNode, orthanc: OrthancPacs, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Masks]:
    """The masks of each acquisition that was sent as a series of its own."""
    found = {}
    for number in (1, 2):
        files = in_one_series(acquisition(number).images, f"alone {number}")
        node.send(files.write(tmp_path_factory.mktemp("alone")))
        job = node.ended_job(Uid(files.datasets[0].SeriesInstanceUID))
        assert job.state is JobState.DELIVERED, job.reason
        assert job.part is None
        (seg,) = in_pacs(node, orthanc, job, ResultKind.SEG)
        found[number] = masks_in(seg)
    return found


def in_pacs(node: RunningNode, orthanc: OrthancPacs, job: Job, kind: ResultKind) -> list[Dataset]:
    """The instances of one object of the job in the PACS."""
    (stored,) = [o for o in node.store.objects_of(job) if o.result_object.kind is kind]
    query = {"SeriesInstanceUID": stored.uids.series_instance_uid}
    found = orthanc.post("/tools/find", {"Level": "Instance", "Query": query})
    datasets: list[Dataset] = [dcmread(io.BytesIO(orthanc.file_of_instance(one))) for one in found]
    assert {d.SOPInstanceUID for d in datasets} == set(stored.sop_instance_uids)
    return datasets


def masks_in(seg: Dataset) -> Masks:
    segmentation = hd.seg.Segmentation.from_dataset(seg)
    return {
        position_of(frame.PlanePositionSequence[0]): segmentation.get_stored_frame(k) > 0
        for k, frame in enumerate(seg.PerFrameFunctionalGroupsSequence, start=1)
    }


def dice(found: Masks, known: Masks) -> float:
    both = sum(int((found[at] & known[at]).sum()) for at in found.keys() & known.keys())
    return 2 * both / sum(int(mask.sum()) for one in (found, known) for mask in one.values())


@pytest.mark.parametrize("multi_frame", [False, True], ids=["images", "multi-frame"])
def test_each_acquisition_is_segmented_on_its_own_slices(
    node: RunningNode,
    orthanc: OrthancPacs,
    alone: dict[int, Masks],
    tmp_path: Path,
    *,
    multi_frame: bool,
) -> None:
    acquisitions = {number: acquisition(number) for number in (1, 2)}
    images = (*acquisitions[1].images, *acquisitions[2].images)
    files = in_one_series(images, f"both {multi_frame}")
    if multi_frame:
        paths = [tmp_path / "enhanced.dcm"]
        alternating_frames(files).save_as(paths[0], enforce_file_format=True)
    else:
        paths = files.write(tmp_path)
    node.send(paths)
    jobs = node.ended_jobs(Uid(files.datasets[0].SeriesInstanceUID), 2)
    assert {job.state for job in jobs} == {JobState.DELIVERED}, [job.reason for job in jobs]
    assert sorted(job.part.number for job in jobs if job.part) == [1, 2]

    described = set()
    for job in jobs:
        assert job.part is not None
        number = job.part.number
        (seg,) = in_pacs(node, orthanc, job, ResultKind.SEG)
        masks = masks_in(seg)
        assert masks.keys() == alone[number].keys()
        for at, mask in masks.items():
            assert (mask == alone[number][at]).all()
        assert dice(masks, acquisitions[number].liver) > _MIN_DICE
        assert dice(masks, acquisitions[3 - number].liver) == 0
        captures = in_pacs(node, orthanc, job, ResultKind.CAPTURE)
        assert {position_of(capture) for capture in captures} == masks.keys()
        (report,) = in_pacs(node, orthanc, job, ResultKind.SR)
        (contours,) = in_pacs(node, orthanc, job, ResultKind.RTSTRUCT)
        for dataset in (seg, captures[0], report, contours):
            described.add((dataset.SeriesDescription, int(dataset.SeriesNumber)))
            assert job.part.title in dataset.SeriesDescription.lower()
    assert len({text for text, _number in described}) == 8
    assert len({number for _text, number in described}) == 8


def test_an_incomplete_acquisition_is_refused_and_the_other_delivered(
    node: RunningNode, orthanc: OrthancPacs, tmp_path: Path
) -> None:
    images = (*acquisition(1).images, *acquisition(2).images)
    files = in_one_series(images, "incomplete")
    node.send(CtFiles(files.datasets[:70] + files.datasets[71:]).write(tmp_path))
    jobs = node.ended_jobs(Uid(files.datasets[0].SeriesInstanceUID), 2)
    states = {job.part.number: job for job in jobs if job.part is not None}
    assert states[1].state is JobState.DELIVERED, states[1].reason
    assert states[2].state is JobState.REFUSED
    assert "Slices are missing" in states[2].reason
    (notice,) = in_pacs(node, orthanc, states[2], ResultKind.NOTICE)
    assert notice.SeriesDescription.startswith("Not segmented, acquisition 2, liver-ct")
    own = {image.SOPInstanceUID for image in files.datasets[_SLICES:]} - {
        files.datasets[70].SOPInstanceUID
    }
    assert {item.ReferencedSOPInstanceUID for item in notice.ReferencedImageSequence} == own
