"""Inference by sliding window, with the network of a shipped model."""

from functools import partial

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor

from models.inference.predictor import Predictor, infer
from models.inference.preprocessing import Prepared, prepare
from models.inference.window_agreement import WindowAgreement
from models.networks.registry import divisor, run_padded
from node.dicom.ct.reader import read_series
from tests.bench.processing.work import Inputs, Work, nearest

# As in the bundles of MONAI's model zoo.
_MONAI_BATCH = 4


def by_segnode(inputs: Inputs) -> Work[Tensor]:
    """Infers as a job does, which also compares the windows with each other."""
    predictor, prepared = _loaded(inputs)
    spec = predictor.spec

    def run() -> Tensor:
        agreement = WindowAgreement(len(spec.labels) + 1)
        with torch.inference_mode():
            return infer(predictor.network, prepared.tensor, spec, None, agreement)

    return Work(run, partial(_classes_at, inputs, prepared))


def by_monai(inputs: Inputs) -> Work[Tensor]:
    """Infers with the same network, windows and overlap."""
    predictor, prepared = _loaded(inputs)
    spec = predictor.spec
    sizes = zip(prepared.tensor.shape[2:], spec.patch, strict=True)
    window = [length or whole for whole, length in sizes]
    inferer = SlidingWindowInferer(window, _MONAI_BATCH, spec.overlap, mode="gaussian")

    def network(windows: Tensor) -> Tensor:
        return run_padded(predictor.network, windows, divisor(spec.network))

    def run() -> Tensor:
        with torch.inference_mode():
            scores = inferer(prepared.tensor, network)
        assert isinstance(scores, Tensor)
        return scores

    return Work(run, partial(_classes_at, inputs, prepared))


def _loaded(inputs: Inputs) -> tuple[Predictor, Prepared]:
    predictor = Predictor.load(inputs.spec, "cpu")
    return predictor, prepare(read_series(inputs.images).volume, predictor.spec)


def _classes_at(inputs: Inputs, prepared: Prepared, scores: Tensor) -> np.ndarray:
    return nearest(scores[0].argmax(dim=0).numpy(), prepared.affine, inputs.positions)
