"""Every setting that is true or false refuses what merely resembles it."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from node.settings import Settings
from node.settings.value_types import Options


def _tables(table: type[Options]) -> Iterator[type[Options]]:
    for each in table.__subclasses__():
        yield each
        yield from _tables(each)


def _booleans() -> dict[str, FieldInfo]:
    tables: tuple[type[BaseModel], ...] = (Settings, *_tables(Options))
    return {
        f"{table.__name__}.{name}": field
        for table in tables
        for name, field in table.model_fields.items()
        if field.annotation is bool
    }


@pytest.mark.parametrize("value", ["yes", "true", 1, 0.0, None])
def test_only_true_and_false_are_accepted(value: object) -> None:
    booleans = _booleans()
    assert "CStoreDestination.deflated" in booleans
    for name, field in booleans.items():
        adapter = TypeAdapter(Annotated[bool, *field.metadata])
        assert adapter.validate_python(True) is True
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
            pytest.fail(f"{name} accepts {value!r}")
