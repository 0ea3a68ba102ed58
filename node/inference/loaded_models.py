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
from node.dicom.ct.acquisitions import headers_of_part
from node.dicom.ct.headers import readable_headers
from node.dicom.report_content import report_of
from node.dicom.results.captures import refusal_notice
from node.dicom.results.captures.refusal_notice import Refusal
from node.dicom.results.content import ResultContent
from node.dicom.results.encoders import encode
from node.dicom.results.preview import overlay_png
from node.domain.errors import Misconfigured, Rejected
from node.domain.result_objects import NOTICE, ObjectUids, ResultKind, ResultObject
from node.domain.result_texts import ResultTexts
from node.jobs.segment_step import InferenceRequest, InferenceResult, ProducedObject
from node.pipeline import ResultRequest, Segmenter, analyse

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
        try:
            return self._infer(request)
        except Rejected as error:
            if not request.with_notice:
                raise
            return _refused(request, str(error))

    def _infer(self, request: InferenceRequest) -> InferenceResult:
        job = request.job
        described = ResultRequest(
            job_id=job.job_id,
            # The job's own time, so that a job that runs again writes the same object.
            made_at=job.created_at,
            replaces=request.replaces,
            texts=self._texts,
            mark_on=request.mark_on,
            acquisitions=request.acquisitions,
            part=job.part,
        )

        def log_stage(stage: str) -> None:
            _LOG.debug("job.stage", job=job.job_id, stage=stage)

        found = analyse(request.files, self._model(job.model_id), described, on_stage=log_stage)
        content = found.content
        log_stage("encode")
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
            timings_s=found.timings_s | timings_s,
            findings=content.findings,
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


def _refused(request: InferenceRequest, reason: str) -> InferenceResult:
    """Writes the notice of a refused series."""
    job = request.job
    headers = readable_headers(request.files)
    refusal = Refusal(
        study_instance_uid=job.study_instance_uid,
        headers=headers if job.part is None else headers_of_part(headers, job.part),
        instance_count=len(request.files) if job.part is None else job.part.instance_count,
        rule=job.rule,
        model=f"{job.model_id} {job.model_version}",
        reason=reason,
        made_at=job.created_at,
        part=job.part,
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
