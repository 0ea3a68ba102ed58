"""3D Attention U-Net (Oktay et al. 2018, as MONAI builds it)."""

from collections.abc import Sequence

from monai.networks.nets import AttentionUnet
from torch import nn


def attention_unet(*, classes: int, channels: Sequence[int], dropout: float = 0.0) -> nn.Module:
    """One input channel; gates weigh what is passed across, each level halves the resolution.

    Input (B, 1, Z, Y, X), each length a multiple of `2 ** (len(channels) - 1)`; output logits
    (B, classes, Z, Y, X).
    """
    network: nn.Module = AttentionUnet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        channels=tuple(channels),
        strides=(2,) * (len(channels) - 1),
        dropout=dropout,
    )
    return network
