"""Translates pydantic's validation errors into an administrator's terms.

Everything that depends on how pydantic names errors and locations is in this module.
"""

from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, ValidationError

from node.routing.attributes import closest_match, suggestion
from node.routing.condition_parsing import KeyPath, Mistake
from node.settings.alerting import ALERT_CHANNELS
from node.settings.destinations import DESTINATION_KINDS, ObservationCode
from node.settings.network.peers import Peer
from node.settings.options import DicomwebSource, QueryOptions, Settings
from node.settings.worklists import WorkItemTask, WorklistOptions

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KINDS = tuple(DESTINATION_KINDS)
# The options of [table.NAME], by table; those of destinations depend on their kind.
_NAMED_TABLES: dict[str, type[BaseModel]] = {
    "peers": Peer,
    "sources": DicomwebSource,
    "queries": QueryOptions,
    "worklists": WorklistOptions,
}
# By pydantic's error type; for other types pydantic's own message is clear enough.
_MESSAGES = {
    "missing": "is missing",
    "union_tag_not_found": f"kind is missing; one of {', '.join(_KINDS)}",
    "string_type": "must be text in quotation marks",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "path_type": "must be a path in quotation marks",
    "tuple_type": 'must be a list, such as ["A", "B"]',
    "too_short": "must not be empty",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


def mistakes_from(error: ValidationError) -> list[Mistake]:
    """Returns the mistakes, without those that only follow from others.

    A list whose items are wrong has none left, and is then too short.
    """
    details = error.errors()
    wrong_items = {
        detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))
    }
    return [
        _mistake(detail)
        for detail in details
        if detail["type"] != "too_short" or detail["loc"] not in wrong_items
    ]


def _mistake(detail: "ErrorDetails") -> Mistake:
    """Returns the path of the wrong setting in the file, and a message."""
    path = _file_path(detail["loc"])
    match detail["type"]:
        case "extra_forbidden" if len(path) == 1 and isinstance(detail["input"], dict | list):
            known = _field_names(Settings)
            message = f"there is no table [{path[0]}]{suggestion(str(path[0]), known)}"
        case "extra_forbidden":
            message = _unknown_setting(path, detail["loc"])
        case "union_tag_invalid":
            given = str(detail["ctx"]["tag"])
            path = (*path, "kind")
            message = f"there is no kind {given!r}{suggestion(given, _KINDS)}"
        case "value_error":
            message = str(detail["ctx"]["error"])
        case "greater_than_equal":
            message = f"must be at least {detail['ctx']['ge']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            message = f"must be a table, such as [{'.'.join(map(str, path))}]"
        case error_type:
            message = _MESSAGES.get(error_type) or detail["msg"].replace("Input should", "must")
    return path, message


def _file_path(loc: KeyPath) -> KeyPath:
    """Removes what pydantic adds to a path: a destination's kind, and "[key]" for a table's key."""
    path = tuple(part for part in loc if part != "[key]")
    if path[:1] == ("destinations",) and len(path) > 2 and path[2] in DESTINATION_KINDS:
        return path[:2] + path[3:]
    return path


def _unknown_setting(path: KeyPath, loc: KeyPath) -> str:
    key = str(path[-1])
    known = _settings_beside(loc)
    if f"{key}_file" in known:
        return (
            "the configuration holds no secret: write it into a file that "
            f"{key}_file names, or into an environment variable that {key}_env names"
        )
    if len(path) > 1 and key in _field_names(Settings) and not closest_match(key, known):
        return (
            f"is not a setting of [{path[0]}]; "
            "it belongs at the top of the file, before the first [section]"
        )
    return f"unknown setting{suggestion(key, known)}"


def _settings_beside(loc: KeyPath) -> list[str]:
    """Returns the settings that exist in the table of the unknown one."""
    model: object = Settings
    match loc:
        case (str() as table, name, _) if (model := _table_within(table, name)) is not None:
            pass
        case ("destinations", _, str() as kind, _) if kind in DESTINATION_KINDS:
            model = DESTINATION_KINDS[kind]
        case ("destinations", _, _, "codes", _, _):
            model = ObservationCode
        case ("worklists", _, "tasks", _, _):
            model = WorkItemTask
        case (str() as section, _):
            model = Settings.model_fields[section].annotation
    if isinstance(model, type) and issubclass(model, BaseModel):
        return _field_names(model)
    return []


def _table_within(table: str, name: str | int) -> type[BaseModel] | None:
    """Returns the options of [table.name]; None where they depend on more than that."""
    if table == "alerts":
        return ALERT_CHANNELS.get(str(name))
    return _NAMED_TABLES.get(table) or _optional_table(table, str(name))


def _optional_table(table: str, name: str) -> type[BaseModel] | None:
    """Returns the options of [table.name] where `name` is a setting of [table]."""
    section = Settings.model_fields[table].annotation if table in Settings.model_fields else None
    if not isinstance(section, type) or not issubclass(section, BaseModel):
        return None
    field = section.model_fields.get(name)
    kinds = () if field is None else get_args(field.annotation)
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _field_names(model: type[BaseModel]) -> list[str]:
    return [name for name in model.model_fields if name != "file"]
