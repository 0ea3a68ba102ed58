"""A model package's manifest (`model.toml`): labels, preprocessing, network and weights."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    Strict,
    ValidationError,
    model_validator,
)

from models.errors import ModelsError
from models.validation_messages import Table, describe, expected, expected_table

# The package format. It is raised when a change keeps older versions of segnode from running it.
FORMAT = "1"
_SUPPORTED_FORMATS = ("1",)
# Dice coefficient. In 36 good phantoms, the lowest is 0.81 (gallbladder), of a liver 0.965. Metal
# streaks lead to 0.25 to 0.78; strong noise to 0.49 to 0.95, so not every bad scan is below.
MIN_WINDOW_AGREEMENT = 0.8


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
    """One organ that a model finds. `index` is its value in a mask, from 1.

    An organ smaller than `min_volume_ml` counts as not found. A volume over `max_volume_ml` or a
    mean attenuation outside `mean_hu` (HU) means that the input is not what the model is made for.
    `usual_volume_ml` and `usual_hu` are the ranges that are usual for adults; values outside them
    are reported with the result. So is an agreement of overlapping windows (Dice coefficient) below
    `min_window_agreement`.
    """

    index: int
    name: str
    category: Code
    type: Code
    display_rgb: tuple[int, int, int]
    min_volume_ml: float = 0.0
    max_volume_ml: float | None = None
    mean_hu: tuple[float, float] | None = None
    usual_volume_ml: tuple[float, float] | None = None
    usual_hu: tuple[float, float] | None = None
    min_window_agreement: float = MIN_WINDOW_AGREEMENT


@dataclass(frozen=True)
class NetworkSpec:
    """The name of a network and the parameters it is built with."""

    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ModelSpec:
    """A model package. Axes are those of the network's grid, from head-foot to left-right:
    (z, y, x); lengths in mm, `hu_window` in HU.

    `needs` is the package format of the manifest. A `patch` length of 0 means the whole axis;
    `patch = (65, 0, 0)` is the original recipe of 65 slices at a time. `overlap` is the fraction of
    a patch that it shares with its neighbour.
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

    @property
    def reference(self) -> str:
        """Names this version of the model, such as `liver-ct@0.3.0`."""
        return f"{self.model_id}@{self.version}"

    @classmethod
    def load(cls, manifest: Path) -> Self:
        """Reads `model.toml`.

        Raises:
            InvalidPackage: the file is missing or not TOML, or values are missing or wrong; the
                message names every one of them.
        """
        try:
            table = _ManifestTable.model_validate(_read_toml(manifest))
        except ValidationError as error:
            raise InvalidPackage(f"{manifest}: {describe(error)}") from error
        return cls(
            model_id=table.model_id,
            version=table.version,
            title=table.title,
            manufacturer=table.manufacturer,
            intended_use=table.intended_use,
            network=NetworkSpec(table.network.kind, table.network.parameters),
            labels=tuple(label.to_label() for label in table.labels),
            spacing_mm=table.spacing_mm,
            hu_window=table.hu_window,
            patch=table.patch,
            overlap=table.overlap,
            keep_largest=table.keep_largest,
            min_slices=table.min_slices,
            min_extent_mm=table.min_extent_mm,
            weights=manifest.parent / table.weights.file,
            weights_sha256=table.weights.sha256,
            needs=table.needs,
        )

    def read_weights(self) -> bytes:
        """Returns the content of the weights file after checking its digest.

        Raises:
            InvalidPackage: the file is missing, or its digest differs from the manifest's.
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


def _read_toml(manifest: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(manifest.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidPackage(f"{manifest}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidPackage(f"{manifest}: {error}") from error


def _whole(value: object) -> object:
    """Accepts `10.0` for `10`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_AnyText = Annotated[str, Strict()]
_Number = Annotated[float, Strict()]
_Whole = Annotated[int, Strict(), BeforeValidator(_whole)]

