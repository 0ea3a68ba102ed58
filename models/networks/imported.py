"""Networks that others trained, made to take and give what ours do.

Each is told in the package's manifest how it wants its input: `axes` "zyx" as here or "xyz" (NIfTI
in RAS), `input_range` what 0 and 1 become, and `output` "softmax" (a score for each class, the
background first) or "sigmoid" (a score for each organ alone).
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import monai.networks.nets as monai_networks
import torch
from torch import Tensor, nn

from models.manifest import InvalidPackage

# Networks of MONAI that segment: nothing else is built by name.
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


class Foreign(nn.Module):
    """`inner` behind our own axes, range and classes."""

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
        self._turned = axes == "xyz"
        self._low, self._high = (float(end) for end in input_range)
        self._single = output == "sigmoid"

    def forward(self, image: Tensor) -> Tensor:
        """Scores (B, classes, Z, Y, X) of `image` (B, 1, Z, Y, X) in 0..1."""
        image = image * (self._high - self._low) + self._low
        if self._turned:
            image = image.permute(0, 1, 4, 3, 2).contiguous()
        scores = self.inner(image)
        if isinstance(scores, list | tuple):  # deep supervision: the first is the full resolution
            scores = scores[0]
        if self._turned:
            scores = scores.permute(0, 1, 4, 3, 2)
        if self._single:
            scores = torch.cat([torch.zeros_like(scores[:, :1]), scores], dim=1)
        contiguous: Tensor = scores.contiguous()
        return contiguous


class _Onnx(nn.Module):
    """A network in ONNX, run by onnxruntime."""

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
        except Exception as error:  # its exceptions have no common public class
            raise InvalidPackage(f"it is no ONNX model: {error}") from error
        self._input = self._session.get_inputs()[0].name

    def forward(self, image: Tensor) -> Tensor:
        """Scores of `image`, on its device."""
        got = self._session.run(None, {self._input: image.float().cpu().numpy()})[0]
        return torch.from_numpy(got).to(image.device)


def foreign(kind: str, parameters: Mapping[str, Any], content: bytes, classes: int) -> Foreign:
    """The network of a `torchscript`, `onnx` or `monai` package, whose file is `content`.

    A `monai` network has no weights yet.

    Raises:
        InvalidPackage: the file is none of its kind, or a parameter makes no sense.
    """
    match kind:
        case "torchscript":
            inner = _torchscript(content)
        case "onnx":
            inner = _Onnx(content)
        case _:
            inner = _monai(parameters, classes)
    return Foreign(
        inner,
        axes=str(parameters.get("axes", "zyx")),
        input_range=parameters.get("input_range", (0.0, 1.0)),
        output=str(parameters.get("output", "softmax")),
    )


def _torchscript(content: bytes) -> nn.Module:
    """TorchScript is a language of its own: what is loaded cannot run Python, nor touch files."""
    try:
        with warnings.catch_warnings():
            # torch calls it deprecated, and there are still many models in it.
            warnings.simplefilter("ignore", DeprecationWarning)
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call] # torch's own
                io.BytesIO(content), map_location="cpu"
            )
    except RuntimeError as error:
        raise InvalidPackage(f"it is no TorchScript: {error}") from error
    return module


def _monai(parameters: Mapping[str, Any], classes: int) -> nn.Module:
    name, arguments = parameters.get("name"), dict(parameters.get("arguments", {}))
    if name not in MONAI_NETWORKS:
        known = ", ".join(MONAI_NETWORKS)
        raise InvalidPackage(f"MONAI's network {name!r} is not run here; known: {known}")
    outputs = arguments.get("out_channels", classes)
    single = parameters.get("output") == "sigmoid"
    if outputs != (classes - 1 if single else classes):
        raise InvalidPackage(f"the network gives {outputs} scores; the labels ask for {classes}")
    try:
        module: nn.Module = getattr(monai_networks, str(name))(**arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise InvalidPackage(f"MONAI's {name}: {error}") from error
    return module
