"""What a phantom is made of, and how bright each tissue is in CT."""

from collections.abc import Mapping
from enum import IntEnum

import numpy as np


class Tissue(IntEnum):
    """A voxel's tissue; later ones are painted over earlier ones only where the anatomy says."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BONE = 4
    MARROW = 5
    LUNG = 6
    LIVER = 7
    SPLEEN = 8
    KIDNEY = 9
    GALLBLADDER = 10
    STOMACH = 11
    PANCREAS = 12
    AORTA = 13
    VENA_CAVA = 14
    PORTAL_VEIN = 15
    HEART = 16
    BOWEL = 17
    GAS = 18
    DISC = 19
    TABLE = 20
    MYOCARDIUM = 21
    STOMACH_GAS = 22
    URINE = 23


class Organ(IntEnum):
    """What a network may be taught to find; sides are the patient's."""

    NONE = 0
    LIVER = 1
    SPLEEN = 2
    KIDNEY_RIGHT = 3
    KIDNEY_LEFT = 4
    GALLBLADDER = 5
    STOMACH = 6
    PANCREAS = 7
    AORTA = 8
    INFERIOR_VENA_CAVA = 9


# The organ that a tissue of a phantom belongs to; the kidneys are told apart by their side.
# Vessels are painted inside the liver alone, and belong to it.
ORGAN_OF: Mapping[Tissue, Organ] = {
    Tissue.LIVER: Organ.LIVER,
    Tissue.PORTAL_VEIN: Organ.LIVER,
    Tissue.SPLEEN: Organ.SPLEEN,
    Tissue.KIDNEY: Organ.KIDNEY_RIGHT,
    Tissue.GALLBLADDER: Organ.GALLBLADDER,
    Tissue.STOMACH: Organ.STOMACH,
    Tissue.STOMACH_GAS: Organ.STOMACH,
    Tissue.PANCREAS: Organ.PANCREAS,
    Tissue.AORTA: Organ.AORTA,
    Tissue.VENA_CAVA: Organ.INFERIOR_VENA_CAVA,
}


# HU from .. to in the portal venous phase: each phantom draws its own level from the range.
PORTAL_VENOUS_HU: Mapping[Tissue, tuple[float, float]] = {
    Tissue.AIR: (-1000, -1000),
    Tissue.SKIN: (-20, 20),
    Tissue.FAT: (-115, -90),
    Tissue.MUSCLE: (50, 70),
    Tissue.BONE: (350, 600),
    Tissue.MARROW: (150, 250),
    Tissue.LUNG: (-870, -780),
    Tissue.LIVER: (90, 125),
    Tissue.SPLEEN: (100, 135),
    Tissue.KIDNEY: (150, 210),
    Tissue.GALLBLADDER: (0, 15),
    Tissue.STOMACH: (15, 50),
    Tissue.PANCREAS: (70, 110),
    Tissue.AORTA: (130, 180),
    Tissue.VENA_CAVA: (110, 160),
    Tissue.PORTAL_VEIN: (145, 190),
    Tissue.HEART: (110, 160),
    Tissue.BOWEL: (20, 90),
    Tissue.GAS: (-980, -900),
    Tissue.DISC: (80, 110),
    Tissue.TABLE: (-250, 150),
    Tissue.MYOCARDIUM: (85, 125),
    Tissue.STOMACH_GAS: (-980, -900),
    Tissue.URINE: (-5, 15),
}


def draw_levels(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The HU of each tissue in one body, indexed by `Tissue`."""
    return np.array([rng.uniform(*PORTAL_VENOUS_HU[t]) for t in Tissue], dtype=np.float32)
