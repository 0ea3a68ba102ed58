"""A model package, loaded once and kept warm: a CT volume in, a mask on its grid out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import highdicom as hd
import numpy as np
import torch
from monai.inferers import sliding_window_inference
from scipy import ndimage
from torch import Tensor, nn

from models.devices import device_named
from models.manifest import InvalidPackage, ModelSpec
from models.mask import Mask
from models.networks import divisor, load_network, run_padded
from models.preprocessing import prepare, restore

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Predictor:
    """A package ready to run on `device`."""

    spec: ModelSpec
    device: torch.device
    network: nn.Module

    @classmethod
    def load(cls, spec: ModelSpec, device: str = "auto") -> Self:
        """Build the network and load its weights, on the GPU when `auto` finds one.

        Raises:
            InvalidPackage: the weights are missing, are not those of the manifest, or do not fit.
            UnusableDevice: this machine has no such device.
        """
        on = device_named(device)
        try:
            network = load_network(spec.network, len(spec.labels) + 1, spec.read_weights())
        except InvalidPackage as error:
            raise InvalidPackage(f"{spec.weights.parent}: {error}") from error
        return cls(spec, on, network.to(on).eval())

    def predict(self, volume: hd.Volume, progress: Progress | None = None) -> Mask:
        """The organs of `volume` (HU; any orientation), as a mask on its grid.

        `progress` is told the fraction done, 0 to 1.
        """
        with torch.inference_mode():
            prepared = prepare(volume, self.spec, self.device)
            scores = infer(self.network, prepared.tensor, self.spec, progress)
            mask = restore(scores[0], prepared, self.spec)
        return without_small(keep_largest(mask) if self.spec.keep_largest else mask)


def infer(
    network: nn.Module, image: Tensor, spec: ModelSpec, progress: Progress | None = None
) -> Tensor:
    """Class scores (1, C, Z, Y, X) of `image` (1, 1, Z, Y, X), patch by overlapping patch."""
    sizes = zip(image.shape[2:], spec.patch, strict=True)
    patch = [length or whole for whole, length in sizes]
    total = _window_count(image.shape[2:], patch, spec.overlap)
    multiple = divisor(spec.network)
    done = 0

    def run(window: Tensor) -> Tensor:
        nonlocal done
        scores = run_padded(network, window, multiple)
        done += window.shape[0]
        if progress is not None:
            progress(min(1.0, done / total))
        return scores

    scores: Tensor = sliding_window_inference(
        image, patch, sw_batch_size=1, predictor=run, overlap=spec.overlap, mode="gaussian"
    )
    return scores


def _window_count(shape: tuple[int, ...], patch: list[int], overlap: float) -> int:
    """How many windows the sliding window takes."""
    count = 1
    for length, window in zip(shape, patch, strict=True):
        if length > window:
            step = max(1, int(window * (1 - overlap)))
            count *= int(np.ceil((length - window) / step)) + 1
    return count


def keep_largest(mask: Mask) -> Mask:
    """For each label, its largest connected part (faces, edges and corners connect)."""
    kept = np.zeros_like(mask.volume.array)
    for label in mask.labels:
        inside = mask.of(label)
        boxes = ndimage.find_objects(inside.astype(np.uint8))
        if not boxes or boxes[0] is None:
            continue
        box = boxes[0]
        parts, count = ndimage.label(inside[box], structure=np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0  # the background
        kept[box][parts == sizes.argmax()] = label.index
    return Mask(mask.volume.with_array(kept), mask.labels)


def without_small(mask: Mask) -> Mask:
    """The mask without organs smaller than their label believes: what is left there is no organ."""
    voxel_ml = float(mask.volume.voxel_volume) / 1000
    kept = mask.volume.array.copy()
    for label in mask.labels:
        inside = mask.of(label)
        if np.count_nonzero(inside) * voxel_ml < label.min_volume_ml:
            kept[inside] = 0
    return Mask(mask.volume.with_array(kept), mask.labels)
