"""A model package's manifest: what the model finds, in what it was trained, and its weights."""

import hashlib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeGuard, TypeVar

from models.errors import ModelsError

T = TypeVar("T")

# What packages this version can run: the number grows when an older version could not.
FORMAT = "1"
_RUNS = ("1",)
_LABEL_KEYS = (
    *("index", "name", "category", "type", "display_rgb"),
    *("min_volume_ml", "max_volume_ml", "mean_hu"),
)
_KEYS = (
    *("needs", "model_id", "version", "title", "manufacturer", "intended_use"),
    *("spacing_mm", "hu_window", "patch", "overlap", "keep_largest", "min_slices"),
    *("min_extent_mm", "network", "weights", "labels"),
)


class InvalidPackage(ModelsError):
    """A model package cannot be used; the message names its file and what is wrong."""


@dataclass(frozen=True)
class Code:
    """A coded concept (PS3.3 8): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One organ that a model finds: `index` is its value in a mask, from 1.

    Less of it than `min_volume_ml` is taken for nothing found. More than `max_volume_ml`, or a mean
    attenuation outside `mean_hu`, is no such organ: then the input was not what the model is for.
    """

    index: int
    name: str
    category: Code
    type: Code
    display_rgb: tuple[int, int, int]
    min_volume_ml: float = 0.0
    max_volume_ml: float | None = None
    mean_hu: tuple[float, float] | None = None


