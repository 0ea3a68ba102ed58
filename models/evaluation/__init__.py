"""Evaluates a model package on labelled CT."""

from models.evaluation.evaluate import CaseScores, Evaluation, LabelScores, Refused, evaluate
from models.evaluation.metrics import Scores, compare

__all__ = ["CaseScores", "Evaluation", "LabelScores", "Refused", "Scores", "compare", "evaluate"]
