"""What is wrong with a request, in plain words: unknown parameters, missing and wrong values."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from node.routing.attributes import suggestion

_PREFIX = "/api/"
# By pydantic's error type; the names in braces are those of the error's context.
_MESSAGES = {
    "missing": "is missing",
    "json_invalid": "is no valid JSON",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "string_type": "must be a text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    # All patterns of the API exclude control characters.
    "string_pattern_mismatch": "must have no control characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "dict_type": "must be an object in braces",
    "model_type": "must be an object in braces",
    "model_attributes_type": "must be an object in braces",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "value_error": "{error}",
}
_UNKNOWN_FIELD = "there is no such field"


async def check_parameter_names(request: Request) -> None:
    """Refuses a request to the REST API with a query parameter that its address does not have.

    A filter with a typing error would otherwise select everything.

    Raises:
        RequestValidationError: it names the parameter and those that exist.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not route.path.startswith(_PREFIX):
        return
    known = query_parameters(route)
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        raise RequestValidationError([_unknown_parameter(name, known) for name in unknown])


def query_parameters(route: APIRoute) -> list[str]:
    """Returns the names of the query parameters of a route."""
    return list(_names(route.dependant))


def _names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, parameter in model.model_fields.items():
                yield parameter.alias or name
        else:
            yield field.alias
    for inner in dependant.dependencies:
        yield from _names(inner)


def _unknown_parameter(name: str, known: list[str]) -> dict[str, object]:
    there_are = f"this address has {', '.join(known)}" if known else "this address has none"
    similar = suggestion(name, known) if known else ""
    error = f"there is no such parameter{similar if 'did you mean' in similar else ''}; {there_are}"
    return {"type": "value_error", "loc": ("query", name), "ctx": {"error": error}}


def described(error: RequestValidationError) -> str:
    """Returns what is wrong with the values of a request, in the words of the node."""
    return "; ".join(_fault(fault) for fault in error.errors())


def _fault(fault: dict[str, Any]) -> str:
    # The position of a mistake in JSON follows its place.
    place = fault["loc"][:1] if fault["type"] == "json_invalid" else fault["loc"]
    return f"{'.'.join(str(part) for part in place)}: {_message(fault)}"


def _message(fault: dict[str, Any]) -> str:
    context = fault.get("ctx", {})
    if "expected" in context:  # pydantic quotes the values of an enumeration
        context = {"expected": context["expected"].replace("'", "")}
    if fault["type"] == "json_invalid":
        return f"is no valid JSON from character {fault['loc'][-1]}"
    if fault["type"] == "extra_forbidden":
        return _UNKNOWN_FIELD
    known = _MESSAGES.get(fault["type"])
    return (
        fault["msg"].replace("Input should", "must") if known is None else known.format(**context)
    )


def http_error_detail(request: Request, error: HTTPException) -> str:
    """Returns why a request has no answer; the framework itself gives only the status."""
    if error.detail == HTTPStatus.NOT_FOUND.phrase:  # of a path that no route has
        return "there is nothing at this address"
    if error.detail == HTTPStatus.METHOD_NOT_ALLOWED.phrase:
        allowed = (error.headers or {}).get("Allow", "")
        return f"this address does not take {request.method}, but {allowed or 'other methods'}"
    if error.detail == "There was an error parsing the body":
        return "the body cannot be read: send JSON in UTF-8"
    return error.detail
