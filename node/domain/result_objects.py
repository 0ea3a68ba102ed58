"""The DICOM objects that a job can produce, their names and their UIDs."""

from dataclasses import dataclass
from enum import StrEnum
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
        if self.result_object != ResultObject(ResultKind.SEG):
            others.append(self.result_object.name)
        # Without further parts as in every earlier version, so that its results keep their UIDs.
        return mint_uid(first, self.job_id, *others)


def tracking_uid(job_id: str, label_index: int, label_count: int) -> Uid:
    """The tracking UID of an organ; SEG, SR and other objects of the job share it."""
    first = mint_uid("tracking", job_id)
    return first if label_count == 1 else mint_uid(first, str(label_index))
