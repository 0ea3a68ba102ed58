"""Searches for better hyperparameters of a training."""

from models.tuning.search_space import InvalidSearchSpace, SearchSpace, load_search_space
from models.tuning.study import Tuning, open_study, tune

__all__ = ["InvalidSearchSpace", "SearchSpace", "Tuning", "load_search_space", "open_study", "tune"]
