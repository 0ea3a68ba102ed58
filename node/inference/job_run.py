"""One run of a job in an inference process: segments its series and writes its result objects."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import structlog
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from models.measurement import Measurement
from node.dicom.ct.headers import readable_headers
from node.dicom.report_content import report_of
from node.dicom.results.captures import refusal_notice
from node.dicom.results.captures.refusal_notice import Refusal
from node.dicom.results.content import ResultContent
from node.dicom.results.encoders import encode
from node.dicom.results.preview import overlay_png
from node.domain.errors import Rejected
from node.domain.result_objects import NOTICE, ObjectUids, ResultKind, ResultObject
from node.domain.result_texts import ResultTexts
from node.jobs.segment_step import InferenceRequest, InferenceResult, ProducedObject
from node.pipeline import ResultRequest, Segmenter, analyse

_LOG = structlog.get_logger()


def run_job(request: InferenceRequest, model: Segmenter, texts: ResultTexts) -> InferenceResult:
    """Runs the model on the job's series, and writes the objects to the request's folder.

    Raises:
        Rejected: the series is not suitable for this model, and no notice is wanted.
        Transient: the disk with its files does not answer.
    """
    try:
        return _segmented(request, model, texts)
    except Rejected as error:
        if not request.with_notice:
            raise
        return _refused(request, error)


def _segmented(request: InferenceRequest, model: Segmenter, texts: ResultTexts) -> InferenceResult:
    job = request.job
    described = ResultRequest(
        job_id=job.job_id,
        # The job's own time, so that a job that runs again writes the same object.
        made_at=job.created_at,
        replaces=request.replaces,
        texts=texts,
        mark_on=request.mark_on,
        acquisitions=request.acquisitions,
    )

    def log_stage(stage: str) -> None:
        _LOG.debug("job.stage", job=job.job_id, stage=stage)

    found = analyse(request.files, model, described, on_stage=log_stage)
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


def _refused(request: InferenceRequest, error: Rejected) -> InferenceResult:
    """Writes the notice of a refused series."""
    job = request.job
    refusal = Refusal(
        study_instance_uid=job.study_instance_uid,
        headers=readable_headers(request.files),
        instance_count=len(request.files),
        rule=job.rule,
        model=f"{job.model_id} {job.model_version}",
        reason=str(error),
        made_at=job.created_at,
    )
    uids = ObjectUids(job.job_id, NOTICE)
    notice = refusal_notice.encode(
        refusal,
        series_instance_uid=uids.series_instance_uid,
        sop_instance_uid=uids.sop_instance_uid(),
    )
    written = _write([notice], NOTICE, request.output)
    return InferenceResult((written,), b"", {}, {}, refusal=str(error), rejection=error.reason)


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
