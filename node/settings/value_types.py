"""The types of settings values, each with an error message for the administrator."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from node.domain.identifiers import AeTitle
from node.domain.texts.result_texts import SeriesNumberRule, check_description_template
from node.routing.rules import MAX_QUIET_SECONDS


class Options(BaseModel):
    """A table of settings; it is frozen and knows no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# What addresses of a service are followed by (PS3.18, FHIR R4), and often copied with.
_RESOURCE = re.compile(r"(/(?:studies|workitems|subscribers|metadata))/?$")


def web_address(url: str, example: str, credentials: str) -> str:
    """Checks an address; `credentials` are the settings that belong there instead of in it."""
    if re.match(r"https?://[^/]*@", url, re.IGNORECASE):
        raise ValueError(f"must hold no name and password: use {credentials}")
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:
        known = False
    if not known or not parts.hostname:
        raise ValueError(f"must be an address such as {example}")
    if resource := _RESOURCE.search(parts.path):
        raise ValueError(f"must be the part of the address before {resource[1]}")
    return url


def _service_root(
    url: str,
    example: str = "http://server:8042/dicom-web",
    credentials: str = "username and password_file",
) -> str:
    """Checks the address of a service, to which the paths of its resources are added."""
    web_address(url, example, credentials)
    if "?" in url or "#" in url:
        raise ValueError(f"must end before the ? or #; a key or token belongs in {credentials}")
    return url


def _fhir_address(url: str) -> str:
    return _service_root(url, "https://fhir.hospital.example/r4", "token_file")


def webhook_address(url: str) -> str:
    """Checks the address of a webhook; the message never holds it.

    Raises:
        ValueError: it is no address.
    """
    return web_address(url, "https://chat.hospital.example/hooks/segnode", "token_file")


def _token_url(url: str) -> str:
    """Checks the address of a token endpoint (RFC 6749 3.2), which has no fragment."""
    if "#" in url:
        raise ValueError("must end before the #")
    example = "https://login.hospital.example/oauth2/token"
    return web_address(url, example, "oauth_client_id and oauth_client_secret_file")


def _store_endpoint(url: str) -> str:
    """Checks the address of an S3 server; it may be empty."""
    return url and _service_root(url, "http://minio:9000", "the environment variables of AWS")


def _events_url(url: str) -> str:
    """Checks the address of a WebSocket service; it may be empty."""
    if url and not re.match(r"wss?://", url):
        raise ValueError("must begin with ws:// or wss://")
    return url and _service_root(f"http{url[2:]}", "wss://server/dicom-web") and url


def _code_text(text: str) -> str:
    """Checks a Short String (PS3.5 6.2), such as a code value."""
    if not 0 < len(text) <= 16 or "\\" in text or not text.isprintable() or text != text.strip():
        raise ValueError(
            "must have 1 to 16 printable characters, without a backslash or spaces around them"
        )
    return text


def _viewer_url(url: str) -> str:
    """Checks the address of a viewer, in which {study} stands for the Study Instance UID."""
    if not url:
        return url
    if url.count("{study}") != 1 or re.search(r"[{}]", url.replace("{study}", "")):
        raise ValueError(
            "must hold {study} once, where the viewer expects the Study Instance UID, and no "
            "other braces"
        )
    example = "https://viewer.hospital.example/viewer?StudyInstanceUIDs={study}"
    return web_address(url.replace("{study}", "1"), example, "a viewer that asks for them") and url


def _site_viewer_url(url: str) -> str:
    """Checks the address of a viewer that may hold {series} as well."""
    if url.count("{series}") > 1:
        raise ValueError("must hold {series} at most once")
    try:
        _viewer_url(url.replace("{series}", "1"))
    except ValueError as error:
        raise ValueError(f"{error}; it may hold {{series}} besides") from error
    return url


def _uri(uri: str) -> str:
    """Checks a URI that names a code system or a system of identifiers; it may be empty."""
    if uri and not re.fullmatch(r"(https?://|urn:(oid|uuid):)[^\s|]+", uri):
        raise ValueError("must be a URI such as urn:oid:1.2.3 or https://hospital.example/patients")
    return uri


def _hl7_name(text: str) -> str:
    """Checks a name in the header of an HL7 message (HD.1): printable, without spaces around."""
    if len(text) > 20 or not text.isprintable() or text != text.strip():
        raise ValueError("must have at most 20 printable characters, without spaces around them")
    return text


def _long_string(text: str) -> str:
    """Checks a Long String (PS3.5 6.2): at most 64 characters, and no
    backslash, which separates values.
    """
    if not 0 < len(text) <= 64:
        raise ValueError(f"must have 1 to 64 characters, and has {len(text)}")
    if "\\" in text or not text.isprintable():
        raise ValueError("may have no backslash, line break or other control character")
    return text


