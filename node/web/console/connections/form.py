"""A form of settings: its fields, and what a filled-in form changes in the configuration."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from node.configuration.toml_edit import TomlValue


class FieldKind(StrEnum):
    """The control that a field has."""

    TEXT = "text"
    NUMBER = "number"
    CHECKBOX = "checkbox"
    CHOICE = "choice"  # one of some values, or none
    CHOICES = "choices"  # any of some values
    TEXTS = "texts"  # several texts, separated by commas


@dataclass(frozen=True)
class Field:
    """A setting in a form; `choices` are values with their labels."""

    key: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Form:
    """The settings of one table; `advanced` ones have defaults that suit most sites."""

    model: type[BaseModel]
    fields: tuple[Field, ...]
    advanced: tuple[Field, ...] = ()

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Every field."""
        return self.fields + self.advanced

    def is_required(self, field: Field) -> bool:
        """Whether the setting has no default."""
        return self.model.model_fields[field.key].is_required()

    def default(self, field: Field) -> Any:
        """Returns the default as TOML has it; None without one."""
        value = self.model.model_fields[field.key].get_default(call_default_factory=True)
        if value is PydanticUndefined:
            return None
        return list(value) if isinstance(value, tuple) else value

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what each field shows for the settings in the text."""
        return {field.key: values.get(field.key, self.default(field)) for field in self.all_fields}

    def submitted(self, form: Mapping[str, str]) -> dict[str, TomlValue | None]:
        """Returns the settings in a filled-in form; None where a field is empty."""
        return {field.key: _submitted(field, form) for field in self.all_fields}

    def changes(
        self, before: Mapping[str, Any], submitted: Mapping[str, TomlValue | None]
    ) -> dict[str, TomlValue | None]:
        """Returns what differs from the settings in the text; None removes a setting."""
        changed: dict[str, TomlValue | None] = {}
        for field in self.all_fields:
            new, old = submitted[field.key], before.get(field.key, self.default(field))
            if new is None:
                if field.key in before:
                    changed[field.key] = None
            elif not _is_same(field, new, old):
                changed[field.key] = new
        return changed


def _submitted(field: Field, form: Mapping[str, str]) -> TomlValue | None:
    match field.kind:
        case FieldKind.CHECKBOX:
            return field.key in form
        case FieldKind.CHOICES:
            return [value for value, _ in field.choices if f"{field.key}.{value}" in form]
        case FieldKind.TEXTS:
            parts = form.get(field.key, "").split(",")
            return [part.strip() for part in parts if part.strip()]
        case _:
            text = form.get(field.key, "").strip()
            if not text:
                return None
            return _number(text) if field.kind is FieldKind.NUMBER else text


def _is_same(field: Field, new: TomlValue, old: Any) -> bool:
    """Whether nothing changes; a form does not change the order of a list."""
    if field.kind is FieldKind.CHOICES and isinstance(new, list) and isinstance(old, list):
        return sorted(new) == sorted(map(str, old))
    return bool(new == old)


def _number(text: str) -> int | float | str:
    """Returns the number; a text that is none, which the check of the configuration reports."""
    if re.fullmatch(r"-?\d{1,9}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d{1,9}\.\d{1,9}", text) else text
