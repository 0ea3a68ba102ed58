"""Bodies to learn from: tissues by voxel, to be deformed and painted anew for every sample.

One comes from a labelled CT, the others are phantoms. All lie on the network's axes: foot to head,
back to front, left to right (see `models.prepare`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
from numpy.typing import NDArray

from models.phantom import paint
from models.phantom.tissues import Tissue

Tissues = NDArray[np.uint8]
Hu = NDArray[np.float32]

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
    "heart": Tissue.HEART,
    "lung": Tissue.LUNG,
    "colon": Tissue.BOWEL,
    "small_bowel": Tissue.BOWEL,
    "duodenum": Tissue.BOWEL,
    "urinary_bladder": Tissue.GALLBLADDER,
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
    HU of each `Tissue` as scanned; `liver` the truth.
    """

    tissues: Tissues = field(repr=False)
    detail: Hu = field(repr=False)
    liver: NDArray[np.bool_] = field(repr=False)
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
    for value, name in names.items():
        table[value] = _tissue_of(name)
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
        tissues == Tissue.LIVER,
        levels,
        float(image.header.get_zooms()[0]),
    )


def _tissue_of(name: str) -> Tissue:
    for start, tissue in _TISSUE_OF_NAME.items():
        if name.startswith(start):
            return tissue
    raise ValueError(f"the labels name {name!r}, and no tissue is known for it")


def phantom(seed: int, spacing_mm: float = 3.0) -> Anatomy:
    """A phantom's body, from the hips to the heart."""
    shape = tuple(round(mm / spacing_mm) for mm in (510, 288, 450))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]]) * spacing_mm
    middle = affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    affine[:3, 3] = np.array([0.0, 10.0, -65.0]) - middle
    grid = hd.VolumeGeometry(affine, spatial_shape=shape, coordinate_system="PATIENT")
    made = paint(grid, seed)
    tissues = made.tissues.array
    levels = np.array(
        [made.volume.array[tissues == t].mean() if (tissues == t).any() else 0 for t in Tissue],
        dtype=np.float32,
    )
    detail = np.zeros(shape, dtype=np.float32)
    return Anatomy(tissues, detail, made.mask.volume.array > 0, levels, spacing_mm)


def with_chest(body: Anatomy, rng: np.random.Generator, height_mm: float = 120.0) -> Anatomy:
    """`body`, which ends in the liver, with a dome of the liver, lungs and a heart put on top.

    The belly's last slice shrinks towards two domes, the liver's on the right and that of stomach
    and spleen on the left; around them is lung, on them a heart; the chest wall repeats the last
    slices below.
    """
    from scipy import ndimage

    slices = int(height_mm / body.spacing_mm)
    last = body.tissues[-1]
    belly = np.isin(
        last,
        [
            Tissue.LIVER,
            Tissue.LUNG,
            Tissue.STOMACH,
            Tissue.SPLEEN,
            Tissue.BOWEL,
            Tissue.PORTAL_VEIN,
        ],
    )
    # Padded, since closing does not reach over the edge of an array.
    closed = ndimage.binary_closing(np.pad(belly, 20), iterations=14)[20:-20, 20:-20]
    inside = ndimage.binary_fill_holes(closed)
    inside &= ~np.isin(last, [Tissue.BONE, Tissue.AORTA])
    liver = last == Tissue.LIVER
    other = inside & ~np.isin(last, [Tissue.LIVER, Tissue.LUNG, Tissue.VENA_CAVA, Tissue.AIR])
    left = np.isin(last, [Tissue.STOMACH, Tissue.SPLEEN])
    heights = rng.uniform(30, 60), rng.uniform(20, 50)
    chest = _Chest(body, rng, inside)
    tissues, detail, truth = [], [], []
    for k in range(1, slices + 1):
        at_mm = k * body.spacing_mm
        tissue, fine, free = chest.wall(k)
        for organ, centre, height in (
            (other, np.argwhere(left).mean(axis=0), heights[1]),
            (liver, np.argwhere(liver).mean(axis=0), heights[0]),
        ):
            if at_mm < height * 0.97:
                share = np.sqrt(1 - (at_mm / height) ** 2)
                rows, columns = _shrunk(last.shape, centre, share)
                here = organ[rows, columns] & inside
                tissue[here] = last[rows, columns][here]
                fine[here] = body.detail[-1][rows, columns][here]
                free &= ~here
        chest.put_heart(tissue, fine, free, at_mm)
        tissues.append(tissue)
        detail.append(fine)
        truth.append(tissue == Tissue.LIVER)
    return replace(
        body,
        tissues=np.concatenate([body.tissues, tissues]),
        detail=np.concatenate([body.detail, detail]),
        liver=np.concatenate([body.liver, truth]),
    )


