"""What pydantic finds wrong with a setting, in an administrator's words."""

from typing import TYPE_CHECKING

from pydantic import BaseModel

from node.routing.attributes import near, suggestion
from node.routing.rules import Mistake
from node.routing.rules import Path as KeyPath
from node.settings.options import DESTINATION_KINDS, DicomwebSource, Peer, Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KINDS = tuple(DESTINATION_KINDS)
# By pydantic's name of the error; what is not here has words that will do.
_WORDS = {
    "missing": "is missing",
    "union_tag_not_found": f"kind is missing; one of {', '.join(_KINDS)}",
    "string_type": "must be a text, in quotation marks",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "path_type": "must be a path, in quotation marks",
    "tuple_type": 'must be a list, such as ["A", "B"]',
}


def in_words(detail: "ErrorDetails") -> Mistake:
    """Where the mistake is in the file, and what it is."""
    path = _place(detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            message = _unknown(path, detail["loc"])
        case "union_tag_invalid":
            given = str(detail["ctx"]["tag"])
            path, message = (
                (*path, "kind"),
                f"there is no kind {given!r}{suggestion(given, _KINDS)}",
            )
        case "value_error":
            message = str(detail["ctx"]["error"])
        case "model_type" | "model_attributes_type" | "dict_type":
            message = f"must be a table, such as [{'.'.join(map(str, path))}]"
        case kind:
            message = _WORDS.get(kind) or detail["msg"].replace("Input should", "must")
    return path, message


def _place(loc: KeyPath) -> KeyPath:
    """The path in the file: pydantic adds the kind of a destination, and a mark for a key."""
    path = tuple(part for part in loc if part != "[key]")
    if path[:1] == ("destinations",) and len(path) > 2 and path[2] in DESTINATION_KINDS:
        return path[:2] + path[3:]
    return path


def _unknown(path: KeyPath, loc: KeyPath) -> str:
    key = str(path[-1])
    known = _known(loc)
    top = _names(Settings)
    if len(path) > 1 and key in top and not near(key, known):
        return f"is no setting of [{path[0]}]; it stands at the top, before the first [section]"
    return f"unknown setting{suggestion(key, known)}"


def _known(loc: KeyPath) -> list[str]:
    """The settings of the table in which the unknown one stands."""
    match loc:
        case ("peers", _, _):
            return _names(Peer)
        case ("sources", _, _):
            return _names(DicomwebSource)
        case ("destinations", _, str() as kind, _) if kind in DESTINATION_KINDS:
            return _names(DESTINATION_KINDS[kind])
        case (str() as section, _):
            options = Settings.model_fields[section].annotation
            if isinstance(options, type) and issubclass(options, BaseModel):
                return _names(options)
            return []
        case _:
            return _names(Settings)


def _names(model: type[BaseModel]) -> list[str]:
    return [name for name in model.model_fields if name != "file"]
