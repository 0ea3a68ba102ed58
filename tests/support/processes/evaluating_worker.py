"""A worker with real segmentation by threshold: version 1.0, and candidates that differ from it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import highdicom as hd
import numpy as np

from models.inference.prediction import Prediction
from models.installed_packages import InstalledPackages
from node.domain.errors import Rejected, RejectionReason
from node.domain.job import Job, JobState
from node.domain.texts.result_texts import ResultTexts
from node.evaluation.feedback_comparison import FeedbackComparer
from node.evaluation.shadow_runs import ShadowRunner
from node.inference.job_run import JobRun
from node.jobs.inference import InferenceRequest, InferenceResult, OtherResults
from node.routing.conditions import Equals
from node.routing.rules import Rule
from tests.support.dicom.body import THRESHOLD_HU
from tests.support.dicom.builders import ThresholdSegmenter, ct_series, model_spec
from tests.support.processes.worker_parts import WorkerParts

SHIFTED_ROWS = 2
CANDIDATE = "liver-ct@2.0"
REFUSING = "liver-ct@3.0"
FAILING = "liver-ct@4.0"
_VERSIONS = ("1.0", "2.0", "3.0", "4.0")


@dataclass(frozen=True)
class ShiftedSegmenter(ThresholdSegmenter):
    """A candidate whose liver lies some rows beside its place."""

    def predict(
        self, volume: hd.Volume, progress: Callable[[float], None] | None = None
    ) -> Prediction:
        """Returns the shifted mask."""
        bright = (volume.array > THRESHOLD_HU).astype(np.uint8)
        shifted = np.roll(bright, SHIFTED_ROWS, axis=1)
        return Prediction(volume=volume.with_array(shifted), labels=self.spec.labels)


@dataclass
class EvaluatingWorker(WorkerParts):
    """A worker whose rule names a candidate; the test polls."""

    shadow: str | None = CANDIDATE
    is_busy: bool = False  # a job needs the process
    shadow_requests: list[InferenceRequest] = field(default_factory=list)

    def start(self) -> None:
        self.more_rules = (
            Rule(
                "second", "liver-ct", ("pacs",), Equals("Modality", "CT"), 0.001, shadow=self.shadow
            ),
        )
        super().start()
        specs = [replace(model_spec(), model_id="liver-ct", version=v) for v in _VERSIONS]
        self.packages = InstalledPackages(specs)
        rules = {rule.name: rule for rule in self.series_completion.rules}
        self.runner = ShadowRunner(
            store=self.store,
            infer_if_idle=self.infer_if_idle,
            packages=self.packages,
            rules=rules,
            timeout=timedelta(hours=1),
            now=self.now,
        )
        self.comparer = FeedbackComparer(self.store, rules, self.now)

    def infer(
        self, request: InferenceRequest, other_results: OtherResults | None = None
    ) -> InferenceResult:
        spec = self.packages[request.job.model_reference]
        run = JobRun(request, ThresholdSegmenter(spec), ResultTexts())
        run.analyse()
        return run.finish(())

    def infer_if_idle(self, request: InferenceRequest) -> InferenceResult | None:
        self.shadow_requests.append(request)
        if self.is_busy:
            return None
        if request.job.model_reference == REFUSING:
            raise Rejected(RejectionReason.TOO_FEW_SLICES, "The series has 24 slices.")
        if request.job.model_reference == FAILING:
            raise ZeroDivisionError("by a defect")
        run = JobRun(
            request, ShiftedSegmenter(self.packages[request.job.model_reference]), ResultTexts()
        )
        run.analyse()
        return run.finish(())

    def process(self, folder: Path) -> Job:
        """Receives a CT series of the body and waits until its job is delivered."""
        files = ct_series()
        self.receive_files(files.write(folder))
        series = files.datasets[0].SeriesInstanceUID
        self.poll(series)
        (job,) = self.ended_jobs(series, 1)
        assert job.state is JobState.DELIVERED
        return job
