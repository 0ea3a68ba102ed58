"""What the first step of a job asks of the inference, and what it gets."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.dicom.results.comparison.other_result import OtherResult
from node.domain.errors import NodeError, RejectionReason
from node.domain.findings import DEFAULT_MIN_AGREEMENT, Finding, FindingKind
from node.domain.job import Job, ReplacedResult
from node.domain.result_objects import ResultObject
from node.domain.series import AcquisitionChoice


class RunStopped(NodeError):
    """The run has ended because its stop file exists."""


@dataclass(frozen=True)
class InferenceRequest:
    """The series in `files` and what a job makes of it, in the empty folder `output`.

    A run ends with `RunStopped`, at its next stage or window, once `stop_file` exists.
    """

    job: Job
    files: tuple[Path, ...]
    output: Path
    objects: tuple[ResultObject, ...]
    replaces: ReplacedResult | None = None
    mark_on: frozenset[FindingKind] = frozenset()  # findings that mark the result
    min_agreement: float = DEFAULT_MIN_AGREEMENT  # with other models, Dice coefficient
    acquisitions: AcquisitionChoice = AcquisitionChoice.REFUSE
    with_notice: bool = False  # a refusal produces a notice instead of an error
    stop_file: Path | None = None


@dataclass(frozen=True)
class ProducedObject:
    """An object in the folder of the request: one file for each instance, in their order.

    `sop_class_uid` is empty if the object is not a DICOM object.
    """

    result_object: ResultObject
    sop_class_uid: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class InferenceResult:
    """Output of the model for a series: objects, preview, measurements and timings."""

    objects: tuple[ProducedObject, ...]
    picture_png: bytes
    measurements: dict[str, dict[str, float | bool]]  # label name -> {"volume_ml": ..., ...}
    timings_s: dict[str, float]
    findings: tuple[Finding, ...] = ()
    refusal: str = ""  # why the series is refused; the only object is then the notice
    rejection: RejectionReason | None = None  # the code of that reason


# The results of other models to compare with; their files exist until the context ends. It is
# entered when the organs are known and before objects are made, so that these show the findings.
OtherResults = Callable[[], AbstractContextManager[Sequence[OtherResult]]]


class Infer(Protocol):
    """Runs a model; without `other_results`, the result is compared with no other."""

    def __call__(
        self, request: InferenceRequest, other_results: OtherResults | None = None, /
    ) -> InferenceResult:
        """Returns what the model makes of the series of the request."""
        ...
