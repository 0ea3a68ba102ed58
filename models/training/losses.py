"""The loss of a training: Dice plus weighted cross-entropy."""

import torch
from monai.losses import DiceCELoss
from torch import nn

from models.training.config import LossConfig


def build_loss(config: LossConfig, classes: int, device: torch.device) -> nn.Module:
    """Builds the loss of logits (B, classes, Z, Y, X) against class indices (B, 1, Z, Y, X).

    `classes` includes the background. The Dice term is computed over the whole batch, and leaves
    the background out unless `include_background` is set. The cross-entropy term weights each
    class; without `class_weights` an organ counts 1 and the background `background_weight`.
    """
    weights = config.class_weights or (config.background_weight, *[1.0] * (classes - 1))
    loss: nn.Module = DiceCELoss(
        to_onehot_y=True,
        softmax=True,
        include_background=config.include_background,
        batch=True,
        weight=None if set(weights) == {1.0} else torch.tensor(weights, device=device),
        lambda_dice=config.dice,
        lambda_ce=config.cross_entropy,
    )
    return loss