@dataclass(frozen=True)
class NetworkSpec:
    """Which network, and the arguments it is built with."""

    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ModelSpec:
    """A model package. Axes are those of the network's grid, from head-foot to left-right:
    (z, y, x); lengths in mm, `hu_window` in HU.

    `needs` is the package format that the manifest is written in. A `patch` length of 0 means the
    whole axis; `patch = (65, 0, 0)` is the original recipe of 65 slices at a time. `overlap` is the
    fraction of a patch shared with its neighbour.
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
    weights: Path
    weights_sha256: str
    needs: str = FORMAT

    @classmethod
    def load(cls, manifest: Path) -> Self:
        """Read `model.toml`.

        Raises:
            InvalidPackage: it is missing, is no TOML, or values in it are absent or wrong; every
                one of them is told.
        """
        top = _Table(_read(manifest))
        top.has_only(_KEYS)
        network, weights = top.table("network"), top.table("weights")
        z, y, x = top.numbers("spacing_mm", 3)
        low, high = top.numbers("hu_window", 2)
        depth, height, width = top.numbers("patch", 3)
        spec = cls(
            model_id=top.text("model_id"),
            version=top.text("version"),
            title=top.text("title"),
            manufacturer=top.text("manufacturer"),
            intended_use=top.text("intended_use"),
            network=NetworkSpec(network.text("kind"), network.table("parameters").values),
            labels=tuple(_label(row) for row in top.tables("labels")),
            spacing_mm=(z, y, x),
            hu_window=(low, high),
            patch=(int(depth), int(height), int(width)),
            overlap=top.number("overlap"),
            keep_largest=top.yes_or_no("keep_largest"),
            min_slices=int(top.number("min_slices")),
            min_extent_mm=top.number("min_extent_mm"),
            weights=manifest.parent / weights.text("file"),
            weights_sha256=weights.text("sha256"),
            needs=str(top.values.get("needs", FORMAT)),
        )
        # A value that could not be read says nothing about the sense of the others.
        problems = top.problems or spec._nonsense()
        if problems:
            raise InvalidPackage(f"{manifest}: {'; '.join(problems)}")
        return spec

    def read_weights(self) -> bytes:
        """The package's file, once its digest is that of the manifest.

        Raises:
            InvalidPackage: it is missing, or another file than the manifest says.
        """
        try:
            content = self.weights.read_bytes()
        except OSError as error:
            raise InvalidPackage(f"{self.weights}: {error.strerror}") from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.weights_sha256:
            raise InvalidPackage(
                f"{self.weights}: the weights are not those of the manifest (sha256 "
                f"{digest[:12]}..., expected {self.weights_sha256[:12]}...); install the package "
                "again"
            )
        return content

    def _nonsense(self) -> list[str]:
        """Values that no run could make sense of."""
        problems = []
        if self.needs not in _RUNS:
            problems.append(
                f"it needs package format {self.needs}, and this version of segnode runs "
                f"{' and '.join(_RUNS)}; install a newer segnode"
            )
        if [label.index for label in self.labels] != list(range(1, len(self.labels) + 1)):
            problems.append("labels must be numbered 1, 2, 3 ... in order")
        if not self.labels:
            problems.append("labels must name at least one organ")
        if len({label.name for label in self.labels}) < len(self.labels):
            problems.append("two labels have one name")
        if any(not 0 <= part <= 255 for label in self.labels for part in label.display_rgb):
            problems.append("display_rgb must be three numbers from 0 to 255")
        if min(self.spacing_mm) <= 0:
            problems.append("spacing_mm must be positive")
        if self.hu_window[0] >= self.hu_window[1]:
            problems.append("hu_window must be [low, high]")
        if min(self.patch) < 0:
            problems.append("patch must not be negative")
        if not 0 <= self.overlap < 1:
            problems.append("overlap must be at least 0 and less than 1")
        return problems


def _read(manifest: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(manifest.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidPackage(f"{manifest}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidPackage(f"{manifest}: {error}") from error


def _label(row: "_Table") -> Label:
    row.has_only(_LABEL_KEYS)
    low, high = row.numbers("mean_hu", 2) if "mean_hu" in row.values else (None, None)
    red, green, blue = (int(part) for part in row.numbers("display_rgb", 3))
    return Label(
        index=int(row.number("index")),
        name=row.text("name"),
        category=Code(*row.texts("category", 3)),
        type=Code(*row.texts("type", 3)),
        display_rgb=(red, green, blue),
        min_volume_ml=row.number("min_volume_ml") if "min_volume_ml" in row.values else 0.0,
        max_volume_ml=row.number("max_volume_ml") if "max_volume_ml" in row.values else None,
        mean_hu=None if low is None or high is None else (low, high),
    )


class _Table:
    """A table of the manifest. What is absent or of the wrong kind is noted in `problems`, which
    all tables of a manifest share, and stands for itself as 0 or an empty text until they are told.
    """

    def __init__(
        self, values: Mapping[str, Any], name: str = "", problems: list[str] | None = None
    ) -> None:
        self.values = values
        self.problems: list[str] = [] if problems is None else problems
        self._name = name

    def has_only(self, keys: Collection[str]) -> None:
        """Note the keys that mean nothing: a bound that is misspelt would not hold."""
        self.problems += [f"there is no key {self._name}{k}" for k in self.values if k not in keys]

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.values.get(key)
        if isinstance(value, str) and value:
            return value
        return self._wrong(key, "a text", "")

    def texts(self, key: str, count: int) -> list[str]:
        """So many texts."""
        value = self.values.get(key)
        if (
            isinstance(value, list)
            and len(value) == count
            and all(isinstance(v, str) for v in value)
        ):
            return value
        return self._wrong(key, f"a list of {count} texts", [""] * count)

    def number(self, key: str) -> float:
        """A number."""
        value = self.values.get(key)
        return float(value) if _is_number(value) else self._wrong(key, "a number", 0.0)

    def numbers(self, key: str, count: int) -> list[float]:
        """So many numbers."""
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == count and all(_is_number(v) for v in value):
            return [float(v) for v in value]
        return self._wrong(key, f"a list of {count} numbers", [0.0] * count)

    def yes_or_no(self, key: str) -> bool:
        """True or false."""
        value = self.values.get(key)
        return value if isinstance(value, bool) else self._wrong(key, "true or false", False)

    def table(self, key: str) -> "_Table":
        """A table within this one."""
        value = self.values.get(key)
        if not isinstance(value, dict):
            value = self._wrong(key, "a table", {})
        return _Table(value, f"{self._name}{key}.", self.problems)

    def tables(self, key: str) -> list["_Table"]:
        """Tables in a list."""
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            value = self._wrong(key, f"a list of tables, [[{key}]]", [])
        rows = enumerate(value, start=1)
        return [_Table(row, f"{self._name}{key}[{k}].", self.problems) for k, row in rows]

    def _wrong(self, key: str, kind: str, instead: T) -> T:
        said = f"must be {kind}" if key in self.values else f"is missing; it must be {kind}"
        self.problems.append(f"{self._name}{key} {said}")
        return instead


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
