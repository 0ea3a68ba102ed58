"""A loaded model package: takes a CT volume, returns a mask on its grid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Self

import highdicom as hd
import numpy as np
import torch
from torch import Tensor, nn

from models.devices import select_device
from models.inference.postprocessing import keep_largest, remove_small
from models.inference.prediction import Prediction
from models.inference.preprocessing import prepare, restore
from models.inference.window_agreement import WindowAgreement
from models.manifest import InvalidPackage, ModelSpec
from models.monai_parts import sliding_window_inference
from models.networks.registry import accepts_batches, divisor, load_network, run_padded

Progress = Callable[[float], None]

# Voxels of the windows that the network gets together: limits its memory to a few hundred MB.
_BATCH_VOXELS = 2_500_000


@dataclass(frozen=True)
class Predictor:
    """A package that is ready to run on `device`."""

    spec: ModelSpec
    device: torch.device
    network: nn.Module

    @classmethod
    def load(cls, spec: ModelSpec, device: str = "auto") -> Self:
        """Builds the network and loads its weights; `auto` selects the GPU if there is one.

        Raises:
            InvalidPackage: the weights are missing, have another digest than in the manifest, or
                do not fit the network.
            UnusableDevice: this machine has no such device.
        """
        selected = select_device(device)
        try:
            network = load_network(spec.network, len(spec.labels) + 1, spec.read_weights())
        except InvalidPackage as error:
            raise InvalidPackage(f"{spec.weights.parent}: {error}") from error
        return cls(spec, selected, network.to(selected).eval())

    def predict(self, volume: hd.Volume, progress: Progress | None = None) -> Prediction:
        """Segments `volume` (HU; any orientation) and returns a mask on its grid.

        Calls `progress` with the completed fraction, 0 to 1.
        """
        spec = self.spec
        agreement = WindowAgreement(len(spec.labels) + 1)
        with torch.inference_mode():
            prepared = prepare(volume, spec, self.device)
            scores = infer(self.network, prepared.tensor, spec, progress, agreement)
            mask = restore(scores[0], prepared, spec)
        found = remove_small(keep_largest(mask) if spec.keep_largest else mask)
        return Prediction(
            found.volume, found.labels, agreement.dice(spec.labels, prod(spec.spacing_mm))
        )


def infer(
    network: nn.Module,
    image: Tensor,
    spec: ModelSpec,
    progress: Progress | None = None,
    agreement: WindowAgreement | None = None,
) -> Tensor:
    """Returns the class scores (1, C, Z, Y, X) of `image` (1, 1, Z, Y, X), by sliding window.

    Adds each window to `agreement`.
    """
    sizes = zip(image.shape[2:], spec.patch, strict=True)
    patch = [length or whole for whole, length in sizes]
    total = _window_count(image.shape[2:], patch, spec.overlap)
    multiple = divisor(spec.network)
    done = 0

    def run(window: Tensor, boxes: Sequence[Sequence[slice]]) -> Tensor:
        nonlocal done
        scores = run_padded(network, window, multiple)
        if agreement is not None and total > 1:
            for k, box in enumerate(boxes):  # (image, channels, z, y, x)
                agreement.add(tuple(box[2:]), scores[k : k + 1])
        done += window.shape[0]
        if progress is not None:
            progress(min(1.0, done / total))
        return scores

    scores: Tensor = sliding_window_inference(
        image,
        patch,
        sw_batch_size=_batch_size(total, prod(patch)) if accepts_batches(spec.network) else 1,
        predictor=run,
        overlap=spec.overlap,
        mode="gaussian",
        with_coord=True,
    )
    return scores


def _window_count(shape: tuple[int, ...], patch: list[int], overlap: float) -> int:
    """Returns the number of windows of the sliding-window inference."""
    count = 1
    for length, window in zip(shape, patch, strict=True):
        if length > window:
            step = max(1, int(window * (1 - overlap)))
            count *= int(np.ceil((length - window) / step)) + 1
    return count


def _batch_size(windows: int, window_voxels: int) -> int:
    """Returns how many windows the network gets together.

    For a single window, torch 2.13 uses oneDNN in few layers on a CPU, and takes 1.6 times as long
    for each as for two or three. So no batch should have one window, the last one included.
    """
    size = 2 if windows % 3 == 1 else 3
    return max(1, min(size, _BATCH_VOXELS // window_voxels))
