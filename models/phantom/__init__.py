"""Phantoms: painted abdomens whose liver is known exactly, for demonstration, tests and training.

No patient's data is in them: every organ is a formula in the patient's coordinates (LPS, mm; the
origin in the middle of the body at the height of the liver), so that a phantom can be sampled on
any grid, of any orientation, and the truth with it.
"""

from models.phantom.abdomen import LIVER, Looks, Phantom, abdomen, paint
from models.phantom.random_scans import head, labelled_scan, lung_apex, pelvis, random_scan
from models.phantom.tissues import Organ

__all__ = [
    "LIVER",
    "Looks",
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
