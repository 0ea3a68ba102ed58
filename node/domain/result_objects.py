"""The DICOM objects that a job can produce, their names and their UIDs."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from node.domain.identifiers import Uid, mint_uid


class ResultKind(StrEnum):
    """A kind of result; the values are those of the setting `objects`."""

    SEG = "seg"  # Segmentation or Label Map Segmentation
    SR = "sr"  # measurement report, TID 1500
    CAPTURE = "capture"  # secondary captures of the source slices with the organs drawn in
    SUMMARY = "summary"  # one page as secondary capture
    PDF = "pdf"  # the same page as Encapsulated PDF
    RTSTRUCT = "rtstruct"  # contours for treatment planning
    NOTICE = "notice"  # one page: why the node refused the series
    REPORT = "report"  # measurements and findings as JSON, for HL7 and FHIR; not a DICOM object

    @property
    def noun(self) -> str:
        """The name in sentences."""
        return _NOUNS[self]


_NOUNS = {
    ResultKind.SEG: "segmentation",
    ResultKind.SR: "measurements",
    ResultKind.CAPTURE: "captures",
    ResultKind.SUMMARY: "summary",
    ResultKind.PDF: "PDF",
    ResultKind.RTSTRUCT: "contours",
    ResultKind.NOTICE: "refusal notice",
    ResultKind.REPORT: "report",
}


class SegEncoding(StrEnum):
    """How a SEG stores its segments."""

    ALL_FRAMES = "all-frames"  # BINARY, with the frames that are empty
    SPARSE = "sparse"  # BINARY, without the frames that are empty
    LABELMAP = "labelmap"  # Label Map Segmentation: one frame for each slice


# Kinds that reference the segments of a SEG, and so differ with its encoding.
_WITH_SEGMENTS = frozenset({ResultKind.SEG, ResultKind.SR})


@dataclass(frozen=True, order=True)
class ResultObject:
    """One object of a job: a kind, and the encoding of the SEG that it is or references."""

    kind: ResultKind
    encoding: SegEncoding = SegEncoding.ALL_FRAMES

    @classmethod
    def of(cls, kind: ResultKind, encoding: SegEncoding) -> Self:
        """Returns the object of that kind; the encoding counts only where segments matter."""
        return cls(kind, encoding) if kind in _WITH_SEGMENTS else cls(kind)

    @classmethod
    def parse(cls, name: str) -> Self:
        """Returns the object with that `name`.

        Raises:
            ValueError: no object has that name.
        """
        kind, _, encoding = name.partition("-")
        return cls.of(ResultKind(kind), SegEncoding(encoding or SegEncoding.ALL_FRAMES))

    @property
    def name(self) -> str:
        """The name, such as `seg`, `sr-labelmap` or `capture`."""
        if self.encoding is SegEncoding.ALL_FRAMES:
            return self.kind.value
        return f"{self.kind.value}-{self.encoding.value}"

    @property
    def segmentation(self) -> "ResultObject":
        """The SEG that this object references."""
        return ResultObject(ResultKind.SEG, self.encoding)


NOTICE = ResultObject(ResultKind.NOTICE)
# The only object of earlier versions; it keeps their names and UIDs.
SEG = ResultObject(ResultKind.SEG)


@dataclass(frozen=True)
class ObjectUids:
    """The UIDs of a job's object; deterministic, so that every attempt writes the same object."""

    job_id: str
    result_object: ResultObject

    @property
    def series_instance_uid(self) -> Uid:
        """The UID of the object's series; each object has its own."""
        return self._mint("series")

    def sop_instance_uid(self, number: int = 1) -> Uid:
        """The UID of the object's instance `number`, from 1."""
        return self._mint("instance") if number == 1 else self._mint("instance", str(number))

    def derived_uid(self, purpose: str) -> Uid:
        """A further UID that depends on the object only, such as one for its dimensions."""
        return mint_uid(self.sop_instance_uid(), purpose)

    def _mint(self, *parts: str) -> Uid:
        first, *others = parts
        if self.result_object != SEG:
            others.append(self.result_object.name)
        # Without further parts as in every earlier version, so that its results keep their UIDs.
        return mint_uid(first, self.job_id, *others)


def tracking_uid(job_id: str, label_index: int, label_count: int) -> Uid:
    """The tracking UID of an organ; SEG, SR and other objects of the job share it."""
    first = mint_uid("tracking", job_id)
    return first if label_count == 1 else mint_uid(first, str(label_index))


@dataclass(frozen=True)
class StoredObject:
    """An object of a job as stored: its files in the order of its instances.

    `sop_class_uid` is empty for a report, which is not a DICOM object.
    """

    job_id: str
    result_object: ResultObject
    sop_class_uid: str
    paths: tuple[Path, ...]
    size_bytes: int

    @property
    def uids(self) -> ObjectUids:
        """The UIDs of the object."""
        return ObjectUids(self.job_id, self.result_object)

    @property
    def sop_instance_uids(self) -> tuple[Uid, ...]:
        """The UID of each instance, in the order of `paths`."""
        return tuple(self.uids.sop_instance_uid(n) for n in range(1, len(self.paths) + 1))


@dataclass(frozen=True)
class WantedObjects:
    """The objects that a destination gets; `fallback` replaces those that it does not accept.

    With `notice`, it gets a notice for each refused series.
    """

    objects: tuple[ResultObject, ...] = (SEG,)
    fallback: tuple[ResultObject, ...] = ()
    notice: bool = False
