"""Constructs a network from the parameters of a manifest."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from models.manifest import InvalidPackage


def construct(
    name: str, builder: Callable[..., nn.Module], parameters: Mapping[str, Any]
) -> nn.Module:
    """Calls `builder` with `parameters`.

    Raises:
        InvalidPackage: the parameters do not fit; the message starts with `name`.
    """
    try:
        return builder(**parameters)
    except (TypeError, ValueError, AssertionError) as error:
        raise InvalidPackage(f"{name}: {error}") from error
