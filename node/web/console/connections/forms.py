"""The forms of peers, sources, destinations and the node's own address."""

from collections.abc import Mapping, Sequence
from typing import get_args

from node.domain.connections.probe import ConnectionTable
from node.settings import DicomwebSource, ListenerOptions, Peer
from node.settings.destinations import DESTINATION_KINDS, ObjectName
from node.web.console.connections.credential_fields import (
    OAUTH,
    PASSWORD,
    TOKEN,
    USER_AND_PASSWORD,
)
from node.web.console.connections.form import Field, FieldKind, Form

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


_PEER_AS_RECEIVER = (
    Field(
        "retrieve",
        "Retrieve series from it by",
        FieldKind.CHOICE,
        "C-MOVE: it must know the address of this node.",
        (("", "not at all"), ("move", "C-MOVE"), ("get", "C-GET")),
    ),
    Field("tls", "Connect to it by TLS", _CHECKBOX),
    Field("server_name", "Name in its certificate", help="Empty: its address."),
    Field("ca_file", "File of its authority", help="Empty: ca_file of [dicom_tls]."),
)
_PEER_AS_SENDER = (
    Field(
        "addresses",
        "Addresses that it may come from",
        FieldKind.TEXTS,
        "Addresses or networks such as 10.1.2.0/24, with commas between them. Empty: any.",
    ),
    Field(
        "certificate_name",
        "Name of its certificate as a sender",
        help="With a name, it may send by TLS alone, with a certificate that holds the name.",
    ),
    Field(
        "may",
        "What it may do",
        FieldKind.CHOICES,
        choices=(("store", "Store images"), ("commit", "Ask for storage commitment")),
    ),
    Field(
        "complete_on",
        "What completes a series before the quiet time",
        FieldKind.CHOICES,
        "For a sender that sends a series over one association, or asks when it has sent all.",
        choices=(
            ("release", "The release of its association"),
            ("commitment", "A storage commitment request for all images"),
        ),
    ),
    Field("username", "User name of its user identity"),
    *PASSWORD,
    Field("max_images_per_minute", "Maximum images per minute", _NUMBER, "Empty: no limit."),
    Field("max_gib_per_day", "Maximum GiB per day", _NUMBER, "Empty: no limit."),
)
_LISTENER_ADVANCED = (
    Field("plain", "Connections without TLS", _CHECKBOX),
    Field("tls_port", "Port for TLS", _NUMBER, "Needs [dicom_tls]. Empty: none; 2762 is usual."),
    Field(
        "client_certificates",
        "Certificates of senders by TLS",
        FieldKind.CHOICE,
        choices=(("required", "required"), ("optional", "optional"), ("none", "not asked for")),
    ),
    Field(
        "accept_from",
        "Who may open associations",
        FieldKind.CHOICE,
        choices=(
            ("", "peers, once there is one"),
            ("peers", "peers alone"),
            ("any", "every AE title"),
        ),
    ),
    Field(
        "user_identity",
        "User identities of senders",
        FieldKind.CHOICE,
        choices=(
            ("ignored", "ignored"),
            ("rejected", "rejected"),
            ("verified", "must be those of the peer"),
        ),
    ),
)


def peer_form() -> Form:
    """The form of a peer."""
    return Form(
        Peer,
        (
            Field("ae_title", "AE title"),
            Field("host", "Address", help="Host name or IP address."),
            Field("port", "Port", _NUMBER, "Where it accepts associations; 104 is usual."),
        ),
        (*_PEER_AS_RECEIVER, *_PEER_AS_SENDER),
    )


def source_form() -> Form:
    """The form of a DICOMweb source."""
    return Form(
        DicomwebSource,
        (Field("url", _URL), *USER_AND_PASSWORD),
        (*TOKEN, *OAUTH, *_TLS_FILES),
    )


def listener_form() -> Form:
    """The form of the node's own address."""
    return Form(
        ListenerOptions,
        (
            Field("ae_title", "AE title of this node"),
            Field("port", "Port", _NUMBER, "Senders must know both."),
        ),
        _LISTENER_ADVANCED,
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
            (Field("url", _URL), *USER_AND_PASSWORD, *_OBJECT_FIELDS),
            (*TOKEN, *OAUTH, *_TLS_FILES, *_OBJECT_ADVANCED),
        ),
        "folder": ((Field("path", "Folder"), *_OBJECT_FIELDS), (_READABLE_BY, *_OBJECT_ADVANCED)),
        "hl7": (
            (Field("host", "Address"), Field("port", "Port", _NUMBER), _STATUS),
            (*_hl7_fields(), *_REPORT_ADVANCED),
        ),
        "fhir": (
            (Field("url", "Root of the FHIR service"), _STATUS),
            (
                *TOKEN,
                *USER_AND_PASSWORD,
                *OAUTH,
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
