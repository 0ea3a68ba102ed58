"""Bodies to learn from: tissues by voxel, to be deformed and painted anew for every sample.

One comes from a labelled CT, the others are phantoms. All lie on the network's axes: foot to head,
back to front, left to right (see `models.preprocessing`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
from numpy.typing import NDArray

from models.phantom import paint
from models.phantom.head_and_cylinder import cylinder_tissues, head_tissues
from models.phantom.tissues import Organ, Tissue, draw_levels

Tissues = NDArray[np.uint8]
Hu = NDArray[np.float32]
Organs = NDArray[np.uint8]

# The names in `labels_all.json` of the labelled CT, by how they begin.
_TISSUE_OF_NAME: Mapping[str, Tissue] = {
    "liver": Tissue.LIVER,
    "spleen": Tissue.SPLEEN,
    "kidney": Tissue.KIDNEY,
    "gallbladder": Tissue.GALLBLADDER,
    "stomach": Tissue.STOMACH,
    "pancreas": Tissue.PANCREAS,
    "adrenal_gland": Tissue.PANCREAS,
    "aorta": Tissue.AORTA,
    "iliac_artery": Tissue.AORTA,
    "inferior_vena_cava": Tissue.VENA_CAVA,
    "iliac_vena": Tissue.VENA_CAVA,
    "portal_vein": Tissue.PORTAL_VEIN,
    "heart": Tissue.MYOCARDIUM,
    "lung": Tissue.LUNG,
    "colon": Tissue.BOWEL,
    "small_bowel": Tissue.BOWEL,
    "duodenum": Tissue.BOWEL,
    "urinary_bladder": Tissue.URINE,
    "autochthon": Tissue.MUSCLE,
    "gluteus": Tissue.MUSCLE,
    "iliopsoas": Tissue.MUSCLE,
    "rib": Tissue.BONE,
    "vertebrae": Tissue.BONE,
    "sacrum": Tissue.BONE,
    "hip": Tissue.BONE,
    "femur": Tissue.BONE,
}


@dataclass(frozen=True)
class Anatomy:
    """A body. Arrays are (Z, Y, X) on the network's axes, `spacing_mm` in that order.

    `detail` is the HU that a real scan has over its tissue's mean (0 in a phantom); `levels` the
    HU of each `Tissue` as scanned; `organs` the truth, an `Organ` by voxel.
    """

    tissues: Tissues = field(repr=False)
    detail: Hu = field(repr=False)
    organs: Organs = field(repr=False)
    levels: Hu = field(repr=False)
    spacing_mm: float


def labelled_ct(folder: Path, names: Mapping[int, str]) -> Anatomy:
    """The CT `ct.nii.gz` in `folder` with `labels_all.nii.gz`, whose values `names` tells.

    Raises:
        ValueError: a name is that of no tissue known here.
    """
    image = nibabel.as_closest_canonical(nibabel.load(folder / "ct.nii.gz"))
    labels = nibabel.as_closest_canonical(nibabel.load(folder / "labels_all.nii.gz"))
    # Nearest to right, anterior, superior: reversed, these are the network's axes.
    ct = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    label = np.asarray(labels.dataobj).astype(int).transpose(2, 1, 0)
    table = np.zeros(max(names) + 1, dtype=np.uint8)
    organ = np.zeros_like(table)
    for value, name in names.items():
        table[value] = _tissue_of(name)
        organ[value] = Organ.__members__.get(name.upper(), Organ.NONE)
    tissues = table[label]
    # What has no label is told apart by its HU.
    bare = label == 0
    for low, high, tissue in (
        (-9999, -400, Tissue.AIR),
        (-400, -20, Tissue.FAT),
        (-20, 150, Tissue.MUSCLE),
        (150, 9999, Tissue.BONE),
    ):
        tissues[bare & (ct >= low) & (ct < high)] = tissue
    levels = np.full(len(Tissue), -1000, dtype=np.float32)
    for tissue in np.unique(tissues):
        levels[tissue] = ct[tissues == tissue].mean()
    return Anatomy(
        tissues,
        ct - levels[tissues],
        organ[label],
        levels,
        float(image.header.get_zooms()[0]),
    )


def _tissue_of(name: str) -> Tissue:
    for start, tissue in _TISSUE_OF_NAME.items():
        if name.startswith(start):
            return tissue
    raise ValueError(f"the labels name {name!r}, and no tissue is known for it")


def phantom(seed: int, spacing_mm: float = 3.0) -> Anatomy:
    """A phantom's body, from the hips to the shoulders."""
    made = paint(_grid((600, 288, 450), (0.0, 10.0, -20.0), spacing_mm), seed)
    tissues = made.tissues.array
    levels = np.array(
        [made.volume.array[tissues == t].mean() if (tissues == t).any() else 0 for t in Tissue],
        dtype=np.float32,
    )
    detail = np.zeros(tissues.shape, dtype=np.float32)
    return Anatomy(tissues, detail, made.organs.array, levels, spacing_mm)


def without_organs(seed: int, spacing_mm: float = 3.0) -> Anatomy:
    """A head (of an even seed), or a cylinder that scanners are tested with."""
    rng = np.random.default_rng([seed, 5])
    paint_it = cylinder_tissues if seed % 2 else head_tissues
    tissues = paint_it(_grid((300, 300, 360), (0.0, 0.0, 0.0), spacing_mm), rng)
    detail = np.zeros(tissues.shape, dtype=np.float32)
    levels = draw_levels(rng)
    return Anatomy(tissues, detail, np.zeros_like(tissues), levels, spacing_mm)


def _grid(
    size_mm: tuple[float, float, float], middle: tuple[float, float, float], spacing_mm: float
) -> hd.VolumeGeometry:
    """Cubes along the network's axes, `middle` (LPS mm) in the middle."""
    depth, height, width = (round(mm / spacing_mm) for mm in size_mm)
    shape = (depth, height, width)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]]) * spacing_mm
    affine[:3, 3] = np.array(middle) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return hd.VolumeGeometry(affine, spatial_shape=shape, coordinate_system="PATIENT")
