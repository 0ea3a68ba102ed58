"""The installed models, each loaded on first use and kept in memory, and their run on a job."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import structlog

from models.manifest import InvalidPackage, ModelSpec
from node.domain.errors import Misconfigured
from node.domain.texts.result_texts import ResultTexts
from node.jobs.inference import InferenceRequest, InferenceResult

if TYPE_CHECKING:
    from node.dicom.results.comparison.other_result import OtherResult
    from node.inference.job_run import JobRun
    from node.pipeline import Segmenter

_LOG = structlog.get_logger()


class LoadedModels:
    """Runs the pipeline with the model that a job names.

    The worker creates it and an inference process runs it: the worker imports neither torch nor
    what reads CT and writes results.
    """

    def __init__(
        self, specs: Mapping[str, ModelSpec], device: str, threads: int | None, texts: ResultTexts
    ) -> None:
        self._specs = specs
        self._device = device
        self._threads = threads
        self._texts = texts
        self._loaded: dict[str, Segmenter] = {}
        self._run: JobRun | None = None  # waits for `finish`

    def load(self, names: Sequence[str]) -> str:
        """Loads these models now, so that the first job does not wait for it.

        A name is a `model_id`, or one with the version, `model_id@version`.

        Returns the name of the device; empty without a model.

        Raises:
            Misconfigured: a package is damaged or not installed.
        """
        for name in names:
            self._model(name)
        if not names:
            return ""
        from models.devices import device_name, select_device

        return device_name(select_device(self._device))

    def infer(self, request: InferenceRequest) -> InferenceResult:
        """Runs the job's model on its series, and writes the objects to the request's folder.

        Raises:
            Rejected: the series is not suitable for this model, and no notice is wanted.
            Transient: the disk with its files does not answer.
        """
        refusal = self.analyse(request)
        return self.finish(()) if refusal is None else refusal

    def analyse(self, request: InferenceRequest) -> InferenceResult | None:
        """Runs the job's model on its series; `finish` makes the result.

        Returns the result now if the series is refused and a notice is wanted. Raises as `infer`.
        """
        from node.inference.job_run import JobRun

        self._run = None
        run = JobRun(request, self._model(request.job.model_reference), self._texts)
        refusal = run.analyse()
        if refusal is None:
            self._run = run
        return refusal

    def finish(self, other_results: Sequence["OtherResult"]) -> InferenceResult:
        """Compares the analysed series with other results, and writes the objects."""
        if self._run is None:
            raise RuntimeError("no series has been analysed")
        run, self._run = self._run, None
        return run.finish(other_results)

    def _model(self, name: str) -> "Segmenter":
        spec = self._specs.get(name)
        if spec is None:
            raise Misconfigured(f"model {name!r} is not installed")
        if spec.reference not in self._loaded:
            self._loaded[spec.reference] = self._load(spec)
        return self._loaded[spec.reference]

    def _load(self, spec: ModelSpec) -> "Segmenter":
        # Imported here: they cost seconds and memory that only an inference process may spend.
        import torch

        from models.devices import UnusableDevice
        from models.inference.predictor import Predictor

        if self._threads is not None:
            torch.set_num_threads(self._threads)
        started = perf_counter()
        try:
            predictor = Predictor.load(spec, self._device)
        except InvalidPackage as error:
            raise Misconfigured(str(error)) from error
        except UnusableDevice as error:
            raise Misconfigured(str(error), key="worker.device") from error
        _LOG.info(
            "model.loaded",
            model=f"{spec.model_id} {predictor.spec.version}",
            device=str(predictor.device),
            seconds=round(perf_counter() - started, 2),
        )
        return predictor
