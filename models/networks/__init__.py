"""The networks that packages can name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional

from models.manifest import InvalidPackage, NetworkSpec
from models.networks.attention_unet import attention_unet
from models.networks.imported import foreign
from models.networks.swin_unetr import SWIN_DIVISOR, swin_unetr
from models.networks.unet import unet


@dataclass(frozen=True)
class _Kind:
    build: Callable[..., nn.Module]
    divisor: Callable[[Mapping[str, Any]], int]


def _of_levels(parameters: Mapping[str, Any]) -> int:
    """Each level after the first halves the lengths."""
    return int(2 ** (len(parameters["channels"]) - 1))


_KINDS: Mapping[str, _Kind] = {
    "unet": _Kind(unet, _of_levels),
    "attention-unet": _Kind(attention_unet, _of_levels),
    "swin-unetr": _Kind(swin_unetr, lambda _parameters: SWIN_DIVISOR),
}
# Networks of others: how they are built is in `foreign`; they tell their divisor as `multiple`.
_FOREIGN = ("torchscript", "onnx", "monai")
# Of these the file is the network itself, not weights for one.
_PROGRAMS = ("torchscript", "onnx")


def build(spec: NetworkSpec, classes: int) -> nn.Module:
    """The network that `spec` names, untrained, for `classes` classes with the background.

    Raises:
        InvalidPackage: there is no such network, or not with these parameters.
    """
    try:
        return _kind(spec).build(classes=classes, **spec.parameters)
    except (TypeError, ValueError, AssertionError) as error:
        raise InvalidPackage(f"network {spec.kind!r}: {error}") from error


def load_network(spec: NetworkSpec, classes: int, content: bytes) -> nn.Module:
    """The network that `spec` names with the weights of a package's file.

    Raises:
        InvalidPackage: there is no such network, or the file does not fit it.
    """
    if spec.kind not in _FOREIGN:
        network = build(spec, classes)
        _fill(network, content)
        return network
    theirs = foreign(spec.kind, spec.parameters, content, classes)
    if spec.kind not in _PROGRAMS:
        _fill(theirs.inner, content)
    return theirs


def _fill(network: nn.Module, content: bytes) -> None:
    """Give the network the weights in the bytes of a safetensors file."""
    try:
        weights: dict[str, Tensor] = load_safetensors(content)
        network.load_state_dict({name: _full(value) for name, value in weights.items()})
    except (RuntimeError, SafetensorError) as error:
        raise InvalidPackage(f"the file does not fit the network: {error}") from error


def _full(value: Tensor) -> Tensor:
    return value.float() if value.dtype.is_floating_point else value


def divisor(spec: NetworkSpec) -> int:
    """What each length of the network's input has to be a multiple of.

    Raises:
        InvalidPackage: there is no such network.
    """
    if spec.kind in _FOREIGN:
        return int(spec.parameters.get("multiple", 1))
    return _kind(spec).divisor(spec.parameters)


def run_padded(network: nn.Module, image: Tensor, multiple: int) -> Tensor:
    """The network on `image` (B, 1, Z, Y, X) filled up with air to multiples of `multiple`.

    The scores (B, classes, Z, Y, X) are those of the image alone.
    """
    depth, height, width = image.shape[2:]
    fill = [(0, -length % multiple) for length in (width, height, depth)]
    padded = functional.pad(image, [n for pair in fill for n in pair])
    scores: Tensor = network(padded)[..., :depth, :height, :width]
    return scores


def _kind(spec: NetworkSpec) -> _Kind:
    if spec.kind not in _KINDS:
        known = ", ".join(sorted((*_KINDS, *_FOREIGN)))
        raise InvalidPackage(f"there is no network {spec.kind!r}; known: {known}")
    return _KINDS[spec.kind]
