"""A model package's manifest: what the model finds, in what it was trained, and its weights."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


class InvalidPackage(Exception):
    """A model package cannot be used; the message names its file and what is wrong."""


@dataclass(frozen=True)
class Code:
    """A coded concept (PS3.3 8): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One organ that a model finds: `index` is its value in a mask, from 1."""

    index: int
    name: str
    category: Code
    type: Code
    display_rgb: tuple[int, int, int]


@dataclass(frozen=True)
class NetworkSpec:
    """Which network, and the arguments it is built with."""

    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ModelSpec:
    """A model package. Axes are those of the network's grid, from head-foot to left-right:
    (z, y, x); lengths in mm, `hu_window` in HU, `min_volume_ml` in mL.

    A `patch` length of 0 means the whole axis; `patch = (65, 0, 0)` is the original recipe of
    65 slices at a time. `overlap` is the fraction of a patch shared with its neighbour.
    """

    model_id: str
    version: str
    title: str
    manufacturer: str
    intended_use: str
    network: NetworkSpec
    labels: tuple[Label, ...]
    spacing_mm: tuple[float, float, float]
    hu_window: tuple[float, float]
    patch: tuple[int, int, int]
    overlap: float
    keep_largest: bool
    min_slices: int
    min_extent_mm: float
    min_volume_ml: float
    weights: Path
    weights_sha256: str

    @classmethod
    def load(cls, manifest: Path) -> Self:
        """Read `model.toml`.

        Raises:
            InvalidPackage: it is missing, is no TOML, or a value in it is absent or wrong.
        """
        try:
            table = tomllib.loads(manifest.read_text(encoding="utf-8"))
            spec = cls(
                model_id=_text(table, "model_id"),
                version=_text(table, "version"),
                title=_text(table, "title"),
                manufacturer=_text(table, "manufacturer"),
                intended_use=_text(table, "intended_use"),
                network=NetworkSpec(
                    _text(table["network"], "kind"), table["network"]["parameters"]
                ),
                labels=tuple(_label(row) for row in table["labels"]),
                spacing_mm=_three(table, "spacing_mm"),
                hu_window=(float(table["hu_window"][0]), float(table["hu_window"][1])),
                patch=tuple(int(n) for n in _three(table, "patch")),  # type: ignore[arg-type]
                overlap=float(table["overlap"]),
                keep_largest=bool(table["keep_largest"]),
                min_slices=int(table["min_slices"]),
                min_extent_mm=float(table["min_extent_mm"]),
                min_volume_ml=float(table["min_volume_ml"]),
                weights=manifest.parent / _text(table["weights"], "file"),
                weights_sha256=_text(table["weights"], "sha256"),
            )
        except OSError as error:
            raise InvalidPackage(f"{manifest}: {error.strerror}") from error
        except tomllib.TOMLDecodeError as error:
            raise InvalidPackage(f"{manifest}: {error}") from error
        except KeyError as error:
            raise InvalidPackage(f"{manifest}: {error.args[0]} is missing") from error
        except (TypeError, ValueError, IndexError) as error:
            raise InvalidPackage(f"{manifest}: {error}") from error
        spec._check(manifest)
        return spec

    def label(self, index: int) -> Label:
        """The label of that index; raises KeyError."""
        return {label.index: label for label in self.labels}[index]

    def _check(self, manifest: Path) -> None:
        """Refuse values that no run could make sense of."""
        problems = []
        if [label.index for label in self.labels] != list(range(1, len(self.labels) + 1)):
            problems.append("labels must be numbered 1, 2, 3 ... in order, and there must be one")
        if min(self.spacing_mm) <= 0:
            problems.append("spacing_mm must be positive")
        if self.hu_window[0] >= self.hu_window[1]:
            problems.append("hu_window must be [low, high]")
        if min(self.patch) < 0:
            problems.append("patch must not be negative")
        if not 0 <= self.overlap < 1:
            problems.append("overlap must be at least 0 and less than 1")
        if problems:
            raise InvalidPackage(f"{manifest}: {'; '.join(problems)}")


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be a text")
    return value


def _three(table: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    values = table[key]
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError(f"{key} must be three numbers: along the body, front to back, across")
    z, y, x = (float(v) for v in values)
    return z, y, x


def _code(values: Any) -> Code:
    value, scheme, meaning = (str(v) for v in values)
    return Code(value, scheme, meaning)


def _label(row: Mapping[str, Any]) -> Label:
    red, green, blue = (int(c) for c in row["display_rgb"])
    return Label(
        index=int(row["index"]),
        name=_text(row, "name"),
        category=_code(row["category"]),
        type=_code(row["type"]),
        display_rgb=(red, green, blue),
    )
