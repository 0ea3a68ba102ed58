"""The installed models, each loaded on first use and kept in memory, and their run on a job."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import structlog
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from models.manifest import InvalidPackage, ModelSpec
from models.measurement import Measurement
from node.dicom.ct.headers import readable_headers
from node.dicom.report_content import report_of
from node.dicom.results.captures import refusal_notice
from node.dicom.results.captures.refusal_notice import Refusal
from node.dicom.results.comparison.other_result import OtherResult
from node.dicom.results.comparison.stored_segments import NotComparable
from node.dicom.results.content import ResultContent
from node.dicom.results.encoders import encode
from node.dicom.results.preview import overlay_png
from node.domain.errors import Misconfigured, Rejected
from node.domain.result_objects import NOTICE, ObjectUids, ResultKind, ResultObject
from node.domain.result_texts import ResultTexts
from node.jobs.inference import InferenceRequest, InferenceResult, ProducedObject
from node.pipeline import Analysis, ResultRequest, Segmenter, analyse, compared

_LOG = structlog.get_logger()


class LoadedModels:
    """Runs the pipeline with the model that a job names."""

    def __init__(
        self, specs: Mapping[str, ModelSpec], device: str, threads: int | None, texts: ResultTexts
    ) -> None:
        self._specs = specs
        self._device = device
        self._threads = threads
        self._texts = texts
        self._loaded: dict[str, Segmenter] = {}
        self._analysed: tuple[InferenceRequest, Analysis] | None = None  # waits for `finish`

    def load(self, model_ids: Sequence[str]) -> None:
        """Loads these models now, so that the first job does not wait for it.

        Raises:
            Misconfigured: a package is damaged or not installed.
        """
        for model_id in model_ids:
            self._model(model_id)

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
        self._analysed = None
        try:
            analysis = analyse(
                request.files,
                self._model(request.job.model_id),
                self._described(request),
                on_stage=lambda stage: _log_stage(request, stage),
            )
        except Rejected as error:
            if not request.with_notice:
                raise
            return _refused(request, str(error))
        self._analysed = (request, analysis)
        return None

    def finish(self, other_results: Sequence[OtherResult]) -> InferenceResult:
        """Compares the analysed series with other results, and writes the objects."""
        if self._analysed is None:
            raise RuntimeError("no series has been analysed")
        request, analysis = self._analysed
        self._analysed = None
        for other in other_results:
            try:
                analysis = compared(analysis, other, self._described(request))
            except NotComparable as error:
                # The result is complete without the comparison.
                job_id = request.job.job_id
                _LOG.warning("job.not_compared", job=job_id, model=other.model, reason=str(error))
        return _write_result(request, analysis)

    def _described(self, request: InferenceRequest) -> ResultRequest:
        return ResultRequest(
            job_id=request.job.job_id,
            # The job's own time, so that a job that runs again writes the same object.
            made_at=request.job.created_at,
            replaces=request.replaces,
            texts=self._texts,
            mark_on=request.mark_on,
            min_agreement=request.min_agreement,
            acquisitions=request.acquisitions,
        )

    def _model(self, model_id: str) -> Segmenter:
        if model_id not in self._loaded:
            self._loaded[model_id] = self._load(model_id)
        return self._loaded[model_id]

    def _load(self, model_id: str) -> Segmenter:
        # Imported here: torch costs seconds and memory that only an inference process may spend.
        import torch

        from models.devices import UnusableDevice
        from models.inference.predictor import Predictor

        if self._threads is not None:
            torch.set_num_threads(self._threads)
        started = perf_counter()
        try:
            predictor = Predictor.load(self._specs[model_id], self._device)
        except KeyError as error:
            raise Misconfigured(f"model {model_id!r} is not installed") from error
        except InvalidPackage as error:
            raise Misconfigured(str(error)) from error
        except UnusableDevice as error:
            raise Misconfigured(str(error), key="worker.device") from error
        _LOG.info(
            "model.loaded",
            model=f"{model_id} {predictor.spec.version}",
            device=str(predictor.device),
            seconds=round(perf_counter() - started, 2),
        )
        return predictor


def _log_stage(request: InferenceRequest, stage: str) -> None:
    _LOG.debug("job.stage", job=request.job.job_id, stage=stage)


def _write_result(request: InferenceRequest, analysis: Analysis) -> InferenceResult:
    """Writes the objects of an analysed series to the request's folder."""
    content = analysis.content
    _log_stage(request, "encode")
    encoding_started = perf_counter()
    objects = tuple(
        _write_report(content, request)
        if each.kind is ResultKind.REPORT
        else _write(encode(content, each), each, request.output)
        for each in request.objects
    )
    preview_started = perf_counter()
    picture = overlay_png(content.source.volume, content.mask, content.measurements)
    timings_s = {
        "encode": preview_started - encoding_started,
        "picture": perf_counter() - preview_started,
    }
    return InferenceResult(
        objects=objects,
        picture_png=picture,
        measurements={name: _stored_values(m) for name, m in content.measurements.items()},
        timings_s=analysis.timings_s | timings_s,
        findings=content.findings,
    )


def _refused(request: InferenceRequest, reason: str) -> InferenceResult:
    """Writes the notice of a refused series."""
    job = request.job
    refusal = Refusal(
        study_instance_uid=job.study_instance_uid,
        headers=readable_headers(request.files),
        instance_count=len(request.files),
        rule=job.rule,
        model=f"{job.model_id} {job.model_version}",
        reason=reason,
        made_at=job.created_at,
    )
    uids = ObjectUids(job.job_id, NOTICE)
    notice = refusal_notice.encode(
        refusal,
        series_instance_uid=uids.series_instance_uid,
        sop_instance_uid=uids.sop_instance_uid(),
    )
    written = _write([notice], NOTICE, request.output)
    return InferenceResult((written,), b"", {}, {}, refusal=reason)


def _write(
    datasets: Iterable[Dataset], result_object: ResultObject, output: Path
) -> ProducedObject:
    """Writes the instances of one object into a folder of its own in `output`."""
    folder = output / result_object.name
    folder.mkdir()
    files, sop_class_uid = [], ""
    for number, dataset in enumerate(datasets, start=1):
        file = folder / f"{number:04d}.dcm"
        dcmwrite(file, dataset, enforce_file_format=True)
        files.append(file)
        sop_class_uid = str(dataset.SOPClassUID)
    return ProducedObject(result_object, sop_class_uid, tuple(files))


def _write_report(content: ResultContent, request: InferenceRequest) -> ProducedObject:
    """Writes the report for information systems, which names the job's other objects."""
    folder = request.output / ResultKind.REPORT
    folder.mkdir()
    file = folder / "report.json"
    file.write_text(report_of(content, request.objects).to_json(), encoding="utf-8")
    return ProducedObject(ResultObject(ResultKind.REPORT), "", (file,))


def _stored_values(measurement: Measurement) -> dict[str, float | bool]:
    """Converts a measurement to its form in the job's row; values not measured are absent."""
    return {name: value for name, value in asdict(measurement).items() if value is not None}
