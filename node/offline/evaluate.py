"""A predictor for evaluations that applies the node's refusals to a model."""

import highdicom as hd

from models.evaluation import Refused
from models.manifest import ModelSpec
from models.mask import Mask
from node.domain.errors import Rejected
from node.pipeline import Segmenter, segment_volume


class NodeSegmenter:
    """A predictor that refuses the input that the node refuses, with the same messages."""

    def __init__(self, predictor: Segmenter) -> None:
        self._predictor = predictor

    @property
    def spec(self) -> ModelSpec:
        """The specification of the model package."""
        return self._predictor.spec

    def predict(self, volume: hd.Volume) -> Mask:
        """Returns the mask that the node would deliver.

        Raises:
            Refused: the node rejects the volume.
        """
        try:
            return segment_volume(volume, self._predictor).mask
        except Rejected as reason:
            raise Refused(str(reason)) from reason
