"""What programs are given and what they do, in the form in which they are compared."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from models.installed_packages import find
from models.manifest import ModelSpec
from tests.bench.process_cost import peak_mib

_Result = TypeVar("_Result")
_POSITIONS = 20_000
# Far enough from the edge of the CT that the treatment of edges does not matter.
_REACH_MM = 100.0


@dataclass(frozen=True)
class Inputs:
    """The series in `folder / "ct"`, and the mask of its liver in two formats."""

    folder: Path

    @property
    def ct(self) -> Path:
        """The folder of the CT images."""
        return self.folder / "ct"

    @property
    def images(self) -> list[Path]:
        """The CT images, from feet to head."""
        return sorted(self.ct.glob("*.dcm"))

    @property
    def mask_voxels(self) -> Path:
        """The mask as uint8 (slice, row, column), for numpy."""
        return self.folder / "mask.npy"

    @property
    def mask_image(self) -> Path:
        """The same mask as an image with its position in the patient, for ITK."""
        return self.folder / "mask.nrrd"

    @property
    def spec(self) -> ModelSpec:
        """The model whose input and windows are measured."""
        return find("liver-ct")

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Positions (LPS, mm) in the middle of the CT at which results are compared: (n, 3)."""
        return np.random.default_rng(1).uniform(-_REACH_MM, _REACH_MM, (_POSITIONS, 3))


@dataclass(frozen=True)
class Work(Generic[_Result]):
    """What one program does: `run` is measured.

    `values_of` returns the values of a result at the positions of the input. `peak_mib` is the
    peak of resident memory of the program, by default that of this process.
    """

    run: Callable[[], _Result]
    values_of: Callable[[_Result], NDArray[np.float64]]
    peak_mib: Callable[[], float] = lambda: peak_mib(os.getpid())


def nearest(
    array: NDArray[np.generic], affine: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the values of the voxels nearest to positions; the affine maps indices to them."""
    to_index = np.linalg.inv(affine)
    indices = np.rint(positions @ to_index[:3, :3].T + to_index[:3, 3]).astype(np.intp)
    found: NDArray[np.float64] = array[tuple(indices.T)].astype(np.float64)
    return found


def nearest_in(volume: hd.Volume, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the values of the voxels of a volume that are nearest to positions."""
    return nearest(volume.array, volume.affine, positions)
