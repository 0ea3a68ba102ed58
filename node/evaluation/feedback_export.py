"""Exports segmentations that people stored, with their CT, as data sets for training.

The layout is that of nnU-Net raw. A case is a number: no file holds a header, a UID or a date.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np

from node.dicom.ct.reader import read_series
from node.dicom.nifti_files import write_volume
from node.dicom.results.comparison.segment_agreement import (
    described_segments,
    matching_segments,
    read_placed_segments,
)
from node.dicom.results.comparison.stored_segments import NotComparable
from node.domain.errors import Rejected, RejectionReason
from node.domain.evaluation.feedback import Feedback, FeedbackState
from node.evaluation.feedback_comparison import file_of, latest_results
from node.routing.rules import CombinedRules, Rule
from node.store import Store

# Column, row, slice: the usual axis order of NIfTI.
_NIFTI_AXES = (2, 1, 0)
_DESCRIPTION = "Exported by segnode"
_MAX_EXPORTED = 100_000


@dataclass(frozen=True)
class ExportedDataSet:
    """A folder of cases in which the same organs are outlined."""

    folder: Path
    organs: tuple[str, ...]
    case_count: int


@dataclass(frozen=True)
class Export:
    """The data sets, and why each of the other segmentations is not among them."""

    data_sets: tuple[ExportedDataSet, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _LabelledCt:
    """A CT in HU, and for each organ, by its name, the voxels that the person outlined."""

    volume: hd.Volume
    outlined: Mapping[str, hd.Volume]


def export_feedback(store: Store, rules: Sequence[Rule], folder: Path) -> Export:
    """Writes the newest compared segmentation of each series to a new folder.

    Cases in which different organs are outlined go to different data sets: a missing outline does
    not mean a missing organ.

    Raises:
        Rejected: the folder is not empty.
        Transient: the database or the file storage does not answer.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise Rejected(RejectionReason.INVALID_INSTANCE, f"{folder} is not empty; give another.")
    cases: dict[tuple[str, ...], int] = defaultdict(int)
    problems = []
    for number, received in enumerate(_newest(store), start=1):
        try:
            labelled = _read(store, received, rules)
        except (Rejected, NotComparable) as error:
            problems.append(f"segmentation {number}: {error}")
            continue
        organs = tuple(sorted(labelled.outlined))
        _write_case(labelled, organs, folder / _name(organs), f"case-{number:04d}")
        cases[organs] += 1
    written = tuple(
        ExportedDataSet(folder / _name(organs), organs, count)
        for organs, count in sorted(cases.items())
    )
    for data_set in written:
        _describe(data_set)
    return Export(written, tuple(problems))


def _newest(store: Store) -> Iterator[Feedback]:
    """Yields the newest compared segmentation of each series, oldest first."""
    newest = {
        each.source_series_instance_uid: each
        for each in reversed(store.feedback(FeedbackState.COMPARED, _MAX_EXPORTED))
    }
    yield from newest.values()


def _read(store: Store, received: Feedback, rules: Sequence[Rule]) -> _LabelledCt:
    """Reads a segmentation and its CT.

    Raises:
        Rejected: the images or the segmentation are deleted.
        NotComparable: the segmentation no longer fits the images.
    """
    source_uid = received.source_series_instance_uid
    images = () if source_uid is None else store.instances_of(source_uid)
    jobs = () if source_uid is None else store.jobs_of(source_uid)
    compared = {comparison.job_id for comparison in received.comparisons}
    results = [job for job in latest_results(jobs) if job.job_id in compared]
    if not images or not results:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE, "its images have been deleted by the retention"
        )
    combined = CombinedRules.of([rule for rule in rules if rule.name in results[0].rules])
    paths = [file_of(store, received), *(job.result_path for job in results if job.result_path)]
    with store.files.local_copies([*paths, *(i.path for i in images)]) as files:
        source = read_series(files[len(paths) :], combined.acquisitions, results[0].part)
        segments = read_placed_segments(files[0], source)
        named = {
            theirs.name: ours
            for result in files[1 : len(paths)]
            for ours, theirs in matching_segments(segments.segments, described_segments(result))
        }
    outlined = {
        name: source.volume.with_array(segments.numbers == segment.number)
        for name, segment in named.items()
    }
    return _LabelledCt(source.volume, outlined)


def _write_case(labelled: _LabelledCt, organs: Sequence[str], folder: Path, name: str) -> None:
    values = np.zeros(labelled.volume.spatial_shape, dtype=np.uint8)
    for value, organ in enumerate(organs, start=1):
        values[labelled.outlined[organ].array] = value
    for part, volume, ending in (
        ("imagesTr", labelled.volume, "_0000"),
        ("labelsTr", labelled.volume.with_array(values), ""),
    ):
        path = folder / part / f"{name}{ending}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(volume.permute_spatial_axes(_NIFTI_AXES), path, _DESCRIPTION)


def _describe(data_set: ExportedDataSet) -> None:
    """Writes `dataset.json`, which names the values of the labels."""
    names = {"background": 0} | {organ: i for i, organ in enumerate(data_set.organs, start=1)}
    description = {
        "channel_names": {"0": "CT"},
        "labels": names,
        "numTraining": data_set.case_count,
        "file_ending": ".nii.gz",
    }
    text = json.dumps(description, indent=2) + "\n"
    (data_set.folder / "dataset.json").write_text(text, encoding="utf-8")


def _name(organs: Sequence[str]) -> str:
    return "-".join(organ.lower().replace(" ", "_") for organ in organs)
