"""Scans as they come: any phase, thickness, field of view and noise; some without a liver."""

from dataclasses import dataclass

import highdicom as hd
import numpy as np

from models.data.case import LabelledVolume
from models.errors import ModelsError
from models.manifest import Label
from models.mask import Mask
from models.phantom.abdomen import Looks, Phantom, paint, phantom_of, scanned
from models.phantom.head_and_cylinder import head_tissues
from models.phantom.tissues import ANY_PHASE_HU, PHASES_HU, Organ, Tissue

# The organs by their SNOMED CT codes, by which a model's labels name them.
ORGAN_OF_CODE = {
    "10200004": Organ.LIVER,
    "78961009": Organ.SPLEEN,
    "9846003": Organ.KIDNEY_RIGHT,
    "18639004": Organ.KIDNEY_LEFT,
    "28231008": Organ.GALLBLADDER,
    "69695003": Organ.STOMACH,
    "15776009": Organ.PANCREAS,
    "15825003": Organ.AORTA,
    "64131007": Organ.INFERIOR_VENA_CAVA,
}
# A fatty liver is darker than the spleen, down to the HU of water and below.
_FATTY_HU = (-5.0, 35.0)


@dataclass(frozen=True)
class _View:
    """A field of view: voxels in mm and how many, its middle in LPS mm."""

    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    centre_mm: tuple[float, float, float]
    feet_first: bool

    @property
    def grid(self) -> hd.VolumeGeometry:
        """Axial slices, ascending toward the head, or the feet."""
        affine = np.eye(4)
        up = -1 if self.feet_first else 1
        affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [up, 0, 0]]) * self.spacing_mm
        middle = affine[:3, :3] @ ((np.asarray(self.shape) - 1) / 2)
        affine[:3, 3] = np.asarray(self.centre_mm) - middle
        return hd.VolumeGeometry(affine, spatial_shape=self.shape, coordinate_system="PATIENT")


def random_scan(seed: int) -> Phantom:
    """An abdomen with the whole liver in it, scanned at random; the same seed, the same scan."""
    rng = np.random.default_rng([seed, 1])
    view = _view(rng, length_mm=(240, 400), middle_z=(-25, 25))
    return paint(view.grid, seed, looks=_looks(rng))


def pelvis(seed: int) -> Phantom:
    """A scan below every liver."""
    rng = np.random.default_rng([seed, 2])
    view = _view(rng, length_mm=(120, 180), middle_z=(-310, -290))
    return paint(view.grid, seed, looks=_looks(rng))


def lung_apex(seed: int) -> Phantom:
    """A scan of the upper chest, above every liver and heart."""
    rng = np.random.default_rng([seed, 3])
    view = _view(rng, length_mm=(100, 160), middle_z=(250, 280))
    return paint(view.grid, seed, looks=_looks(rng))


def head(seed: int) -> Phantom:
    """A scan of a head: skull, brain, ventricles, air in nose and sinuses."""
    rng = np.random.default_rng([seed, 4])
    view = _view(rng, length_mm=(150, 200), middle_z=(-5, 5), width_mm=(240, 280))
    looks, grid = _looks(rng), view.grid
    tissues = head_tissues(grid, rng)
    return phantom_of(
        grid, scanned(looks.levels[tissues], looks, rng), tissues, np.zeros_like(tissues)
    )


def labelled_scan(seed: int, labels: tuple[Label, ...]) -> LabelledVolume:
    """A random scan with the truth in these labels.

    Raises:
        ModelsError: a phantom has no such organ.
    """
    made = random_scan(seed)
    table = np.zeros(len(Organ), dtype=np.uint8)
    for label in labels:
        if label.type.value not in ORGAN_OF_CODE:
            raise ModelsError(f"a phantom has no organ {label.name!r} ({label.type.value})")
        table[ORGAN_OF_CODE[label.type.value]] = label.index
    truth = made.organs.with_array(table[made.organs.array])
    return LabelledVolume(f"phantom {seed}", made.volume, Mask(truth, labels))


def _view(
    rng: np.random.Generator,
    *,
    length_mm: tuple[float, float],
    middle_z: tuple[float, float],
    width_mm: tuple[float, float] = (380, 480),
) -> _View:
    thick, pixel = float(rng.uniform(2, 5)), float(rng.uniform(1.4, 2.2))
    wide = round(float(rng.uniform(*width_mm)) / pixel)
    deep = round(wide * float(rng.uniform(0.8, 1.0)))
    slices = round(float(rng.uniform(*length_mm)) / thick)
    x, y = (float(mm) for mm in rng.uniform(-12, 12, 2))
    centre = (x, y, float(rng.uniform(*middle_z)))
    return _View((thick, pixel, pixel), (slices, deep, wide), centre, bool(rng.random() < 0.2))


def _looks(rng: np.random.Generator) -> Looks:
    """A phase, a scanner and what ails the liver."""
    phase = PHASES_HU[rng.integers(len(PHASES_HU))]
    levels = np.full(len(Tissue), -1000, dtype=np.float32)
    for tissue, (low, high) in {**ANY_PHASE_HU, **phase}.items():
        levels[tissue] = rng.uniform(low, high)
    if phase is PHASES_HU[0] and rng.random() < 0.3:
        levels[Tissue.LIVER] = rng.uniform(*_FATTY_HU)
    sick = rng.random() < 0.4
    return Looks(
        levels,
        noise_hu=float(rng.uniform(6, 26)),
        blur_px=float(rng.uniform(0.4, 0.9)),
        lesions=int(rng.integers(1, 6)) if sick else 0,
        lesion_hu=float(rng.uniform(-50, 50)),
    )
