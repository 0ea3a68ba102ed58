"""3D Swin-UNETR: a shifted-window transformer (Hatamizadeh et al. 2022, as MONAI builds it)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from models.monai_parts import networks

# Five levels halve each length.
SWIN_DIVISOR = 32


def swin_unetr(
    *,
    classes: int,
    feature_size: int,
    depths: Sequence[int] = (2, 2, 2, 2),
    heads: Sequence[int] = (3, 6, 12, 24),
) -> nn.Module:
    """Builds a Swin-UNETR with one input channel; `feature_size` is a multiple of 12.

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


class _SwinUnetr(networks.SwinUNETR):  # type: ignore[misc] # MONAI carries no type information
    """MONAI's network, which also accepts an input of 32 × 32 × 32."""

    def forward(self, image: Tensor) -> Tensor:
        """Pads the smallest input with as much air: its lowest level would be a single voxel, over
        which torch does not normalise."""
        if max(image.shape[2:]) > SWIN_DIVISOR:
            scores: Tensor = super().forward(image)
            return scores
        padded_scores: Tensor = super().forward(functional.pad(image, (0, SWIN_DIVISOR)))
        return padded_scores[..., :SWIN_DIVISOR]
