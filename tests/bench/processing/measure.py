"""The stages of a job beside SimpleITK, plain MONAI and dcmqi, in alternation.

Each program gets a process of its own in each round. Its times count only if it finds the same as
segnode.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import SimpleITK
from rich.table import Table

from models.phantom import abdomen
from node.dicom.ct_writer import write_ct_series
from tests.bench.measurements import Measurement
from tests.bench.processing.encoding import dcmqi_program
from tests.bench.processing.reading import image_of
from tests.bench.processing.work import Inputs
from tests.bench.receivers import SEGNODE

_SIMPLEITK, _MONAI, _DCMQI = "SimpleITK", "MONAI", "dcmqi"
_STAGES = {
    "reading": (SEGNODE, _SIMPLEITK, _MONAI),
    "resampling": (SEGNODE, _SIMPLEITK, _MONAI),
    "windows": (SEGNODE, _MONAI),
    "encoding": (SEGNODE, _DCMQI),
}
# By stage: how much two values may differ, and how many of them may differ more. Interpolation
# and sums in another order round differently.
_TOLERANCES = {
    "reading": (0.0, 0.0),
    "resampling": (1e-3, 0.0),
    "windows": (0.0, 1e-3),
    "encoding": (0.0, 0.0),
}
_SECONDS, _MEMORY = "s", "MiB at most"
_WARM_UP_SLICES = 40
_EXTENT_MM = 800.0
_PATIENCE_S = 600.0


class Disagreement(RuntimeError):
    """A program finds something else than segnode, so that its time says nothing."""


def measure_processing(folder: Path, slices: int, rounds: int) -> list[Measurement]:
    """Makes a series of so many slices; runs each stage by each program, once in each round.

    Raises:
        Disagreement: the results of two programs differ.
    """
    make_inputs(Inputs(folder), slices)
    make_inputs(Inputs(folder / "warm-up"), _WARM_UP_SLICES)
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for stage, programs in _STAGES.items():
            expected = None
            for program in filter(_is_installed, programs):
                seconds, peak_mib, found = _run(stage, program, folder)
                values[program, stage, _SECONDS].append(seconds)
                values[program, stage, _MEMORY].append(peak_mib)
                expected = found if expected is None else expected
                check_agreement(stage, program, found, expected)
    return [
        Measurement(program, f"{stage}, {unit}", unit, tuple(found), higher_is_better=False)
        for (program, stage, unit), found in values.items()
    ]


def make_inputs(inputs: Inputs, slices: int) -> None:
    """Writes a CT of 512 x 512 pixels and the mask of its liver."""
    spacing_mm = (_EXTENT_MM / slices, 0.75, 0.75)
    phantom = abdomen(seed=4, shape=(slices, 512, 512), spacing_mm=spacing_mm)
    write_ct_series(phantom.volume, inputs.ct, seed=slices)
    (liver,) = (label for label in phantom.mask.labels if label.name == "Liver")
    voxels = phantom.mask.of(liver).astype(np.uint8)
    np.save(inputs.mask_voxels, voxels)
    mask = hd.Volume(voxels, phantom.volume.affine, coordinate_system="PATIENT")
    SimpleITK.WriteImage(image_of(mask), str(inputs.mask_image))


def check_agreement(stage: str, program: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Checks that a program has found what segnode has.

    Raises:
        Disagreement: it has not.
    """
    difference, part = _TOLERANCES[stage]
    other = float(np.mean(np.abs(found - expected) > difference))
    if other > part:
        raise Disagreement(f"{stage}: {program} differs from {SEGNODE} in {other:.2%} of values")


def _is_installed(program: str) -> bool:
    return program != _DCMQI or dcmqi_program() is not None


def _run(stage: str, program: str, folder: Path) -> tuple[float, float, np.ndarray]:
    """Returns the seconds, the peak of memory in MiB, and the values at the positions."""
    module = ["-W", "ignore", "-m", "tests.bench.processing.child"]
    command = [sys.executable, *module, stage, program.lower(), str(folder)]
    done = subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{stage} by {program} failed: {done.stderr.decode()}")
    figures = json.loads(done.stdout.splitlines()[-1])
    return figures["seconds"], figures["peak_mib"], np.load(folder / "values.npy")


def processing_table(measurements: Sequence[Measurement]) -> Table:
    """Returns medians with their spread, and the ratio of each program's time to segnode's."""
    table = Table("Stage", "Program", "Seconds", "Spread", "Ratio to segnode", "MiB")
    found = {(each.subject, each.figure): each for each in measurements}
    for stage, programs in _STAGES.items():
        for program in programs:
            time_s = found.get((program, f"{stage}, {_SECONDS}"))
            if time_s is None:
                continue
            table.add_row(
                stage,
                program,
                f"{time_s.median:.2f}",
                f"{time_s.spread:.0%}",
                f"{time_s.median / found[SEGNODE, f'{stage}, {_SECONDS}'].median:.2f}",
                f"{found[program, f'{stage}, {_MEMORY}'].median:.0f}",
                style="bold" if program == SEGNODE else None,
            )
    return table
