"""Reads labelled CT from disk, in the common layouts of data sets."""

from models.data.case import Case, InvalidDataset, LabelledVolume, ReadSeries, load_case
from models.data.layouts import LAYOUTS, DataSet, find_cases

__all__ = [
    "LAYOUTS",
    "Case",
    "DataSet",
    "InvalidDataset",
    "LabelledVolume",
    "ReadSeries",
    "find_cases",
    "load_case",
]
