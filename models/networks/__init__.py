"""The networks that packages can name."""

from collections.abc import Callable, Mapping

from torch import nn

from models.networks.unet import unet
from models.spec import InvalidPackage, NetworkSpec

_KINDS: Mapping[str, Callable[..., nn.Module]] = {"unet": unet}


def build(spec: NetworkSpec, classes: int) -> nn.Module:
    """The network that `spec` names, untrained, for `classes` classes with the background.

    Raises:
        InvalidPackage: there is no such network, or not with these parameters.
    """
    if spec.kind not in _KINDS:
        known = ", ".join(sorted(_KINDS))
        raise InvalidPackage(f"there is no network {spec.kind!r}; known: {known}")
    try:
        return _KINDS[spec.kind](classes=classes, **spec.parameters)
    except (TypeError, ValueError) as error:
        raise InvalidPackage(f"network {spec.kind!r}: {error}") from error
