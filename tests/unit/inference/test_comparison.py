"""A job's result is compared with that of another model before its objects are written."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from structlog.testing import capture_logs

from models.manifest import ModelSpec
from models.mask import Mask
from node.dicom.ct.reader import read_series
from node.dicom.results.comparison.other_result import OtherResult
from node.domain.errors import Rejected
from node.domain.findings import FindingKind
from node.domain.identifiers import Uid
from node.domain.report import Report
from node.domain.result_objects import SEG, ResultKind, ResultObject
from node.domain.texts.result_texts import ResultTexts
from node.inference.loaded_models import LoadedModels
from node.jobs.inference import InferenceRequest, InferenceResult
from node.pipeline import Segmenter
from tests.support.dicom.body import AXIAL, grid
from tests.support.dicom.builders import LIVER, ThresholdSegmenter, ct_series
from tests.support.dicom.results import content_of, encoded_seg, liver_mask
from tests.support.factories import job_of

_SR, _REPORT = ResultObject(ResultKind.SR), ResultObject(ResultKind.REPORT)
_SUMMARY = ResultObject(ResultKind.SUMMARY)


class ExactModels(LoadedModels):
    """Every model is one that finds the liver of the body exactly."""

    def __init__(self) -> None:
        specs = {job_of(Uid("1.2.3")).model_reference: ThresholdSegmenter().spec}
        super().__init__(specs, "cpu", None, ResultTexts())

    def _load(self, spec: ModelSpec) -> Segmenter:
        return ThresholdSegmenter()


def request_for(files: list[Path], folder: Path) -> InferenceRequest:
    output = folder / "output"
    output.mkdir()
    job = job_of(Uid("1.2.3"))
    return InferenceRequest(job, tuple(files), output, (SEG, _SR, _SUMMARY, _REPORT))


def other_of(files: list[Path], folder: Path, *, rows: int) -> OtherResult:
    """The result of a model that finds the liver some rows beside its place."""
    series = read_series(files)
    labels = np.roll(liver_mask(series).volume.array, rows, axis=1)
    content = content_of(series, Mask(series.volume.with_array(labels), (LIVER,)), job_id="other")
    path = folder / "other.dcm"
    encoded_seg(content).save_as(path, enforce_file_format=True)
    return OtherResult(
        "organs-ct", "0.2.0", path, {n: asdict(m) for n, m in content.measurements.items()}
    )


def object_in(result: InferenceResult, kind: ResultKind) -> Path:
    return next(o.files[0] for o in result.objects if o.result_object.kind is kind)


def test_the_disagreement_is_in_the_result_and_in_its_objects(tmp_path: Path) -> None:
    files = ct_series().write(tmp_path / "ct")
    kinds = frozenset({FindingKind.MODELS_DISAGREE})
    request = replace(request_for(files, tmp_path), mark_on=kinds)
    models = ExactModels()
    assert models.analyse(request) is None
    result = models.finish([other_of(files, tmp_path, rows=8)])
    (finding,) = (f for f in result.findings if f.kind is FindingKind.MODELS_DISAGREE)
    assert finding.text.startswith("Two models disagree on the liver: liver-test 0.0.1 has")
    assert "compare" in result.timings_s
    sr_text = dcmread(object_in(result, ResultKind.SR)).to_json()
    assert "MODELS_DISAGREE" in sr_text
    assert finding.text in sr_text
    report = Report.from_json(object_in(result, ResultKind.REPORT).read_text("utf-8"))
    assert finding in report.findings
    assert report.is_marked


@pytest.mark.parametrize("min_agreement", [0.0, 0.5])
def test_the_limit_is_that_of_the_request(tmp_path: Path, min_agreement: float) -> None:
    files = ct_series().write(tmp_path / "ct")
    request = replace(request_for(files, tmp_path), min_agreement=min_agreement)
    models = ExactModels()
    models.analyse(request)
    result = models.finish([other_of(files, tmp_path, rows=3)])
    assert FindingKind.MODELS_DISAGREE not in {f.kind for f in result.findings}


def test_a_damaged_result_of_another_model_costs_the_comparison_only(tmp_path: Path) -> None:
    files = ct_series().write(tmp_path / "ct")
    other = other_of(files, tmp_path, rows=8)
    other.segmentation.write_bytes(b"no DICOM")
    models = ExactModels()
    models.analyse(request_for(files, tmp_path))
    with capture_logs() as logs:
        result = models.finish([other])
    assert [o.result_object for o in result.objects] == [SEG, _SR, _SUMMARY, _REPORT]
    assert FindingKind.MODELS_DISAGREE not in {f.kind for f in result.findings}
    (warning,) = (entry for entry in logs if entry["event"] == "job.not_compared")
    assert warning["model"] == "organs-ct 0.2.0"
    assert "cannot be read" in warning["reason"]


def test_a_refused_series_is_not_compared(tmp_path: Path) -> None:
    files = ct_series(geometry=grid(AXIAL, slices=3)).write(tmp_path / "ct")
    request, models = request_for(files, tmp_path), ExactModels()
    with pytest.raises(Rejected):
        models.analyse(request)
    refusal = models.analyse(replace(request, with_notice=True))
    assert refusal is not None
    assert "3 slices" in refusal.refusal
    with pytest.raises(RuntimeError, match="no series has been analysed"):
        models.finish([])


def test_without_comparison_the_result_is_the_same(tmp_path: Path) -> None:
    files = ct_series().write(tmp_path / "ct")
    whole = ExactModels().infer(request_for(files, tmp_path))
    models = ExactModels()
    (tmp_path / "second").mkdir()
    models.analyse(request_for(files, tmp_path / "second"))
    parts = models.finish([])
    assert whole.findings == parts.findings
    for a, b in zip(whole.objects, parts.objects, strict=True):
        assert [f.read_bytes() for f in a.files] == [f.read_bytes() for f in b.files]
