"""Adapts networks that were trained elsewhere to the input and output of this project's networks.

The manifest describes what each expects: `axes` is "zyx" as here or "xyz" (NIfTI in RAS),
`input_range` the values for 0 and 1, and `output` "softmax" (a score for each class, the background
first) or "sigmoid" (a score for each organ, without the background).
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.manifest import InvalidPackage
from models.monai_parts import networks as monai_networks
from models.networks.construction import construct

# The segmentation networks of MONAI; no other class is built by name.
MONAI_NETWORKS = (
    "AttentionUnet",
    "BasicUNet",
    "BasicUNetPlusPlus",
    "DynUNet",
    "HighResNet",
    "SegResNet",
    "SegResNetDS",
    "SegResNetVAE",
    "SwinUNETR",
    "UNETR",
    "UNet",
    "VNet",
)


class ImportedNetwork(nn.Module):
    """Runs `inner` with the axes, value range and classes of this project's networks."""

    def __init__(
        self,
        inner: nn.Module,
        axes: str,
        input_range: Sequence[float],
        output: str,
    ) -> None:
        super().__init__()
        self.inner = inner
        if axes not in ("zyx", "xyz"):
            raise InvalidPackage(f'network axes must be "zyx" or "xyz", not {axes!r}')
        if output not in ("softmax", "sigmoid"):
            raise InvalidPackage(f'network output must be "softmax" or "sigmoid", not {output!r}')
        self._is_xyz = axes == "xyz"
        self._low, self._high = (float(bound) for bound in input_range)
        self._is_sigmoid = output == "sigmoid"

    def forward(self, image: Tensor) -> Tensor:
        """Returns scores (B, classes, Z, Y, X) of `image` (B, 1, Z, Y, X), values in 0..1."""
        image = image * (self._high - self._low) + self._low
        if self._is_xyz:
            image = image.permute(0, 1, 4, 3, 2).contiguous()
        scores = self.inner(image)
        if isinstance(scores, list | tuple):  # deep supervision: the first is the full resolution
            scores = scores[0]
        if self._is_xyz:
            scores = scores.permute(0, 1, 4, 3, 2)
        if self._is_sigmoid:
            scores = torch.cat([torch.zeros_like(scores[:, :1]), scores], dim=1)
        contiguous: Tensor = scores.contiguous()
        return contiguous


class _Onnx(nn.Module):
    """Runs an ONNX network with onnxruntime."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise InvalidPackage(
                "an ONNX package needs onnxruntime: pip install onnxruntime"
            ) from error
        try:
            self._session = onnxruntime.InferenceSession(
                content, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # onnxruntime's exceptions have no common public class
            raise InvalidPackage(f"it is not an ONNX model: {error}") from error
        self._input = self._session.get_inputs()[0].name

    def forward(self, image: Tensor) -> Tensor:
        """Returns the scores of `image`, on its device."""
        scores = self._session.run(None, {self._input: image.float().cpu().numpy()})[0]
        return torch.from_numpy(scores).to(image.device)


def load_imported(
    kind: str, parameters: Mapping[str, Any], content: bytes, classes: int
) -> ImportedNetwork:
    """Loads the network of a `torchscript`, `onnx` or `monai` package from the file `content`.

    A `monai` network is built without weights.

    Raises:
        InvalidPackage: the file has another format, or a parameter is invalid.
    """
    match kind:
        case "torchscript":
            inner = _torchscript(content)
        case "onnx":
            inner = _Onnx(content)
        case _:
            inner = _monai(parameters, classes)
    return ImportedNetwork(
        inner,
        axes=str(parameters.get("axes", "zyx")),
        input_range=parameters.get("input_range", (0.0, 1.0)),
        output=str(parameters.get("output", "softmax")),
    )


def _torchscript(content: bytes) -> nn.Module:
    """Loads a TorchScript file; its code can neither run Python nor access files."""
    try:
        with warnings.catch_warnings():
            # torch deprecates TorchScript, but many models are still published in it.
            warnings.simplefilter("ignore", DeprecationWarning)
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call] # torch's own
                io.BytesIO(content), map_location="cpu"
            )
    except RuntimeError as error:
        raise InvalidPackage(f"it is not a TorchScript file: {error}") from error
    return module


def _monai(parameters: Mapping[str, Any], classes: int) -> nn.Module:
    name, arguments = parameters.get("name"), dict(parameters.get("arguments", {}))
    if name not in MONAI_NETWORKS:
        known = ", ".join(MONAI_NETWORKS)
        raise InvalidPackage(f"MONAI's network {name!r} is not run here; known: {known}")
    outputs = arguments.get("out_channels", classes)
    without_background = parameters.get("output") == "sigmoid"
    if outputs != (classes - 1 if without_background else classes):
        raise InvalidPackage(f"the network gives {outputs} scores; the labels ask for {classes}")
    return construct(f"MONAI's {name}", getattr(monai_networks, str(name)), arguments)