def _code_string(text: str) -> str:
    """Checks a Code String (PS3.5 6.2)."""
    if not re.fullmatch(r"[A-Z0-9_]{1,16}", text):
        raise ValueError(f'must be a code such as "CT", not {text!r}')
    return text


def _host_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", name):
        raise ValueError(f"must be a name such as segnode.hospital.example, not {name!r}")
    return name


def _host(host: str) -> str:
    """Checks a host name or an IP address."""
    try:
        return str(ip_address(host))
    except ValueError:
        return _host_name(host)


def _mail_address(address: str) -> str:
    """Checks an e-mail address, as it stands in the header of a message."""
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+", address):
        raise ValueError(f"must be an address such as pacs@hospital.example, not {address!r}")
    return address


def _device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ValueError(f'must be "auto", "cpu", "mps", "cuda" or "cuda:0", not {device!r}')
    return device


def _database(url: str) -> str:
    if url and not re.match(r"(sqlite|postgresql)(\+\w+)?://", url):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return url


def _bucket(url: str) -> str:
    """Checks the rules for bucket names that all S3 servers share."""
    if url and not re.fullmatch(
        r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?", url, re.ASCII
    ):
        raise ValueError("must be an address such as s3://bucket or s3://bucket/folder")
    return url


def _not_empty(path: object) -> object:
    # An empty path would mean the folder of the configuration itself.
    if path == "":
        raise ValueError("must not be empty")
    return path


def _not_boolean(number: object) -> object:
    if isinstance(number, bool):  # in Python, True is an int
        raise ValueError("must not be true or false")  # noqa: TRY004 pydantic reports ValueError
    return number


def within(low: int, high: int) -> AfterValidator:
    """Limits a number to a range that includes both ends."""

    def check(number: float) -> float:
        if not low <= number <= high:  # also where the number is NaN
            raise ValueError(f"must be from {low} to {high}, not {number}")
        return number

    return AfterValidator(check)


def above_zero_up_to(high: int) -> AfterValidator:
    """Limits a number to a range that excludes 0 and includes `high`."""

    def check(number: float) -> float:
        if not 0 < number <= high:
            raise ValueError(f"must be above 0 and at most {high}, not {number:.10g}")
        return number

    return AfterValidator(check)


class EnvironmentText(str):
    """A text from an environment variable, which has no other types."""

    __slots__ = ()


def _boolean(value: object) -> object:
    """Checks true or false; texts and numbers that resemble them count in the environment alone."""
    if not isinstance(value, bool | EnvironmentText):
        raise ValueError("must be true or false, without quotation marks")  # noqa: TRY004 pydantic reports ValueError
    return value


def _series_number(value: object) -> object:
    """Checks a fixed Series Number or its rule; returns a fixed number as a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(  # noqa: TRY004 pydantic reports ValueError
            'must be a whole number, such as 900, or text, such as "900 + {source_number}"'
        )
    rule = SeriesNumberRule.parse(value)
    return str(rule) if rule.follows_source else rule.first


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"there is no home folder for {path.parts[0]}") from error


Whole = Annotated[int, BeforeValidator(_not_boolean)]
Real = Annotated[float, BeforeValidator(_not_boolean)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Port = Annotated[Whole, within(0, 65535)]
Ae = Annotated[str, AfterValidator(AeTitle)]
Name = Annotated[str, Field(min_length=1)]
Host = Annotated[str, AfterValidator(_host)]
CodeString = Annotated[str, AfterValidator(_code_string)]
HostName = Annotated[str, AfterValidator(_host_name)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
LongString = Annotated[str, AfterValidator(_long_string)]
DescriptionTemplate = Annotated[str, AfterValidator(check_description_template)]
SeriesNumber = Annotated[int | str, BeforeValidator(_series_number)]
# 11 days in seconds, 114 years in hours: longer times overflow a clock.
Positive = Annotated[Real, above_zero_up_to(1_000_000)]
QuietSeconds = Annotated[Real, above_zero_up_to(MAX_QUIET_SECONDS)]
Url = Annotated[str, AfterValidator(_service_root)]
SitePath = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_expand_home)]
Device = Annotated[str, AfterValidator(_device)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
BucketUrl = Annotated[str, AfterValidator(_bucket)]
FhirUrl = Annotated[str, AfterValidator(_fhir_address)]
TokenUrl = Annotated[str, AfterValidator(_token_url)]
WebhookUrl = Annotated[str, AfterValidator(webhook_address)]
OptionalUrl = Annotated[str, AfterValidator(_store_endpoint)]
EventsUrl = Annotated[str, AfterValidator(_events_url)]
CodeText = Annotated[str, AfterValidator(_code_text)]
ViewerUrl = Annotated[str, AfterValidator(_viewer_url)]
SiteViewerUrl = Annotated[str, AfterValidator(_site_viewer_url)]
Uri = Annotated[str, AfterValidator(_uri)]
Hl7Name = Annotated[str, AfterValidator(_hl7_name)]
