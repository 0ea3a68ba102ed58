"""Real DICOM for tests: CT series of the analytic body phantom, with faults on request."""

import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian

from models.inference.prediction import Prediction
from models.manifest import Code, Label, ModelSpec, NetworkSpec
from node.dicom.ct_writer import CtDescription, ct_datasets
from node.domain.identifiers import mint_uid
from tests.support.dicom.body import AXIAL, THRESHOLD_HU, Directions, body, grid

MADE_AT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)

LIVER = Label(
    index=1,
    name="Liver",
    category=Code("91772007", "SCT", "Organ"),
    type=Code("10200004", "SCT", "Liver"),
    display_rgb=(221, 130, 101),
)
SPLEEN = Label(
    index=2,
    name="Spleen",
    category=Code("91772007", "SCT", "Organ"),
    type=Code("78961009", "SCT", "Spleen"),
    display_rgb=(157, 108, 162),
)


@dataclass(frozen=True)
class CtFiles:
    """A CT series that a test modifies in memory and then writes to files."""

    datasets: tuple[Dataset, ...] = field(repr=False)

    def modify(self, change: Callable[[int, Dataset], None]) -> "CtFiles":
        """Applies `change(index, dataset)` to each instance in place and returns the series."""
        for index, dataset in enumerate(self.datasets):
            change(index, dataset)
        return self

    def write(self, directory: Path) -> list[Path]:
        """Writes each instance as a Part 10 file; the order of names is not that of positions."""
        directory.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, dataset in enumerate(self.datasets):
            path = directory / f"{index * 7919 % 10007:05d}-{index}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
        return sorted(paths)


