"""The loss: Dice plus cross-entropy, in which each class has its weight."""

import pytest
import torch

from models.training.config import LossConfig
from models.training.losses import build_loss

_CPU = torch.device("cpu")
_CLASSES = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 1, 2)  # (B, 1, Z, Y, X)
_LOGITS = torch.tensor([[0.0, 1.0], [0.5, 0.0]]).reshape(1, 2, 1, 1, 2)  # (B, classes, Z, Y, X)


def _loss(config: LossConfig) -> float:
    return float(build_loss(config, 2, _CPU)(_LOGITS, _CLASSES))


def test_the_loss_is_the_weighted_sum_of_dice_and_cross_entropy() -> None:
    dice, cross_entropy = (
        _loss(LossConfig(dice=1.0, cross_entropy=0.0)),
        _loss(LossConfig(dice=0.0, cross_entropy=1.0)),
    )
    both = _loss(LossConfig(dice=2.0, cross_entropy=3.0))
    assert both == pytest.approx(2 * dice + 3 * cross_entropy)


def test_background_weight_is_short_for_class_weights() -> None:
    short = LossConfig(background_weight=0.2)
    assert _loss(short) == _loss(LossConfig(class_weights=(0.2, 1.0)))
    assert _loss(short) != _loss(LossConfig())
