"""deploy/segnode.toml explains every setting and states its default correctly."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from node.domain.findings import FindingKind
from node.routing.condition_parsing import CONDITION_KEYS
from node.settings import Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "segnode.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
# Matches the start of `# name = value`, a setting left at its default.
COMMENTED_OUT = re.compile(r"^# (?=\w+ = )", re.MULTILINE)
SECTIONS = (
    "listener",
    "dicom_tls",
    "web",
    "access",
    "worker",
    "result",
    "delivery",
    "retention",
    "monitoring",
    "alerts",
)


def test_the_example_configuration_is_valid() -> None:
    settings = load_settings(EXAMPLE)
    assert [rule.name for rule in settings.rules] == ["abdomen"]
    assert set(settings.destinations) == {"pacs", "research", "archive", "his", "ehr"}


def test_the_configuration_of_the_compose_file_is_valid() -> None:
    assert load_settings(EXAMPLE.parent / "compose" / "segnode.toml").rules


def test_the_example_names_every_finding() -> None:
    assert not [kind for kind in FindingKind if not re.search(rf"(?m)^#   {kind} ", TEXT)]


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
def test_a_commented_out_setting_shows_the_default(section: str) -> None:
    documented = tomllib.loads(COMMENTED_OUT.sub("", TEXT))[section]
    defaults = getattr(Settings(), section).model_dump(mode="json")
    # A default of None cannot be shown in TOML.
    differing = {
        name: value
        for name, value in documented.items()
        if defaults[name] is not None and defaults[name] != value
    }
    assert not differing


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return `model` and every model class reachable from its fields."""
    found = {model}
    pending: list[Any] = [field.annotation for field in model.model_fields.values()]
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in found:
                found |= _models(annotation)
        else:
            pending.extend(getattr(annotation, "__args__", ()))
    return found
