"""A model as the node runs it, for an evaluation: with the node's refusals."""

import highdicom as hd

from models.evaluation import Refused
from models.manifest import ModelSpec
from models.mask import Mask
from node.domain.errors import Rejected
from node.pipeline import Segmenter, segment_volume


class AsTheNode:
    """A predictor that refuses what the node refuses, in the node's words."""

    def __init__(self, predictor: Segmenter) -> None:
        self._predictor = predictor

    @property
    def spec(self) -> ModelSpec:
        """The package."""
        return self._predictor.spec

    def predict(self, volume: hd.Volume) -> Mask:
        """The mask that the node would deliver.

        Raises:
            Refused: the node delivers none.
        """
        try:
            return segment_volume(volume, self._predictor).mask
        except Rejected as reason:
            raise Refused(str(reason)) from reason
