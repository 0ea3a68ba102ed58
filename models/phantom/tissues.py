"""The tissues and organs of a phantom, and the HU of each tissue in CT."""

from collections.abc import Mapping
from enum import IntEnum

import numpy as np

Range = tuple[float, float]


class Tissue(IntEnum):
    """The tissue of a voxel; the values do not define the order of painting."""

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
    BRAIN = 24


class Organ(IntEnum):
    """An organ that a network can segment; left and right are the patient's."""

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


# The organ that a tissue of a phantom belongs to; the side of a kidney follows from its position.
# The portal vein is painted inside the liver only and belongs to it.
ORGAN_OF_TISSUE: Mapping[Tissue, Organ] = {
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


# HU ranges (low, high) in the portal venous phase; each phantom draws its own HU from the range.
PORTAL_VENOUS_HU: Mapping[Tissue, Range] = {
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
    Tissue.BRAIN: (25, 45),
}

# HU ranges (low, high) by contrast phase; tissues without contrast are in ANY_PHASE_HU.
ANY_PHASE_HU: Mapping[Tissue, Range] = {
    Tissue.SKIN: (-40, 40),
    Tissue.FAT: (-125, -80),
    Tissue.MUSCLE: (30, 80),
    Tissue.BONE: (180, 500),
    Tissue.MARROW: (100, 280),
    Tissue.LUNG: (-900, -650),
    Tissue.GALLBLADDER: (-5, 30),
    Tissue.STOMACH: (-30, 110),
    Tissue.STOMACH_GAS: (-1000, -850),
    Tissue.BOWEL: (-40, 110),
    Tissue.GAS: (-1000, -850),
    Tissue.URINE: (-5, 60),
    Tissue.BRAIN: (25, 45),
    Tissue.DISC: (50, 130),
    Tissue.TABLE: (-600, 300),
}
PHASES_HU: tuple[Mapping[Tissue, Range], ...] = (
    {  # unenhanced
        Tissue.LIVER: (25, 75),
        Tissue.SPLEEN: (35, 60),
        Tissue.KIDNEY: (20, 45),
        Tissue.PANCREAS: (15, 50),
        Tissue.AORTA: (30, 55),
        Tissue.VENA_CAVA: (30, 55),
        Tissue.PORTAL_VEIN: (25, 60),
        Tissue.HEART: (30, 60),
        Tissue.MYOCARDIUM: (30, 60),
    },
    {  # arterial
        Tissue.LIVER: (45, 100),
        Tissue.SPLEEN: (80, 170),
        Tissue.KIDNEY: (100, 230),
        Tissue.PANCREAS: (60, 130),
        Tissue.AORTA: (180, 400),
        Tissue.VENA_CAVA: (40, 140),
        Tissue.PORTAL_VEIN: (50, 150),
        Tissue.HEART: (90, 320),
        Tissue.MYOCARDIUM: (60, 130),
    },
    {  # portal venous
        Tissue.LIVER: (75, 150),
        Tissue.SPLEEN: (85, 160),
        Tissue.KIDNEY: (130, 260),
        Tissue.PANCREAS: (55, 120),
        Tissue.AORTA: (110, 220),
        Tissue.VENA_CAVA: (90, 200),
        Tissue.PORTAL_VEIN: (110, 220),
        Tissue.HEART: (85, 200),
        Tissue.MYOCARDIUM: (80, 150),
    },
)


def draw_tissue_hu(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Draws the HU of each tissue in one body, indexed by `Tissue`."""
    return np.array([rng.uniform(*PORTAL_VENOUS_HU[t]) for t in Tissue], dtype=np.float32)
