"""Anatomies by voxel, from which synthetic images are generated.

One comes from a labelled CT, the others are phantoms. All use the network's axes: foot to head,
back to front, left to right (see `models.inference.preprocessing`).
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
from models.phantom.tissues import Organ, Tissue, draw_tissue_hu

Tissues = NDArray[np.uint8]
Hu = NDArray[np.float32]
Organs = NDArray[np.uint8]

# The tissue of a name in `labels_all.json` of the labelled CT, by its prefix.
_TISSUE_OF_PREFIX: Mapping[str, Tissue] = {
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

    `texture_hu` is the difference of a real scan from the mean HU of its tissue (0 in a phantom),
    `tissue_hu` the HU of each `Tissue` as scanned. `organs` is the ground truth, an `Organ` by
    voxel.
    """

    tissues: Tissues = field(repr=False)
    texture_hu: Hu = field(repr=False)
    organs: Organs = field(repr=False)
    tissue_hu: Hu = field(repr=False)
    spacing_mm: float


def labelled_ct_anatomy(folder: Path, names: Mapping[int, str]) -> Anatomy:
    """Reads `ct.nii.gz` and `labels_all.nii.gz` in `folder`; `names` gives the name of each label.

    Raises:
        ValueError: a name matches no known tissue.
    """
    image = nibabel.as_closest_canonical(nibabel.load(folder / "ct.nii.gz"))
    labels = nibabel.as_closest_canonical(nibabel.load(folder / "labels_all.nii.gz"))
    # The closest canonical axes are right, anterior, superior; reversed, they are the network's.
    ct = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    label = np.asarray(labels.dataobj).astype(int).transpose(2, 1, 0)
    table = np.zeros(max(names) + 1, dtype=np.uint8)
    organ = np.zeros_like(table)
    for value, name in names.items():
        table[value] = _tissue_of(name)
        organ[value] = Organ.__members__.get(name.upper(), Organ.NONE)
    tissues = table[label]
    # Voxels without a label are classified by HU.
    unlabelled = label == 0
    for low, high, tissue in (
        (-9999, -400, Tissue.AIR),
        (-400, -20, Tissue.FAT),
        (-20, 150, Tissue.MUSCLE),
        (150, 9999, Tissue.BONE),
    ):
        tissues[unlabelled & (ct >= low) & (ct < high)] = tissue
    tissue_hu = np.full(len(Tissue), -1000, dtype=np.float32)
    for tissue in np.unique(tissues):
        tissue_hu[tissue] = ct[tissues == tissue].mean()
    return Anatomy(
        tissues,
        ct - tissue_hu[tissues],
        organ[label],
        tissue_hu,
        float(image.header.get_zooms()[0]),
    )


def _tissue_of(name: str) -> Tissue:
    for prefix, tissue in _TISSUE_OF_PREFIX.items():
        if name.startswith(prefix):
            return tissue
    raise ValueError(f"the label {name!r} has no known tissue")


def phantom_anatomy(seed: int, spacing_mm: float = 3.0) -> Anatomy:
    """Paints a phantom's body from the hips to the shoulders."""
    phantom = paint(_grid((600, 288, 450), (0.0, 10.0, -20.0), spacing_mm), seed)
    tissues = phantom.tissues.array
    tissue_hu = np.array(
        [phantom.volume.array[tissues == t].mean() if (tissues == t).any() else 0 for t in Tissue],
        dtype=np.float32,
    )
    texture_hu = np.zeros(tissues.shape, dtype=np.float32)
    return Anatomy(tissues, texture_hu, phantom.organs.array, tissue_hu, spacing_mm)


def anatomy_without_organs(seed: int, spacing_mm: float = 3.0) -> Anatomy:
    """Paints a head (even seed) or a cylindrical test phantom (odd seed)."""
    rng = np.random.default_rng([seed, 5])
    paint_tissues = cylinder_tissues if seed % 2 else head_tissues
    tissues = paint_tissues(_grid((300, 300, 360), (0.0, 0.0, 0.0), spacing_mm), rng)
    texture_hu = np.zeros(tissues.shape, dtype=np.float32)
    tissue_hu = draw_tissue_hu(rng)
    return Anatomy(tissues, texture_hu, np.zeros_like(tissues), tissue_hu, spacing_mm)


def _grid(
    size_mm: tuple[float, float, float], centre_mm: tuple[float, float, float], spacing_mm: float
) -> hd.VolumeGeometry:
    """Returns a grid of cubes along the network's axes, centred on `centre_mm` (LPS)."""
    depth, height, width = (round(mm / spacing_mm) for mm in size_mm)
    shape = (depth, height, width)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]]) * spacing_mm
    affine[:3, 3] = np.array(centre_mm) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return hd.VolumeGeometry(affine, spatial_shape=shape, coordinate_system="PATIENT")
