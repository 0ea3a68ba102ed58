"""Reads what a work item schedules (PS3.3 C.30.2): codes, station, times and input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.valuerep import DT

from node.domain.errors import Rejected
from node.domain.identifiers import Uid
from node.domain.worklists.codes import Code

# What a search asks for beside the attributes that a server returns anyway (PS3.4 CC.2.8.1).
RETURN_KEYS = (
    "ScheduledWorkitemCodeSequence",
    "ScheduledStationNameCodeSequence",
    "ScheduledProcedureStepStartDateTime",
    "ScheduledProcedureStepExpirationDateTime",
    "ScheduledProcedureStepPriority",
    "InputReadinessState",
    "WorklistLabel",
)
# The elements of a work item that the node reads, by tag as in DICOM JSON. It parses no others:
# they may name a patient, and a mistake in them does not matter.
READ_TAGS = frozenset(
    f"{tag_for_keyword(word):08X}"
    for word in (
        *RETURN_KEYS,
        "SOPInstanceUID",
        "ProcedureStepState",
        "TimezoneOffsetFromUTC",
        "InputInformationSequence",
    )
)
_PRIORITIES = ("HIGH", "MEDIUM", "LOW")


@dataclass(frozen=True)
class ScheduledInput:
    """An item of the Input Information Sequence (PS3.3 Table 10-3b).

    The UIDs are texts as sent, and empty where absent.
    """

    kind: str  # Type of Instances: DICOM, CDA, ...
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uids: tuple[str, ...]
    retrieve_urls: tuple[str, ...]
    ae_titles: tuple[str, ...]


@dataclass(frozen=True)
class ScheduledWorkItem:
    """What a work item schedules; a text is empty and a time None where it does not say."""

    uid: Uid
    state: str
    readiness: str
    label: str
    workitem_codes: tuple[Code, ...]
    station_codes: tuple[Code, ...]
    priority: str
    starts_at: datetime | None
    expires_at: datetime | None
    inputs: tuple[ScheduledInput, ...]

    @property
    def urgency(self) -> tuple[int, datetime]:
        """Sorts by priority, then by start; work items without one come last."""
        rank = _PRIORITIES.index(self.priority) if self.priority in _PRIORITIES else 1
        return rank, self.starts_at or datetime.max.replace(tzinfo=UTC)

    def is_due(self, now: datetime) -> bool:
        """Whether its input is ready, and the time is between its start and its expiration."""
        return (
            self.readiness in {"", "READY"}
            and (self.starts_at is None or self.starts_at <= now)
            and (self.expires_at is None or now < self.expires_at)
        )


def read_scheduled(dataset: Dataset) -> ScheduledWorkItem:
    """Reads a data set of a search or of a retrieval.

    Raises:
        Rejected: it has no valid SOP Instance UID.
    """
    return ScheduledWorkItem(
        uid=Uid(_text(dataset, "SOPInstanceUID")),
        state=_text(dataset, "ProcedureStepState"),
        readiness=_text(dataset, "InputReadinessState"),
        label=_text(dataset, "WorklistLabel"),
        workitem_codes=read_codes(dataset, "ScheduledWorkitemCodeSequence"),
        station_codes=read_codes(dataset, "ScheduledStationNameCodeSequence"),
        priority=_text(dataset, "ScheduledProcedureStepPriority"),
        starts_at=_time(dataset, "ScheduledProcedureStepStartDateTime"),
        expires_at=_time(dataset, "ScheduledProcedureStepExpirationDateTime"),
        inputs=tuple(_input(item) for item in _items(dataset, "InputInformationSequence")),
    )


def read_many(datasets: Sequence[Dataset]) -> Iterator[ScheduledWorkItem]:
    """Reads the data sets of a search; omits those without a valid SOP Instance UID."""
    for dataset in datasets:
        try:
            yield read_scheduled(dataset)
        except Rejected:
            continue


def read_codes(dataset: Dataset, keyword: str) -> tuple[Code, ...]:
    """Reads a code sequence (PS3.3 8.8); omits items without a value."""
    codes = []
    for item in _items(dataset, keyword):
        value = next(
            (
                text
                for word in ("CodeValue", "LongCodeValue", "URNCodeValue")
                if (text := _text(item, word))
            ),
            "",
        )
        if value:
            scheme, meaning = _text(item, "CodingSchemeDesignator"), _text(item, "CodeMeaning")
            codes.append(Code(value, scheme, meaning))
    return tuple(codes)


def _input(item: Dataset) -> ScheduledInput:
    references = _items(item, "ReferencedSOPSequence")
    return ScheduledInput(
        kind=_text(item, "TypeOfInstances"),
        study_instance_uid=_text(item, "StudyInstanceUID"),
        series_instance_uid=_text(item, "SeriesInstanceUID"),
        sop_instance_uids=tuple(_text(each, "ReferencedSOPInstanceUID") for each in references),
        retrieve_urls=tuple(
            _text(each, "RetrieveURL") for each in _items(item, "WADORSRetrievalSequence")
        ),
        ae_titles=tuple(
            _text(each, "RetrieveAETitle") for each in _items(item, "DICOMRetrievalSequence")
        ),
    )


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(dataset.get(keyword) or [])


def _text(dataset: Dataset, keyword: str) -> str:
    """Returns a text on one line, without control characters."""
    text = str(dataset.get(keyword) or "")
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _time(dataset: Dataset, keyword: str) -> datetime | None:
    """Returns a date and time in UTC; None where it is absent or cannot be read.

    Without an offset of its own it has that of the data set, else that of the node (PS3.3 C.12.1).
    """
    try:
        text, offset = _text(dataset, keyword), _text(dataset, "TimezoneOffsetFromUTC")
        if not text:
            return None
        time = DT(text)
        if time.tzinfo is None and offset:
            minutes = int(f"{offset[0]}1") * (int(offset[1:3]) * 60 + int(offset[3:5]))
            time = time.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
