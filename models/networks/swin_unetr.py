"""3D Swin-UNETR: a transformer of shifted windows (Hatamizadeh et al. 2022, as MONAI builds it)."""

from collections.abc import Sequence

from monai.networks.nets import SwinUNETR
from torch import Tensor, nn
from torch.nn import functional

# Five levels, each of which halves the lengths.
SWIN_DIVISOR = 32


def swin_unetr(
    *,
    classes: int,
    feature_size: int,
    depths: Sequence[int] = (2, 2, 2, 2),
    heads: Sequence[int] = (3, 6, 12, 24),
) -> nn.Module:
    """One input channel; `feature_size` a multiple of 12.

    Input (B, 1, Z, Y, X), each length a multiple of 32; output logits (B, classes, Z, Y, X).
    """
    network: nn.Module = _SwinUnetr(
        in_channels=1,
        out_channels=classes,
        feature_size=feature_size,
        depths=tuple(depths),
        num_heads=tuple(heads),
        spatial_dims=3,
    )
    return network


class _SwinUnetr(SwinUNETR):  # type: ignore[misc] # MONAI carries no type information
    """MONAI's, which also takes the smallest input there is."""

    def forward(self, image: Tensor) -> Tensor:
        """At the lowest level the smallest input is one place, over which torch does not
        normalise; with as much air beside it there are two."""
        if max(image.shape[2:]) > SWIN_DIVISOR:
            scores: Tensor = super().forward(image)
            return scores
        widened: Tensor = super().forward(functional.pad(image, (0, SWIN_DIVISOR)))
        return widened[..., :SWIN_DIVISOR]
