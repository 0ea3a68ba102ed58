"""Describes pydantic's validation errors in the terms of the TOML file's author."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MISSING = object()  # stands for a required key that the file lacks, until its field reports it


class Table(BaseModel):
    """A table of a TOML file. Every required field is annotated with `expected` or
    `expected_table`, which report a missing key together with the expected value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _mark_missing_keys(cls, values: Any) -> Any:  # whatever TOML holds
        required = [name for name, field in cls.model_fields.items() if field.is_required()]
        return dict.fromkeys(required, _MISSING) | values


def expected(what: str) -> WrapValidator:
    """Reports a value that does not validate as `must be {what}`."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:  # pydantic's own signature
        try:
            return handler(value)
        except ValidationError as error:
            raise _unexpected(value, what) from error

    return WrapValidator(validate)


def expected_table(what: str, is_valid: Callable[[Any], bool]) -> BeforeValidator:
    """Reports a value that is not `is_valid` as `must be {what}`.

    Unlike `expected`, it leaves the errors of the table's own keys to the table.
    """

    def validate(value: Any) -> Any:  # pydantic's own signature
        if not is_valid(value):
            raise _unexpected(value, what)
        return value

    return BeforeValidator(validate)


def describe(error: ValidationError) -> str:
    """Returns all problems on one line. Entries of lists are counted from 1: `labels[1].name`."""
    return "; ".join(_describe(detail) for detail in error.errors())


def _unexpected(value: object, what: str) -> PydanticCustomError:
    if value is _MISSING:
        return PydanticCustomError("expected", "is missing; it must be {what}", {"what": what})
    return PydanticCustomError("expected", "must be {what}", {"what": what})


def _describe(detail: "ErrorDetails") -> str:
    key = _key(detail["loc"])
    match detail["type"]:
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden":
            return f"{key}: there is no such key"
        case "value_error":
            message = str(detail["ctx"]["error"])
            return f"{key}: {message}" if key else message
        case _:
            return f"{key} {detail['msg'].replace('Input should', 'must')}"


def _key(loc: tuple[int | str, ...]) -> str:
    parts = (f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in loc)
    return "".join(parts).removeprefix(".")
