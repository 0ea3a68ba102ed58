"""The search for better settings of a training."""

from models.tuning.search_space import InvalidSearch, Search, load_search
from models.tuning.study import Tuning, open_study, tune

__all__ = ["InvalidSearch", "Search", "Tuning", "load_search", "open_study", "tune"]
