"""Finds images and their labels in the common layouts of data sets."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import SegmentationStorage

from models.data.case import Case, InvalidDataset
from models.data.images import is_volume, stem

# Common names of label files: the name of the image and one of these endings.
_LABEL_ENDINGS = ("_label", "_labels", "_seg", "_segmentation", "_mask", "-label", "-seg", "-mask")


@dataclass(frozen=True)
class DataSet:
    """The cases of a data set, in the order of their names."""

    folder: Path
    layout: str
    cases: tuple[Case, ...]


def find_cases(folder: Path, layout: str) -> DataSet:
    """Finds the cases of a data set.

    Raises:
        InvalidDataset: there is no such layout or folder, or the folder has another layout.
    """
    if layout not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise InvalidDataset(f"there is no layout {layout!r}; known: {known}")
    if not folder.is_dir():
        raise InvalidDataset(f"{folder} is not a folder")
    cases = tuple(sorted(LAYOUTS[layout](folder), key=lambda case: case.name))
    if not cases:
        raise InvalidDataset(f"{folder} holds no case in the layout {layout}")
    return DataSet(folder, layout, cases)


def _decathlon(folder: Path) -> Iterator[Case]:
    """Medical Segmentation Decathlon: `dataset.json` lists pairs and names the values."""
    description = _json(folder / "dataset.json")
    names = {int(value): str(name) for value, name in description.get("labels", {}).items()}
    names.pop(0, None)
    for pair in description.get("training", []):
        image = folder / str(pair["image"])
        yield Case(stem(image), image, folder / str(pair["label"]), names)


def _lits(folder: Path) -> Iterator[Case]:
    """LiTS: `volume-N.nii` and `segmentation-N.nii`, anywhere below; 1 is liver, 2 its tumours."""
    for image in _volumes(folder):
        found = re.fullmatch(r"volume-(\d+)", stem(image))
        if not found:
            continue
        wanted = f"segmentation-{found[1]}"
        truth = next((t for t in _volumes(folder) if stem(t) == wanted), None)
        yield Case(f"volume-{int(found[1]):03d}", image, truth, {1: "liver", 2: "tumour"})


def _chaos(folder: Path) -> Iterator[Case]:
    """CHAOS: `N/DICOM_anon/*.dcm` and `N/Ground/*.png`."""
    for dicom in folder.rglob("DICOM_anon"):
        ground = dicom.parent / "Ground"
        truth = ground if ground.is_dir() else None
        yield Case(dicom.parent.name, dicom, truth, {1: "liver"})


def _nnunet(folder: Path) -> Iterator[Case]:
    """nnU-Net raw: `imagesTr/NAME_0000.nii.gz`, `labelsTr/NAME.nii.gz` and `dataset.json`."""
    description = _json(folder / "dataset.json")
    if len(description.get("channel_names", description.get("modality", {"0": "CT"}))) != 1:
        raise InvalidDataset(f"{folder}: the images have several channels; CT has one")
    names: dict[int, str] = {}
    for name, value in description.get("labels", {}).items():
        # The keys are values in version 1 and names in version 2. A region of version 2 has several
        # values.
        one = (int(name), str(value)) if str(name).isdigit() else (value, str(name))
        if isinstance(one[0], int) and one[0] > 0:
            names[one[0]] = one[1]
    labels = {stem(path): path for path in _volumes(folder / "labelsTr")}
    for image in _volumes(folder / "imagesTr"):
        name = stem(image).removesuffix("_0000")
        yield Case(name, image, labels.get(name), names)


def _pairs(folder: Path) -> Iterator[Case]:
    """Image and labels side by side: `NAME.nii.gz` with `NAME_seg.nii.gz` (or `_label`,
    `_mask` ...); `ct` or `image` with `labels`, one pair to a folder; `images/` and `labels/`.
    """
    volumes = list(_volumes(folder))
    by_name = {(path.parent, stem(path)): path for path in volumes}
    for image in volumes:
        parent, name = image.parent, stem(image)
        truth = next(
            (by_name[parent, name + e] for e in _LABEL_ENDINGS if (parent, name + e) in by_name),
            None,
        )
        if truth is None and name in ("ct", "image"):
            truth = by_name.get((parent, "labels"), by_name.get((parent, "label")))
        if truth is None and parent.name == "images":
            truth = by_name.get((parent.parent / "labels", name))
        if truth is not None:
            case_name = name if name not in ("ct", "image") else parent.name
            yield Case(case_name, image, truth)


def _dicom_seg(folder: Path) -> Iterator[Case]:
    """CT series as folders of DICOM files, and SEG objects that refer to them, anywhere below."""
    series: dict[str, Path] = {}
    segmentations: list[tuple[Path, Dataset]] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            header: Dataset = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        except (InvalidDicomError, OSError):
            continue
        if header.get("SOPClassUID") == SegmentationStorage:
            segmentations.append((path, header))
        elif header.get("Modality") == "CT":
            uid = str(header.get("SeriesInstanceUID", ""))
            if series.setdefault(uid, path.parent) != path.parent:
                raise InvalidDataset(f"{folder}: the series in {path.parent} lies in two folders")
    _check_separate_folders(folder, series)
    for path, header in segmentations:
        referenced = header.get("ReferencedSeriesSequence") or [Dataset()]
        image = series.get(str(referenced[0].get("SeriesInstanceUID", "")))
        if image is not None:
            yield Case(str(path.relative_to(folder).with_suffix("")), image, path)


_TAGS = ["SOPClassUID", "Modality", "SeriesInstanceUID", "ReferencedSeriesSequence"]


def _check_separate_folders(folder: Path, series: Mapping[str, Path]) -> None:
    folders = list(series.values())
    for own in folders:
        if folders.count(own) > 1:
            raise InvalidDataset(f"{folder}: {own} holds several CT series; give each its own")


def _volumes(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if is_volume(path) and path.is_file())


def _json(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidDataset(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidDataset(f"{path}: {error}") from error
    if not isinstance(description, dict):
        raise InvalidDataset(f"{path} does not describe a data set")
    return description


LAYOUTS: Mapping[str, Callable[[Path], Iterator[Case]]] = {
    "pairs": _pairs,
    "msd": _decathlon,
    "lits": _lits,
    "chaos": _chaos,
    "nnunet": _nnunet,
    "dicom-seg": _dicom_seg,
}
