"""Scans with random phase, slice thickness, field of view and noise; some without a liver."""

from dataclasses import dataclass

import highdicom as hd
import numpy as np

from models.data.case import LabelledVolume
from models.errors import ModelsError
from models.manifest import Label
from models.mask import Mask
from models.phantom.abdomen import Appearance, Phantom, build_phantom, paint, simulate_scan
from models.phantom.head_and_cylinder import head_tissues
from models.phantom.tissues import ANY_PHASE_HU, PHASES_HU, Organ, Tissue

# The organ of each SNOMED CT code, by which the labels of a model name it.
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
# A fatty liver is darker than the spleen, down to below the HU of water.
_FATTY_LIVER_HU = (-5.0, 35.0)


@dataclass(frozen=True)
class _FieldOfView:
    """A field of view: voxel spacing and count by axis, centre in LPS."""

    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    centre_mm: tuple[float, float, float]
    feet_first: bool

    @property
    def grid(self) -> hd.VolumeGeometry:
        """Axial slices that ascend toward the head, or toward the feet with `feet_first`."""
        affine = np.eye(4)
        up = -1 if self.feet_first else 1
        affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [up, 0, 0]]) * self.spacing_mm
        centre_offset_mm = affine[:3, :3] @ ((np.asarray(self.shape) - 1) / 2)
        affine[:3, 3] = np.asarray(self.centre_mm) - centre_offset_mm
        return hd.VolumeGeometry(affine, spatial_shape=self.shape, coordinate_system="PATIENT")


def random_scan(seed: int) -> Phantom:
    """Renders an abdomen with the whole liver; the same seed gives the same scan."""
    rng = np.random.default_rng([seed, 1])
    view = _draw_field_of_view(rng, length_mm=(240, 400), centre_z=(-25, 25))
    return paint(view.grid, seed, appearance=_draw_appearance(rng))


def pelvis(seed: int) -> Phantom:
    """Renders a scan below every liver."""
    rng = np.random.default_rng([seed, 2])
    view = _draw_field_of_view(rng, length_mm=(120, 180), centre_z=(-310, -290))
    return paint(view.grid, seed, appearance=_draw_appearance(rng))


def lung_apex(seed: int) -> Phantom:
    """Renders a scan of the upper chest, above every liver and heart."""
    rng = np.random.default_rng([seed, 3])
    view = _draw_field_of_view(rng, length_mm=(100, 160), centre_z=(250, 280))
    return paint(view.grid, seed, appearance=_draw_appearance(rng))


def head(seed: int) -> Phantom:
    """Renders a scan of a head: skull, brain, ventricles, air in nose and sinuses."""
    rng = np.random.default_rng([seed, 4])
    view = _draw_field_of_view(rng, length_mm=(150, 200), centre_z=(-5, 5), width_mm=(240, 280))
    appearance, grid = _draw_appearance(rng), view.grid
    tissues = head_tissues(grid, rng)
    return build_phantom(
        grid,
        simulate_scan(appearance.tissue_hu[tissues], appearance, rng),
        tissues,
        np.zeros_like(tissues),
    )


def labelled_scan(seed: int, labels: tuple[Label, ...]) -> LabelledVolume:
    """Renders a random scan with its ground truth in these labels.

    Raises:
        ModelsError: a phantom has no such organ.
    """
    phantom = random_scan(seed)
    table = np.zeros(len(Organ), dtype=np.uint8)
    for label in labels:
        if label.type.value not in ORGAN_OF_CODE:
            raise ModelsError(f"a phantom has no organ {label.name!r} ({label.type.value})")
        table[ORGAN_OF_CODE[label.type.value]] = label.index
    ground_truth = phantom.organs.with_array(table[phantom.organs.array])
    return LabelledVolume(f"phantom {seed}", phantom.volume, Mask(ground_truth, labels))


def _draw_field_of_view(
    rng: np.random.Generator,
    *,
    length_mm: tuple[float, float],
    centre_z: tuple[float, float],
    width_mm: tuple[float, float] = (380, 480),
) -> _FieldOfView:
    thickness, pixel = float(rng.uniform(2, 5)), float(rng.uniform(1.4, 2.2))
    columns = round(float(rng.uniform(*width_mm)) / pixel)
    rows = round(columns * float(rng.uniform(0.8, 1.0)))
    slices = round(float(rng.uniform(*length_mm)) / thickness)
    x, y = (float(mm) for mm in rng.uniform(-12, 12, 2))
    centre = (x, y, float(rng.uniform(*centre_z)))
    return _FieldOfView(
        (thickness, pixel, pixel), (slices, rows, columns), centre, bool(rng.random() < 0.2)
    )


def _draw_appearance(rng: np.random.Generator) -> Appearance:
    """Draws a contrast phase, a scanner and the condition of the liver."""
    phase = PHASES_HU[rng.integers(len(PHASES_HU))]
    tissue_hu = np.full(len(Tissue), -1000, dtype=np.float32)
    for tissue, (low, high) in {**ANY_PHASE_HU, **phase}.items():
        tissue_hu[tissue] = rng.uniform(low, high)
    if phase is PHASES_HU[0] and rng.random() < 0.3:
        tissue_hu[Tissue.LIVER] = rng.uniform(*_FATTY_LIVER_HU)
    has_lesions = rng.random() < 0.4
    return Appearance(
        tissue_hu,
        noise_hu=float(rng.uniform(6, 26)),
        blur_px=float(rng.uniform(0.4, 0.9)),
        lesions=int(rng.integers(1, 6)) if has_lesions else 0,
        lesion_hu=float(rng.uniform(-50, 50)),
    )
