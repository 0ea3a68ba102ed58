"""Models of an inference process whose outcomes a test chooses.

The process imports this module: it needs little, so that the process starts soon.
"""

import gc
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from node.dicom.results.comparison.other_result import OtherResult
from node.domain.errors import Misconfigured, Rejected, RejectionReason, Transient
from node.inference.loaded_models import LoadedModels
from node.jobs.inference import InferenceRequest, InferenceResult, RunStopped
from tests.support.processes.empty_result import empty_result
from tests.support.waiting import until


class Models(LoadedModels):
    """Reads the outcome of each inference from the file `plan`, one word per inference."""

    def __init__(self, plan: Path) -> None:
        self._plan = plan

    def load(self, model_ids: Sequence[str]) -> str:
        if "missing" in model_ids:
            raise Misconfigured("model 'missing' is not installed", key="rules.model")
        return "CPU"

    def infer(self, request: InferenceRequest) -> InferenceResult:
        word, *rest = self._plan.read_text().split()
        self._plan.write_text(" ".join(rest))
        match word:
            case "hang":
                threading.Event().wait()
            case "until-stopped":
                stop_file = request.stop_file
                until(lambda: stop_file is not None and stop_file.exists(), 60.0, "the stop file")
                raise RunStopped("stopped")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "break":
                raise ZeroDivisionError("by a defect")
            case "refuse":
                raise Rejected(RejectionReason.TOO_FEW_SLICES, "The series has 3 slices.")
            case "wait":
                raise Transient("an image cannot be read: Stale file handle")
        return empty_result(request)

    def analyse(self, request: InferenceRequest) -> InferenceResult | None:
        self._request = request
        result = self.infer(request)
        return replace(result, refusal="too few") if self._plan.read_text() == "notice" else None

    def finish(self, other_results: Sequence[OtherResult]) -> InferenceResult:
        result = self.infer(self._request)
        return replace(result, timings_s={other.model: 1.0 for other in other_results})


class ConcurrencyProbe(LoadedModels):
    """Each inference waits up to a second for another one at the same time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, model_ids: Sequence[str]) -> str:
        return "CPU"

    def infer(self, request: InferenceRequest) -> InferenceResult:
        own = self._folder / f"{os.getpid()}"
        own.with_suffix(".here").touch()
        try:
            until(lambda: len(list(self._folder.glob("*.here"))) == 2, 1.0, "the other")
            outcome = "met"
        except AssertionError:
            outcome = "alone"
        n = len(list(self._folder.glob("*.end")))
        (self._folder / f"{n}-{os.getpid()}.end").write_text(outcome)
        if outcome == "alone":
            own.with_suffix(".here").unlink()
        return empty_result(request)


class CollectorProbe(LoadedModels):
    """Tells whether the garbage collector is on."""

    def __init__(self) -> None:
        pass

    def load(self, model_ids: Sequence[str]) -> str:
        return "on" if gc.isenabled() else "off"
