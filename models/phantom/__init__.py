"""Digital CT phantoms with exact ground truth, for demonstration, tests and training.

Phantoms contain no patient data. Every organ is a formula in patient coordinates (LPS, mm; the
origin is the centre of the body at the height of the liver), so that a phantom and its ground truth
can be sampled on any grid of any orientation.
"""

from models.phantom.abdomen import LIVER, Appearance, Phantom, abdomen, paint
from models.phantom.random_scans import head, labelled_scan, lung_apex, pelvis, random_scan
from models.phantom.tissues import Organ

__all__ = [
    "LIVER",
    "Appearance",
    "Organ",
    "Phantom",
    "abdomen",
    "head",
    "labelled_scan",
    "lung_apex",
    "paint",
    "pelvis",
    "random_scan",
]
