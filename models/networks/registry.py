"""Builds the networks that a manifest can name, and loads their weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional

from models.manifest import InvalidPackage, NetworkSpec
from models.networks.construction import construct
from models.networks.imported import load_imported
from models.networks.swin_unetr import SWIN_DIVISOR, swin_unetr
from models.networks.unet import attention_unet, unet, unet_divisor


@dataclass(frozen=True)
class _Architecture:
    build: Callable[..., nn.Module]
    divisor: Callable[[Mapping[str, Any]], int]


# By the kind that a manifest or a training configuration names.
ARCHITECTURES: Mapping[str, _Architecture] = {
    "unet": _Architecture(unet, unet_divisor),
    "attention-unet": _Architecture(attention_unet, unet_divisor),
    "swin-unetr": _Architecture(swin_unetr, lambda _parameters: SWIN_DIVISOR),
}
# Networks trained elsewhere: `load_imported` builds them; the parameter `multiple` is the divisor.
_IMPORTED = ("torchscript", "onnx", "monai")
# Of these the package's file is the network itself, not weights for one.
_PROGRAMS = ("torchscript", "onnx")


def build(spec: NetworkSpec, classes: int) -> nn.Module:
    """Builds the untrained network that `spec` names; `classes` includes the background.

    Raises:
        InvalidPackage: there is no such network, or its parameters do not fit.
    """
    builder = _architecture(spec).build
    return construct(f"network {spec.kind!r}", builder, {"classes": classes, **spec.parameters})


def load_network(spec: NetworkSpec, classes: int, content: bytes) -> nn.Module:
    """Builds the network that `spec` names and loads the weights of a package's file.

    Raises:
        InvalidPackage: there is no such network, or the file does not fit it.
    """
    if spec.kind not in _IMPORTED:
        network = build(spec, classes)
        _load_weights(network, content)
        return network
    imported = load_imported(spec.kind, spec.parameters, content, classes)
    if spec.kind not in _PROGRAMS:
        _load_weights(imported.inner, content)
    return imported


def divisor(spec: NetworkSpec) -> int:
    """Returns what each length of the network's input must be a multiple of.

    Raises:
        InvalidPackage: there is no such network.
    """
    if spec.kind in _IMPORTED:
        return int(spec.parameters.get("multiple", 1))
    return _architecture(spec).divisor(spec.parameters)


def accepts_batches(spec: NetworkSpec) -> bool:
    """Returns whether the network runs on several images at once.

    A file with a network from elsewhere may be made for one.
    """
    return spec.kind not in _PROGRAMS


def run_padded(network: nn.Module, image: Tensor, multiple: int) -> Tensor:
    """Runs the network on `image` (B, 1, Z, Y, X), padded with air to multiples of `multiple`.

    Returns the scores (B, classes, Z, Y, X) of the image without the padding.
    """
    depth, height, width = image.shape[2:]
    fill = [(0, -length % multiple) for length in (width, height, depth)]
    padded = functional.pad(image, [n for pair in fill for n in pair])
    scores: Tensor = network(padded)[..., :depth, :height, :width]
    return scores


def _architecture(spec: NetworkSpec) -> _Architecture:
    if spec.kind not in ARCHITECTURES:
        known = ", ".join(sorted((*ARCHITECTURES, *_IMPORTED)))
        raise InvalidPackage(f"there is no network {spec.kind!r}; known: {known}")
    return ARCHITECTURES[spec.kind]


def _load_weights(network: nn.Module, content: bytes) -> None:
    """Loads the weights from the bytes of a safetensors file, in float32."""
    try:
        weights: dict[str, Tensor] = load_safetensors(content)
        network.load_state_dict({name: _float32(value) for name, value in weights.items()})
    except (RuntimeError, SafetensorError) as error:
        raise InvalidPackage(f"the file does not fit the network: {error}") from error


def _float32(value: Tensor) -> Tensor:
    return value.float() if value.dtype.is_floating_point else value
