"""Any value in a configuration file yields settings or a reported mistake."""

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from node.domain.errors import Misconfigured
from node.routing.condition_parsing import CONDITION_KEYS
from node.settings import Settings, load_settings
from node.settings.toml_source import TomlSource
from tests.unit.settings.site import VALID

TEXTS = st.sampled_from(["", "x", "pacs", "cstore", "folder", "~/a", "http://x"])
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 99999), st.floats(), TEXTS, st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=4,
)
PATHS = (
    *[(name,) for name in (*Settings.model_fields, "strange")],
    ("destinations", "pacs"),
    ("destinations", "pacs", "kind"),
    ("destinations", "pacs", "peer"),
    ("peers", "pacs"),
    ("peers", "pacs", "ae_title"),
    ("rules", 0),
    *[("rules", 0, name) for name in ("name", "model", "destinations", "quiet_seconds", "when")],
    *[("rules", 0, "when", key) for key in ("attribute", *CONDITION_KEYS)],
)


@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=2))
@hypothesis_settings(max_examples=150, deadline=None)
def test_any_value_in_a_file_yields_settings_or_a_reported_mistake(
    changes: list[tuple[tuple[str | int, ...], object]],
) -> None:
    values: Any = tomllib.loads(VALID)
    for path, value in changes:
        inner = values
        for part in path[:-1]:
            try:
                inner = inner[part]
            except (KeyError, IndexError, TypeError):
                break
        if isinstance(inner, dict):
            inner[path[-1]] = value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TomlSource, "read", lambda file: TomlSource(file, values, {}))
        with contextlib.suppress(Misconfigured):
            load_settings(Path("/site/segnode.toml"))