_Text = Annotated[_AnyText, Field(min_length=1), expected("a text")]
_SingleNumber = Annotated[_Number, expected("a number")]
_TwoNumbers = Annotated[tuple[_Number, _Number], expected("a list of 2 numbers")]
_ThreeNumbers = Annotated[tuple[_Number, _Number, _Number], expected("a list of 3 numbers")]
_WholeNumber = Annotated[_Whole, expected("a whole number")]
_ThreeWholeNumbers = Annotated[tuple[_Whole, _Whole, _Whole], expected("a list of 3 whole numbers")]
_Byte = Annotated[_Whole, Field(ge=0, le=255)]
_Colour = Annotated[tuple[_Byte, _Byte, _Byte], expected("a list of 3 whole numbers from 0 to 255")]
_Boolean = Annotated[bool, Strict(), expected("true or false")]
_Code = Annotated[tuple[_AnyText, _AnyText, _AnyText], expected("a list of 3 texts")]


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


class _LabelTable(Table):
    """`[[labels]]`."""

    index: _WholeNumber
    name: _Text
    category: _Code
    type: _Code
    display_rgb: _Colour
    min_volume_ml: _SingleNumber = 0.0
    max_volume_ml: _SingleNumber | None = None
    mean_hu: _TwoNumbers | None = None
    usual_volume_ml: _TwoNumbers | None = None
    usual_hu: _TwoNumbers | None = None
    min_window_agreement: _SingleNumber = MIN_WINDOW_AGREEMENT

    def to_label(self) -> Label:
        return Label(
            index=self.index,
            name=self.name,
            category=Code(*self.category),
            type=Code(*self.type),
            display_rgb=self.display_rgb,
            min_volume_ml=self.min_volume_ml,
            max_volume_ml=self.max_volume_ml,
            mean_hu=self.mean_hu,
            usual_volume_ml=self.usual_volume_ml,
            usual_hu=self.usual_hu,
            min_window_agreement=self.min_window_agreement,
        )


class _NetworkTable(Table):
    """`[network]`."""

    kind: _Text
    parameters: Annotated[dict[str, Any], expected("a table")]


class _WeightsTable(Table):
    """`[weights]`."""

    file: _Text
    sha256: _Text


class _ManifestTable(Table):
    """The whole file."""

    needs: Annotated[str, BeforeValidator(str)] = FORMAT
    model_id: _Text
    version: _Text
    title: _Text
    manufacturer: _Text
    intended_use: _Text
    spacing_mm: _ThreeNumbers
    hu_window: _TwoNumbers
    patch: _ThreeWholeNumbers
    overlap: _SingleNumber
    keep_largest: _Boolean
    min_slices: _WholeNumber
    min_extent_mm: _SingleNumber
    network: Annotated[_NetworkTable, expected_table("a table", _is_table)]
    weights: Annotated[_WeightsTable, expected_table("a table", _is_table)]
    labels: Annotated[
        tuple[_LabelTable, ...],
        expected_table("a list of tables, [[labels]]", _is_list_of_tables),
    ]

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        problems = [*self._problems(), *self._label_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> list[str]:
        problems = []
        if self.needs not in _SUPPORTED_FORMATS:
            problems.append(
                f"it needs package format {self.needs}, and this version of segnode runs "
                f"{' and '.join(_SUPPORTED_FORMATS)}; install a newer segnode"
            )
        if min(self.spacing_mm) <= 0:
            problems.append("spacing_mm must be positive")
        if self.hu_window[0] >= self.hu_window[1]:
            problems.append("hu_window must be [low, high]")
        if min(self.patch) < 0:
            problems.append("patch must not be negative")
        if not 0 <= self.overlap < 1:
            problems.append("overlap must be at least 0 and less than 1")
        return problems

    def _label_problems(self) -> list[str]:
        problems = []
        if [label.index for label in self.labels] != list(range(1, len(self.labels) + 1)):
            problems.append("labels must be numbered 1, 2, 3 ... in order")
        if not self.labels:
            problems.append("labels must name at least one organ")
        if len({label.name for label in self.labels}) < len(self.labels):
            problems.append("two labels have the same name")
        for label in self.labels:
            for key in ("usual_volume_ml", "usual_hu"):
                range_ = getattr(label, key)
                if range_ is not None and range_[0] >= range_[1]:
                    problems.append(f"{key} of {label.name} must be [low, high]")
            if not 0 <= label.min_window_agreement <= 1:
                problems.append(f"min_window_agreement of {label.name} must be from 0 to 1")
        return problems
