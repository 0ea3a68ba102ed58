"""One run of a job in an inference process: segments its series and writes its result objects."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import structlog
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from models.measurement import Measurement
from node.dicom.ct.acquisitions import headers_of_part
from node.dicom.ct.headers import readable_headers
from node.dicom.report_content import report_of
from node.dicom.results.captures import refusal_notice
from node.dicom.results.captures.refusal_notice import Refusal
from node.dicom.results.comparison.other_result import OtherResult
from node.dicom.results.comparison.stored_segments import NotComparable
from node.dicom.results.content import ResultContent
from node.dicom.results.encoders import encode
from node.dicom.results.preview import overlay_png
from node.domain.errors import Rejected
from node.domain.result_objects import NOTICE, ObjectUids, ResultKind, ResultObject
from node.domain.texts.result_texts import ResultTexts
from node.jobs.inference import InferenceRequest, InferenceResult, ProducedObject, RunStopped
from node.pipeline import Analysis, ResultRequest, Segmenter, analyse, compared

_LOG = structlog.get_logger()


@dataclass
class JobRun:
    """Runs a model on the series of one job; `texts` are those of the results."""

    request: InferenceRequest
    model: Segmenter
    texts: ResultTexts
    _analysis: Analysis | None = None

    def analyse(self) -> InferenceResult | None:
        """Segments and measures the series; `finish` makes the result.

        Returns the result now if the series is refused and a notice is wanted.

        Raises:
            Rejected: the series is not suitable for this model, and no notice is wanted.
            Transient: the disk with its files does not answer.
            RunStopped: the stop file of the request exists.
        """
        try:
            self._analysis = analyse(
                self.request.files,
                self.model,
                self._described(),
                progress=lambda _fraction: _check_stopped(self.request),
                on_stage=lambda stage: _begin_stage(self.request, stage),
            )
        except Rejected as error:
            if not self.request.with_notice:
                raise
            return _refused(self.request, error)
        return None

    def finish(self, other_results: Sequence[OtherResult]) -> InferenceResult:
        """Compares the analysed series with other results, and writes the objects."""
        if self._analysis is None:
            raise RuntimeError("the series has not been analysed")
        analysis = self._analysis
        for other in other_results:
            try:
                analysis = compared(analysis, other, self._described())
            except NotComparable as error:
                # The result is complete without the comparison.
                job_id = self.request.job.job_id
                _LOG.warning("job.not_compared", job=job_id, model=other.model, reason=str(error))
        return _write_result(self.request, analysis)

    def _described(self) -> ResultRequest:
        request = self.request
        return ResultRequest(
            job_id=request.job.job_id,
            # The job's own time, so that a job that runs again writes the same object.
            made_at=request.job.created_at,
            replaces=request.replaces,
            texts=self.texts,
            mark_on=request.mark_on,
            min_agreement=request.min_agreement,
            acquisitions=request.acquisitions,
            part=request.job.part,
        )


def _begin_stage(request: InferenceRequest, stage: str) -> None:
    _check_stopped(request)
    _LOG.debug("job.stage", job=request.job.job_id, stage=stage)


def _check_stopped(request: InferenceRequest) -> None:
    if request.stop_file is not None and request.stop_file.exists():
        raise RunStopped("nobody waits for the result any more, or a job needs the process")


def _write_result(request: InferenceRequest, analysis: Analysis) -> InferenceResult:
    """Writes the objects of an analysed series to the request's folder."""
    content = analysis.content
    _begin_stage(request, "encode")
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


def _refused(request: InferenceRequest, error: Rejected) -> InferenceResult:
    """Writes the notice of a refused series."""
    job = request.job
    headers = readable_headers(request.files)
    refusal = Refusal(
        study_instance_uid=job.study_instance_uid,
        headers=headers if job.part is None else headers_of_part(headers, job.part),
        instance_count=len(request.files) if job.part is None else job.part.instance_count,
        rule=job.rule,
        model=f"{job.model_id} {job.model_version}",
        reason=str(error),
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
