"""deploy/segnode.toml explains every setting, with its true default."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from node.routing.condition_parsing import CONDITION_KEYS
from node.settings import Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "segnode.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
# `# name = value`, a setting that is left at its default.
LEFT_OUT = re.compile(r"^# (?=\w+ = )", re.MULTILINE)
SECTIONS = ("listener", "web", "worker", "result", "delivery", "retention")


def test_the_example_has_no_mistake() -> None:
    settings = load_settings(EXAMPLE)
    assert [rule.name for rule in settings.rules] == ["abdomen"]
    assert set(settings.destinations) == {"pacs", "research", "archive"}


def test_the_configuration_of_the_compose_file_has_no_mistake() -> None:
    assert load_settings(EXAMPLE.parent / "compose" / "segnode.toml").rules


def test_the_example_names_every_setting() -> None:
    names = {
        name
        for model in _models(Settings)
        for name in model.model_fields
        if name not in ("file", "rules")
    }
    missing = {name for name in names if not re.search(rf"\b{name}\b", TEXT)}
    assert not missing


@pytest.mark.parametrize("kind", CONDITION_KEYS)
def test_the_example_shows_every_kind_of_condition(kind: str) -> None:
    assert re.search(rf"^# .*{{ (attribute = \"\w+\", )?.*\b{kind} = ", TEXT, re.MULTILINE)


@pytest.mark.parametrize("section", SECTIONS)
def test_what_the_example_leaves_out_is_the_default(section: str) -> None:
    told = tomllib.loads(LEFT_OUT.sub("", TEXT))[section]
    defaults = getattr(Settings(), section).model_dump(mode="json")
    # What is None has no default to show.
    differing = {
        name: value
        for name, value in told.items()
        if defaults[name] is not None and defaults[name] != value
    }
    assert not differing


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """`model` and every options class that its fields lead to."""
    found = {model}
    pending: list[Any] = [field.annotation for field in model.model_fields.values()]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind not in found:
                found |= _models(kind)
        else:
            pending.extend(getattr(kind, "__args__", ()))
    return found
