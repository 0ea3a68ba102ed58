"""3D U-Net with residual units (Çiçek et al. 2016; Kerfoot et al. 2018, as MONAI builds it)."""

from collections.abc import Sequence

from monai.networks.nets import UNet
from torch import nn


def unet(*, classes: int, channels: Sequence[int], residual_units: int) -> nn.Module:
    """One input channel; each level after the first halves the resolution.

    Input (B, 1, Z, Y, X), each length a multiple of `2 ** (len(channels) - 1)`; output logits
    (B, classes, Z, Y, X).
    """
    network: nn.Module = UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        channels=tuple(channels),
        strides=(2,) * (len(channels) - 1),
        num_res_units=residual_units,
        norm="INSTANCE",
    )
    return network
