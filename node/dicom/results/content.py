"""What all result objects of a job are encoded from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from models.manifest import ModelSpec
from models.mask import Mask
from models.measurement import Measurement
from node.dicom.ct.reader import CtSeries
from node.domain.findings import Finding
from node.domain.job import ReplacedResult
from node.domain.result_objects import ObjectUids, ResultObject
from node.domain.texts.result_texts import ResultTexts


@dataclass(frozen=True)
class ResultContent:
    """The mask of a CT series, its measurements by label name, and what describes the result.

    `mask` is on the grid of `source.volume`. `made_at` is time zone aware.
    """

    job_id: str
    source: CtSeries = field(repr=False)
    mask: Mask = field(repr=False)
    spec: ModelSpec
    measurements: Mapping[str, Measurement]
    findings: tuple[Finding, ...]
    made_at: datetime
    replaces: ReplacedResult | None = None
    texts: ResultTexts = field(default_factory=ResultTexts)
    is_marked: bool = False  # a reader must check the findings first

    def uids(self, result_object: ResultObject) -> ObjectUids:
        """Returns the UIDs of one of the job's objects."""
        return ObjectUids(self.job_id, result_object)
