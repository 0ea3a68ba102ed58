"""Independent software reads the measurement report and finds the measured values in it."""

import json
import re
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.mask import Mask
from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct.reader import read_series
from node.dicom.results.content import ResultContent
from node.dicom.results.measurement_report import encode
from node.domain.identifiers import Uid
from node.domain.job import ReplacedResult
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding, tracking_uid
from tests.support.dicom.builders import LIVER, ct_series, enhanced_ct, legacy_converted
from tests.support.dicom.measured_content import (
    JOB_ID,
    body_content,
    measured_content,
    organs_content,
)
from tests.support.shared_data import ct_files
from tests.support.validators import program, saved, unlisted_reports

SR = ResultObject(ResultKind.SR)
LABELMAP = ResultObject(ResultKind.SR, SegEncoding.LABELMAP)


def report_file(content: ResultContent, folder: Path, result_object: ResultObject = SR) -> Path:
    (dataset,) = encode(content, result_object)
    return saved(dataset, folder / f"{result_object.name}.dcm")


def output_of(tool: str, how_to_install: str, *arguments: object) -> str:
    """What the program prints; it must succeed."""
    command = [program(tool, how_to_install), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> ResultContent:
    return organs_content(tmp_path_factory.mktemp("organs"))


@pytest.mark.parametrize("encoding", SegEncoding)
def test_dciodvfy_finds_nothing_unexpected_in_a_report(
    organs: ResultContent, encoding: SegEncoding, tmp_path: Path
) -> None:
    result_object = ResultObject(ResultKind.SR, encoding)
    path = report_file(organs, tmp_path, result_object)
    assert unlisted_reports(path, result_object.name) == []


def test_dciodvfy_finds_nothing_unexpected_in_a_report_with_findings_and_an_order(
    tmp_path: Path,
) -> None:
    def change(_index: int, dataset: Dataset) -> None:
        dataset.AccessionNumber = "A-17"
        dataset.BodyPartExamined = "ABDOMEN"
        request = Dataset()
        request.RequestedProcedureID = "RP-2"
        dataset.RequestAttributesSequence = [request]

    replaced = ReplacedResult(Uid("1.2.3.4"), 12, "0.1.0")
    content = body_content(tmp_path / "ct", change=change, replaces=replaced)
    assert len(content.findings) > 2
    assert unlisted_reports(report_file(content, tmp_path), "sr") == []


@pytest.mark.parametrize("source_type", ["enhanced", "legacy converted"])
def test_dciodvfy_finds_nothing_unexpected_in_the_report_of_a_multi_frame_ct(
    source_type: str, tmp_path: Path
) -> None:
    source = enhanced_ct() if source_type == "enhanced" else legacy_converted(ct_series())
    content = bright_content([saved(source, tmp_path / "ct.dcm")])
    assert unlisted_reports(report_file(content, tmp_path), "sr") == []


def test_dciodvfy_finds_nothing_unexpected_in_the_report_of_a_real_ct(tmp_path: Path) -> None:
    content = bright_content(ct_files("chaos-set3"))
    assert unlisted_reports(report_file(content, tmp_path), "sr", poor_source=True) == []


@pytest.mark.parametrize("result_object", [SR, LABELMAP], ids=lambda one: one.name)
def test_dcmqi_reads_the_values_of_every_organ(
    organs: ResultContent, result_object: ResultObject, tmp_path: Path
) -> None:
    path, metadata = report_file(organs, tmp_path, result_object), tmp_path / "sr.json"
    output_of(
        "tid1500reader", "pip install dcmqi", "--inputDICOM", path, "--outputMetadata", metadata
    )
    read = json.loads(metadata.read_text())
    assert read["VerificationFlag"] == "UNVERIFIED"
    groups = {
        group["ReferencedSegment"]: group
        for group in read["Measurements"]
        if "ReferencedSegment" in group
    }
    assert len(groups) == len(organs.mask.labels) - 1  # one organ was not found
    for number, group in groups.items():
        label = organs.mask.labels[number - 1]
        measured = organs.measurements[label.name]
        assert group["FindingSite"]["CodeValue"] == label.type.value
        assert group["TrackingUniqueIdentifier"] == tracking_uid(
            JOB_ID, label.index, len(organs.mask.labels)
        )
        seg_uid = organs.uids(result_object.segmentation).sop_instance_uid()
        assert group["segmentationSOPInstanceUID"] == seg_uid
        items = {
            item.get("derivationModifier", item["quantity"])["CodeMeaning"]: item
            for item in group["measurementItems"]
        }
        # dcmqi reads Numeric Value, which has 16 characters (DS).
        for name, value, unit in (
            ("Volume", measured.volume_ml, "mL"),
            ("Mean", measured.mean_hu, "[hnsf'U]"),
            ("Standard Deviation", measured.sd_hu, "[hnsf'U]"),
            ("Minimum", measured.min_hu, "[hnsf'U]"),
            ("Maximum", measured.max_hu, "[hnsf'U]"),
        ):
            assert float(items[name]["value"]) == pytest.approx(value, rel=1e-12)
            assert items[name]["units"]["CodeValue"] == unit


def test_dcmtk_shows_values_findings_and_the_warning(organs: ResultContent, tmp_path: Path) -> None:
    path = report_file(organs, tmp_path)
    shown = output_of("dsrdump", "apt-get install dcmtk", "+Pl", path)
    liver = organs.measurements["Liver"]
    values = [float(value) for value in re.findall(r"Volume.*=\"([\d.]+)\"", shown)]
    assert values[0] == pytest.approx(liver.volume_ml)
    assert len(values) == len(organs.mask.labels) - 1
    assert "Not for diagnostic use" in shown
    page = output_of("dsr2html", "apt-get install dcmtk", path)
    assert "No pancreas was found in the series." in page
    assert "Imaging Measurement Report" in page


def test_orthanc_returns_the_report_unchanged(
    organs: ResultContent, orthanc: OrthancPacs, tmp_path: Path
) -> None:
    path = report_file(organs, tmp_path)
    sender = program("dcmsend", "apt-get install dcmtk")
    subprocess.run(
        [sender, "-aec", orthanc.ae_title, "127.0.0.1", str(orthanc.dicom_port), path], check=True
    )
    (series,) = orthanc.find_series(organs.source.sources[0].StudyInstanceUID, "SR")
    (instance,) = series["Instances"]
    assert dcmread(BytesIO(orthanc.file_of_instance(instance))) == dcmread(path)


def bright_content(files: list[Path]) -> ResultContent:
    """The content of a series in which everything brighter than 50 HU is called liver."""
    series = read_series(files)
    bright = (series.volume.array > 50).astype(np.uint8)
    return measured_content(series, Mask(series.volume.with_array(bright), (LIVER,)))