class _Chest:
    """Wall, lungs and heart above a body that ends in the liver."""

    def __init__(self, body: Anatomy, rng: np.random.Generator, inside: NDArray[np.bool_]) -> None:
        self._body, self._inside = body, inside
        rows, columns = np.argwhere(inside).mean(axis=0)
        bone = np.argwhere(body.tissues[-1] == Tissue.BONE)
        self._spine = float(np.median(bone[bone[:, 0] < rows][:, 1]))
        # In mm: (up, front, right) of the middle; a heart sits on the left half of the diaphragm.
        step = body.spacing_mm
        self._centre = (
            rng.uniform(15, 75),
            (rows + rng.uniform(4, 14)) * step,
            columns * step - rng.uniform(0, 30),
        )
        self._half = rng.uniform(32, 55), rng.uniform(36, 54), rng.uniform(46, 70)
        self._fat = rng.uniform(1.0, 1.2)  # how far the fat around the heart reaches
        self._filling = rng.choice([Tissue.FAT, Tissue.MUSCLE, Tissue.LUNG])

    def wall(self, k: int) -> tuple[Tissues, Hu, NDArray[np.bool_]]:
        """Slice `k` above the end with empty lungs: tissues, detail, and where organs may go."""
        back = k % 20
        source = -1 - (back if back <= 10 else 20 - back)  # there and back again: ribs move
        tissue, fine = self._body.tissues[source].copy(), self._body.detail[source].copy()
        keep = (Tissue.AIR, Tissue.FAT, Tissue.MUSCLE, Tissue.BONE, Tissue.AORTA)
        strange = ~np.isin(tissue, [int(t) for t in keep]) | (tissue == Tissue.AIR) & self._inside
        tissue[strange], fine[strange] = Tissue.MUSCLE, 0
        lung = self._inside & ~np.isin(tissue, [Tissue.AORTA])
        tissue[lung], fine[lung] = Tissue.LUNG, 0
        across = np.abs(np.arange(tissue.shape[1]) - self._spine) * self._body.spacing_mm
        middle = lung & (across < 22)[None, :]
        tissue[middle] = self._filling
        return tissue, fine, lung

    def put_heart(self, tissue: Tissues, fine: Hu, free: NDArray[np.bool_], at_mm: float) -> None:
        """Paint the heart where the chest is free."""
        step = self._body.spacing_mm
        up, front, right = self._centre
        rows, columns = np.ogrid[0 : tissue.shape[0], 0 : tissue.shape[1]]
        distance = (
            ((at_mm - up) / self._half[0]) ** 2
            + ((rows * step - front) / self._half[1]) ** 2
            + ((columns * step - right) / self._half[2]) ** 2
        )
        for reach, what in ((self._fat**2, Tissue.FAT), (1.0, Tissue.HEART)):
            here = free & (distance < reach)
            tissue[here], fine[here] = what, 0


def _shrunk(
    shape: tuple[int, ...], centre: NDArray[np.float64], share: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each pixel of a slice shrunk to `share` about `centre`, the pixel it shows."""
    rows, columns = np.indices(shape)
    rows = np.rint(centre[0] + (rows - centre[0]) / share).astype(int)
    columns = np.rint(centre[1] + (columns - centre[1]) / share).astype(int)
    return rows.clip(0, shape[0] - 1), columns.clip(0, shape[1] - 1)
