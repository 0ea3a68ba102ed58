"""3D U-Nets as MONAI builds them: with residual units, and with attention gates.

Input (B, 1, Z, Y, X), each length a multiple of `unet_divisor`; output logits (B, classes, Z, Y,
X). Each level after the first halves the resolution.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from models.monai_parts import networks


def unet(*, classes: int, channels: Sequence[int], residual_units: int) -> nn.Module:
    """U-Net with residual units (Çiçek et al. 2016; Kerfoot et al. 2018)."""
    network: nn.Module = networks.UNet(
        **_levels(classes, channels), num_res_units=residual_units, norm="INSTANCE"
    )
    return network


def attention_unet(*, classes: int, channels: Sequence[int], dropout: float = 0.0) -> nn.Module:
    """Attention U-Net (Oktay et al. 2018): gates weight the features of the skip connections."""
    network: nn.Module = networks.AttentionUnet(**_levels(classes, channels), dropout=dropout)
    return network


def unet_divisor(parameters: Mapping[str, Any]) -> int:
    """Returns what each length of the input must be a multiple of."""
    return int(2 ** (len(parameters["channels"]) - 1))


def _levels(classes: int, channels: Sequence[int]) -> dict[str, Any]:
    return {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": classes,
        "channels": tuple(channels),
        "strides": (2,) * (len(channels) - 1),
    }
