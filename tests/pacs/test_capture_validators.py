"""dciodvfy, Orthanc, dcmtk and poppler accept captures, summary, PDF and refusal notice."""

import re
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array

from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct.reader import read_series
from node.dicom.results.captures import capture, pdf, summary
from node.dicom.results.content import ResultContent
from node.dicom.results.transcoding import uncompressed
from node.domain.result_objects import ResultKind, ResultObject
from tests.support.dicom.body import AXIAL, CORONAL, FEET_FIRST, Directions, grid, oblique
from tests.support.dicom.builders import (
    LIVER,
    SPLEEN,
    ct_series,
    enhanced_ct,
)
from tests.support.dicom.result_content import liver_content, notice_of
from tests.support.shared_data import ct_files
from tests.support.validators import program, saved, unlisted_reports


def objects_of(content: ResultContent) -> Iterator[tuple[str, Dataset]]:
    """Yields each object with a name for its file; of the captures the first and the last."""
    captures = list(capture.encode(content, ResultObject(ResultKind.CAPTURE)))
    yield "capture-first", captures[0]
    yield "capture-last", captures[-1]
    yield "capture-plain", uncompressed(captures[0])
    yield "summary", summary.encode(content, ResultObject(ResultKind.SUMMARY))[0]
    yield "pdf", pdf.encode(content, ResultObject(ResultKind.PDF))[0]
    yield "notice", notice_of(content.source)


def unexpected(content: ResultContent, folder: Path, *, poor_source: bool = False) -> list[str]:
    """What dciodvfy reports for the objects and the conformance statement does not list."""
    return [
        report
        for name, dataset in objects_of(content)
        for report in unlisted_reports(
            saved(dataset, folder / f"{name}.dcm"), name.split("-")[0], poor_source=poor_source
        )
    ]


@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(FEET_FIRST, id="feet-first"),
        pytest.param(CORONAL, id="coronal"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_dciodvfy_reports_nothing_that_an_attribute_could_remove(
    directions: Directions, tmp_path: Path
) -> None:
    series = read_series(ct_series(directions).write(tmp_path / "ct"))
    assert unexpected(liver_content(series, labels=(LIVER, SPLEEN)), tmp_path) == []


def test_dciodvfy_accepts_results_of_a_multi_frame_ct(tmp_path: Path) -> None:
    series = read_series([saved(enhanced_ct(oblique()), tmp_path / "ct.dcm")])
    assert unexpected(liver_content(series), tmp_path) == []


def test_dciodvfy_accepts_results_of_a_real_ct(tmp_path: Path) -> None:
    content = liver_content(read_series(ct_files("chaos-set3")))
    assert unexpected(content, tmp_path, poor_source=True) == []


def test_orthanc_stores_and_returns_every_object(orthanc: OrthancPacs, tmp_path: Path) -> None:
    series = read_series(ct_series(geometry=grid(slices=12)).write(tmp_path / "ct"))
    content = liver_content(series)
    for name, dataset in objects_of(content):
        if name == "capture-plain":
            continue  # the same instance as the first capture
        orthanc.upload(saved(dataset, tmp_path / f"{name}.dcm"))
        body = {
            "Level": "Instance",
            "Query": {"SOPInstanceUID": dataset.SOPInstanceUID},
        }
        (found,) = orthanc.post("/tools/find", body)
        returned = dcmread(BytesIO(orthanc.file_of_instance(found)))
        assert returned == dcmread(tmp_path / f"{name}.dcm")


def test_pdftotext_finds_the_volumes_and_the_patient(tmp_path: Path) -> None:
    def identify(_index: int, dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = "Yamada^Tarou=山田^太郎"

    series = read_series(ct_series().modify(identify).write(tmp_path / "ct"))
    content = liver_content(series, labels=(LIVER, SPLEEN))
    (dataset,) = pdf.encode(content, ResultObject(ResultKind.PDF))
    stored = dcmread(saved(dataset, tmp_path / "pdf.dcm"))
    file = tmp_path / "page.pdf"
    file.write_bytes(stored.EncapsulatedDocument[: stored.EncapsulatedDocumentLength])
    pdftotext = program("pdftotext", "apt-get install poppler-utils")
    done = subprocess.run(
        [pdftotext, "-layout", file, "-"], capture_output=True, check=True, encoding="utf-8"
    )
    assert done.stderr == ""
    for label in content.mask.labels:
        volume_ml = content.measurements[label.name].volume_ml
        assert re.search(rf"{label.name} +{volume_ml:.0f} mL", done.stdout)
    assert "Yamada, Tarou (山田, 太郎)" in done.stdout


def test_dcmtk_extracts_the_same_pdf(tmp_path: Path) -> None:
    content = liver_content(read_series(ct_series().write(tmp_path / "ct")))
    (dataset,) = pdf.encode(content, ResultObject(ResultKind.PDF))
    dcm2pdf = program("dcm2pdf", "apt-get install dcmtk")
    source = saved(dataset, tmp_path / "pdf.dcm")
    subprocess.run([dcm2pdf, source, tmp_path / "page.pdf"], check=True)
    length = dataset.EncapsulatedDocumentLength
    extracted = (tmp_path / "page.pdf").read_bytes()
    assert extracted[:length] == dataset.EncapsulatedDocument[:length]


def test_openjpeg_in_another_program_reads_the_pixels_of_a_capture(tmp_path: Path) -> None:
    """Pillow brings its own OpenJPEG and reads the bare stream."""
    series = read_series(ct_series().write(tmp_path / "ct"))
    image = next(capture.encode(liver_content(series), ResultObject(ResultKind.CAPTURE)))
    stream = get_frame(image.PixelData, 0, number_of_frames=1)
    with Image.open(BytesIO(stream)) as picture:
        assert picture.format == "JPEG2000"
        assert picture.mode == "RGB"
        stored = dcmread(saved(image, tmp_path / "capture.dcm"))
        assert picture.tobytes() == pixel_array(stored).tobytes()