def ct_series(
    directions: Directions = AXIAL,
    *,
    geometry: hd.VolumeGeometry | None = None,
    missing: Sequence[int] = (),
    duplicate: Sequence[int] = (),
    jitter_mm: float = 0.0,
    tilt_degrees: float = 0.0,
    swing_degrees: float = 0.0,
    localizer: Sequence[int] = (),
    seed: str = "test",
    description: CtDescription | None = None,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> CtFiles:
    """Builds a CT series of the body, one small instance per slice, with the requested faults.

    `missing`, `duplicate` and `localizer` are slice indices. `jitter_mm` moves every other inner
    slice along the normal and resamples its content. `tilt_degrees` shifts each slice along its
    columns, as a tilted gantry does, and `swing_degrees` along its rows.
    """
    slice_grid = grid(directions) if geometry is None else geometry
    seeded = replace(CtDescription() if description is None else description, seed=seed)
    shape = slice_grid.spatial_shape
    slices = _pickled_slices(slice_grid.affine.tobytes(), shape, seeded, transfer_syntax_uid)
    datasets: list[Dataset] = pickle.loads(slices)  # noqa: S301 made below
    along, down, right = (np.array(vector) for vector in slice_grid.unit_vectors())
    shear = np.tan(np.radians(tilt_degrees)) * down + np.tan(np.radians(swing_degrees)) * right
    step_mm = shear * slice_grid.spacing_between_slices
    for k, dataset in enumerate(datasets):
        inner = 0 < k < len(datasets) - 1
        shift = along * jitter_mm * (k % 2 if inner else 0) + step_mm * k
        if shift.any():
            shift_slice(dataset, slice_grid, shift)
        if k in localizer:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    duplicates = [_duplicate(datasets[k]) for k in duplicate]
    kept = [d for k, d in enumerate(datasets) if k not in missing]
    return CtFiles((*kept, *duplicates))


@lru_cache(maxsize=100)
def _pickled_slices(
    affine: bytes, shape: tuple[int, int, int], description: CtDescription, syntax: str
) -> bytes:
    """The slices of the body; to unpickle them takes a fifth of the time of making them."""
    geometry = hd.VolumeGeometry(
        np.frombuffer(affine).reshape(4, 4), shape, coordinate_system="PATIENT"
    )
    datasets = ct_datasets(body(geometry), description, transfer_syntax_uid=syntax)
    return pickle.dumps(datasets)


def shift_slice(dataset: Dataset, geometry: hd.VolumeGeometry, shift: NDArray[np.float64]) -> None:
    """Moves a slice by `shift` (LPS, mm) and samples the body at its new position."""
    position = np.array(dataset.ImagePositionPatient, dtype=float) + shift
    dataset.ImagePositionPatient = [f"{v:.8f}"[:16] for v in position]
    affine = geometry.affine.copy()
    affine[:3, 3] = position
    shape = (1, *geometry.spatial_shape[1:])
    moved = body(hd.VolumeGeometry(affine, shape, coordinate_system="PATIENT"))
    dataset.PixelData = (moved.array[0] + 1024).astype("<u2").tobytes()


def _duplicate(dataset: Dataset) -> Dataset:
    """Returns the same slice as another instance."""
    copy = deepcopy(dataset)
    copy.SOPInstanceUID = mint_uid("double", dataset.SOPInstanceUID)
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    return copy


def enhanced_ct(
    directions: Directions = AXIAL, *, frame_order: Sequence[int] | None = None
) -> FileDataset:
    """Builds the body as one Enhanced CT; `frame_order` lists the slice index of each frame."""
    singles = ct_datasets(body(grid(directions)), CtDescription(seed="enhanced"))
    order = range(len(singles)) if frame_order is None else frame_order
    return enhanced_of([singles[k] for k in order])


def enhanced_of(singles: Sequence[Dataset]) -> FileDataset:
    """Returns the images as the frames of one Enhanced CT, in their order."""
    first = singles[0]
    meta = FileMetaDataset()
    meta.update(first.file_meta)
    meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    enhanced = FileDataset("", Dataset(), preamble=b"\0" * 128, file_meta=meta)
    for element in first:
        if element.keyword not in _PER_FRAME:
            enhanced.add(element)
    enhanced.SOPClassUID = EnhancedCTImageStorage
    enhanced.NumberOfFrames = len(singles)
    enhanced.SharedFunctionalGroupsSequence = [_shared_groups(first)]
    enhanced.PerFrameFunctionalGroupsSequence = [
        _frame_groups(single, number) for number, single in enumerate(singles, start=1)
    ]
    enhanced.PixelData = b"".join(single.PixelData for single in singles)
    return enhanced


_PER_FRAME = frozenset(
    {
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
        "PixelData",
        "SOPClassUID",
    }
)


def _item(source: Dataset, *keywords: str) -> list[Dataset]:
    item = Dataset()
    for keyword in keywords:
        item[keyword] = source[keyword]
    return [item]


def _shared_groups(first: Dataset) -> Dataset:
    shared = Dataset()
    shared.PlaneOrientationSequence = _item(first, "ImageOrientationPatient")
    shared.PixelMeasuresSequence = _item(first, "PixelSpacing", "SliceThickness")
    frame_type = Dataset()
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared.CTImageFrameTypeSequence = [frame_type]
    return shared


def _frame_groups(single: Dataset, number: int) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = _item(single, "ImagePositionPatient")
    frame.PixelValueTransformationSequence = _item(
        single, "RescaleSlope", "RescaleIntercept", "RescaleType"
    )
    content = Dataset()
    content.FrameAcquisitionNumber = 1
    content.DimensionIndexValues = [1, number]
    frame.FrameContentSequence = [content]
    return frame


def legacy_converted(files: CtFiles) -> Dataset:
    """Converts the series to one Legacy Converted Enhanced CT."""
    return LegacyConvertedEnhancedCTImage(
        list(files.datasets),
        series_instance_uid=mint_uid("legacy", files.datasets[0].SeriesInstanceUID),
        series_number=2,
        sop_instance_uid=mint_uid("legacy", files.datasets[0].SOPInstanceUID),
        instance_number=1,
    )


def model_spec(
    *,
    labels: tuple[Label, ...] = (LIVER,),
    min_slices: int = 10,
    min_extent_mm: float = 30.0,
    min_volume_ml: float = 10.0,
) -> ModelSpec:
    """Builds the description of a model package that has no weights on disk."""
    return ModelSpec(
        model_id="liver-test",
        version="0.0.1",
        title="Liver by threshold",
        intended_use="tests",
        manufacturer="segnode",
        network=NetworkSpec(kind="threshold", parameters={}),
        labels=tuple(replace(label, min_volume_ml=min_volume_ml) for label in labels),
        spacing_mm=(3.0, 3.0, 3.0),
        hu_window=(-200.0, 300.0),
        patch=(32, 32, 32),
        overlap=0.25,
        keep_largest=True,
        min_slices=min_slices,
        min_extent_mm=min_extent_mm,
        weights=Path("weights.safetensors"),
        weights_sha256="0" * 64,
    )


@dataclass(frozen=True)
class ThresholdSegmenter:
    """A segmenter that finds the liver of `body` exactly, by its HU, for tests of geometry."""

    spec: ModelSpec = field(default_factory=model_spec)

    def predict(
        self, volume: hd.Volume, progress: Callable[[float], None] | None = None
    ) -> Prediction:
        """Returns the mask of all voxels brighter than tissue."""
        if progress is not None:
            progress(1.0)
        bright = (volume.array > THRESHOLD_HU).astype(np.uint8)
        return Prediction(volume=volume.with_array(bright), labels=self.spec.labels)
