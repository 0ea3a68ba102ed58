"""The fields of the forms, and what a filled-in form changes in the configuration."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from node.configuration.toml_edit import TomlValue
from node.domain.connections.probe import ConnectionTable
from node.settings import DicomwebSource, ListenerOptions, Peer
from node.settings.destinations import DESTINATION_KINDS, ObjectName


class FieldKind(StrEnum):
    """The control that a field has."""

    TEXT = "text"
    NUMBER = "number"
    CHECKBOX = "checkbox"
    CHOICE = "choice"  # one of some values, or none
    CHOICES = "choices"  # any of some values


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


_NUMBER, _CHECKBOX = FieldKind.NUMBER, FieldKind.CHECKBOX
_OBJECT_LABELS: Mapping[str, str] = {
    "seg": "Segmentation (SEG)",
    "sr": "Measurement report (SR)",
    "capture": "Slices with the organs drawn in",
    "summary": "One page as image",
    "pdf": "One page as PDF",
    "rtstruct": "Contours (RT Structure Set)",
}
_OBJECTS = tuple((name, _OBJECT_LABELS[name]) for name in get_args(ObjectName))
_OBJECT_FIELDS = (
    Field("objects", "Objects to send", FieldKind.CHOICES, choices=_OBJECTS),
    Field(
        "segmentation",
        "How the SEG stores the organs",
        FieldKind.CHOICE,
        "All frames: every viewer knows it. Label map: smallest, and few PACS know it yet.",
        (
            ("all-frames", "All frames"),
            ("sparse", "Without empty frames"),
            ("labelmap", "Label map"),
        ),
    ),
)
_GIVE_UP = Field(
    "give_up_after_hours", "Give up after hours", _NUMBER, "Empty: as [delivery] says."
)
_OBJECT_ADVANCED = (
    Field("fallback", "Instead of what is not accepted", FieldKind.CHOICES, choices=_OBJECTS),
    Field("refusal_notice", "Send a page for each refused series", _CHECKBOX),
    Field("deflated", "Send the SEG deflated where accepted", _CHECKBOX),
    _GIVE_UP,
)
_LOGIN = (
    Field("username", "User name"),
    Field(
        "password_env", "Variable with the password", help="An environment variable of the node."
    ),
)
_REPORT_ADVANCED = (
    Field("viewer_url", "Address of a viewer", help="{study} stands for the Study Instance UID."),
    Field("timeout_seconds", "Timeout in seconds", _NUMBER),
    _GIVE_UP,
)
_STATUS = Field(
    "status",
    "Status of the measurements",
    FieldKind.CHOICE,
    "Preliminary: no person has verified them.",
    (("preliminary", "Preliminary"), ("final", "Final")),
)
_READERS = (("all", "All users"), ("group", "The folder's group"), ("owner", "The node alone"))
_READABLE_BY = Field(
    "readable_by", "Users of the machine who may read it", FieldKind.CHOICE, choices=_READERS
)
_URL = "Address, such as http://server:8042/dicom-web"
_TLS_FILES = (
    Field("ca_file", "File of its authority", help="Empty: the public ones."),
    Field("certificate_file", "File of the node's certificate", help="If the server asks for one."),
    Field("key_file", "File of its key"),
)


def peer_form() -> Form:
    """The form of a peer."""
    retrieve = (("move", "C-MOVE"), ("get", "C-GET"))
    return Form(
        Peer,
        (
            Field("ae_title", "AE title"),
            Field("host", "Address", help="Host name or IP address."),
            Field("port", "Port", _NUMBER, "Where it accepts associations; 104 is usual."),
        ),
        (
            Field(
                "retrieve",
                "Retrieve series from it by",
                FieldKind.CHOICE,
                "C-MOVE: it must know the address of this node.",
                (("", "not at all"), *retrieve),
            ),
        ),
    )


def source_form() -> Form:
    """The form of a DICOMweb source."""
    return Form(DicomwebSource, (Field("url", _URL), *_LOGIN), _TLS_FILES)


def listener_form() -> Form:
    """The form of the node's own address."""
    return Form(
        ListenerOptions,
        (
            Field("ae_title", "AE title of this node"),
            Field("port", "Port", _NUMBER, "Senders must know both."),
        ),
    )


def destination_form(kind: str, peers: Sequence[str]) -> Form:
    """The form of a destination of that kind.

    Raises:
        KeyError: there is no such kind.
    """
    names = tuple((name, name) for name in peers)
    forms: Mapping[str, tuple[tuple[Field, ...], tuple[Field, ...]]] = {
        "cstore": (
            (
                Field("peer", "Peer", FieldKind.CHOICE, "Add it as a peer first.", names),
                *_OBJECT_FIELDS,
            ),
            (
                Field(
                    "commitment",
                    "Ask for storage commitment",
                    FieldKind.CHOICE,
                    "This peer must know the address of this node.",
                    (("", "no"), *names),
                ),
                *_OBJECT_ADVANCED,
            ),
        ),
        "dicomweb": (
            (Field("url", _URL), *_LOGIN, *_OBJECT_FIELDS),
            (*_TLS_FILES, *_OBJECT_ADVANCED),
        ),
        "folder": ((Field("path", "Folder"), *_OBJECT_FIELDS), (_READABLE_BY, *_OBJECT_ADVANCED)),
        "hl7": (
            (Field("host", "Address"), Field("port", "Port", _NUMBER), _STATUS),
            (*_hl7_fields(), *_REPORT_ADVANCED),
        ),
        "fhir": (
            (Field("url", "Root of the FHIR service"), _STATUS),
            (
                Field("token_env", "Variable with the token"),
                *_TLS_FILES,
                Field("patient_system", "System of patient IDs without an issuer"),
                Field(
                    "patient_reference",
                    "How the patient is found",
                    FieldKind.CHOICE,
                    choices=(("identifier", "by identifier"), ("search", "the server searches")),
                ),
                *_REPORT_ADVANCED,
            ),
        ),
    }
    fields, advanced = forms[kind]
    return Form(DESTINATION_KINDS[kind], fields, advanced)


def _hl7_fields() -> tuple[Field, ...]:
    charsets = ("utf-8", "iso-8859-1", "us-ascii")
    processing = (("P", "Production"), ("T", "Training"), ("D", "Debugging"))
    return (
        Field("tls", "TLS", _CHECKBOX),
        *_TLS_FILES,
        Field("charset", "Character set", FieldKind.CHOICE, "", tuple((c, c) for c in charsets)),
        Field("sending_application", "Sending application"),
        Field("sending_facility", "Sending facility"),
        Field("receiving_application", "Receiving application"),
        Field("receiving_facility", "Receiving facility"),
        Field("processing_id", "Processing ID", FieldKind.CHOICE, "", processing),
        Field("patient_authority", "Authority of patient IDs without an issuer"),
    )


KIND_LABELS: Mapping[str, str] = {
    "cstore": "PACS by C-STORE",
    "dicomweb": "DICOMweb server (STOW-RS)",
    "folder": "Folder",
    "hl7": "Information system by HL7",
    "fhir": "FHIR server",
}


def connection_form(table: ConnectionTable, kind: str, peers: Sequence[str]) -> Form:
    """Returns the form of a connection; `kind` is that of a destination.

    Raises:
        KeyError: there is no such kind.
    """
    match table:
        case ConnectionTable.PEERS:
            return peer_form()
        case ConnectionTable.SOURCES:
            return source_form()
        case ConnectionTable.DESTINATIONS:
            return destination_form(kind, peers)
