"""Small labelled CT cases on disk and a small training configuration, for tests of training."""

from functools import cache
from pathlib import Path

import numpy as np

from models.phantom import Phantom, abdomen
from node.offline.convert import to_nifti

# Slices of 12 mm and pixels of 8 mm render a body in about 40 000 voxels.
SPACING_MM = (12.0, 8.0, 8.0)
SHAPE = (24, 36, 48)

CONFIG = """
patch = [16, 32, 32]
batch = 2
steps = {steps}
seed = 5
save_every = 2
log_every = 2
{more}

[network]
kind = "{kind}"
parameters = {parameters}

[grid]
spacing_mm = [12.0, 12.0, 12.0]
hu_window = [-160.0, 240.0]

[optimiser]
name = "AdamW"
arguments = {{ lr = 3e-3 }}

[validation]
every = {every}
patch = [16, 0, 0]

[[labels]]
name = "Liver"
type = ["10200004", "SCT", "Liver"]
display_rgb = [221, 130, 101]

[[cases]]
folder = "cases"
validation = 0.34
"""
UNET = ("unet", "{ channels = [4, 8], residual_units = 1 }")


def write_cases(folder: Path, seeds: tuple[int, ...] = (1, 2, 3)) -> None:
    """Writes phantoms as `cases/bodyN.nii.gz` and `cases/bodyN_seg.nii.gz`; 1 is the liver."""
    for seed in seeds:
        phantom = _body(seed)
        to_nifti(phantom.volume, folder / "cases" / f"body{seed}.nii.gz")
        to_nifti(phantom.mask.volume.astype(np.uint8), folder / "cases" / f"body{seed}_seg.nii.gz")


@cache
def _body(seed: int) -> Phantom:
    return abdomen(seed, spacing_mm=SPACING_MM, shape=SHAPE)


def write_config(
    path: Path,
    *,
    steps: int = 4,
    network: tuple[str, str] = UNET,
    every: int = 4,
    more: str = "",
) -> Path:
    """Writes a configuration that trains on the folder `cases` beside it."""
    kind, parameters = network
    text = CONFIG.format(steps=steps, kind=kind, parameters=parameters, every=every, more=more)
    path.write_text(text, encoding="utf-8")
    return path
