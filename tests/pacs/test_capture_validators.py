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
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.captures import capture, pdf, refusal_notice, summary
from node.dicom.results.captures.refusal_notice import Refusal
from node.dicom.results.content import ResultContent
from node.dicom.results.transcoding import uncompressed
from node.domain.identifiers import Uid, mint_uid
from node.domain.result_objects import ResultKind, ResultObject
from tests.pacs.test_seg_validators import program, saved
from tests.support.dicom.body import AXIAL, CORONAL, FEET_FIRST, Directions, grid, oblique
from tests.support.dicom.builders import (
    LIVER,
    MADE_AT,
    SPLEEN,
    ct_series,
    enhanced_ct,
)
from tests.support.dicom.result_content import liver_content
from tests.support.shared_data import ct_files

# What dciodvfy reports although the standard has it, and why:
EXPECTED_WARNINGS = [
    # Image Plane and Frame of Reference are modules of Secondary Capture (PS3.3 A.8.1.3), and
    # Device UID belongs to General Equipment (C.7.5.1); dciodvfy has older tables.
    r"not present in standard DICOM IOD - \(0x0018,0x0050\) DS Slice Thickness",
    r"not present in standard DICOM IOD - \(0x0018,0x1002\) UI Device UID",
    r"not present in standard DICOM IOD - \(0x0020,0x0032\) DS Image Position",
    r"not present in standard DICOM IOD - \(0x0020,0x0037\) DS Image Orientation",
    r"not present in standard DICOM IOD - \(0x0020,0x0052\) UI Frame of Reference UID",
    r"not present in standard DICOM IOD - \(0x0020,0x1040\) LO Position Reference Indicator",
    r"this is a Standard Extended SOP Class",  # follows from the above
]
# The real CT has no patient ID, no study date and no body part; nothing is invented.
WARNINGS_OF_A_POOR_SOURCE = [
    r"needed to build DICOMDIR",
    r"only permitted to be empty when actually unknown.*<Laterality>",
]


def notice_of(source: CtSeries) -> Dataset:
    return refusal_notice.encode(
        Refusal(
            study_instance_uid=Uid(source.sources[0].StudyInstanceUID),
            headers=source.sources,
            instance_count=len(source.sources),
            rule="abdomen",
            model="liver-ct 0.3.0",
            reason="Slices are missing. Send the series again.",
            made_at=MADE_AT,
        ),
        series_instance_uid=mint_uid("notice", "series"),
        sop_instance_uid=mint_uid("notice", "instance"),
    )


def objects_of(content: ResultContent) -> Iterator[tuple[str, Dataset]]:
    """Yields each object with a name for its file; of the captures the first and the last."""
    captures = list(capture.encode(content, ResultObject(ResultKind.CAPTURE)))
    yield "capture-first", captures[0]
    yield "capture-last", captures[-1]
    yield "capture-plain", uncompressed(captures[0])
    yield "summary", summary.encode(content, ResultObject(ResultKind.SUMMARY))[0]
    yield "pdf", pdf.encode(content, ResultObject(ResultKind.PDF))[0]
    yield "notice", notice_of(content.source)


def unexpected(path: Path, accepted: list[str]) -> list[str]:
    """Returns what dciodvfy reports for the file, except the accepted warnings."""
    dciodvfy = program("dciodvfy", "apt-get install dicom3tools")
    done = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert any(line.strip() in ("SCImage", "EncapsulatedPDF") for line in lines), lines
    reports = [line for line in lines if line.startswith(("Error", "Warning"))]
    return [r for r in reports if not any(re.search(pattern, r) for pattern in accepted)]


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
    for name, dataset in objects_of(liver_content(series, labels=(LIVER, SPLEEN))):
        assert unexpected(saved(dataset, tmp_path / f"{name}.dcm"), EXPECTED_WARNINGS) == []


def test_dciodvfy_accepts_results_of_a_multi_frame_ct(tmp_path: Path) -> None:
    series = read_series([saved(enhanced_ct(oblique()), tmp_path / "ct.dcm")])
    for name, dataset in objects_of(liver_content(series)):
        assert unexpected(saved(dataset, tmp_path / f"{name}.dcm"), EXPECTED_WARNINGS) == []


def test_dciodvfy_accepts_results_of_a_real_ct(tmp_path: Path) -> None:
    content = liver_content(read_series(ct_files("chaos-set3")))
    accepted = [*EXPECTED_WARNINGS, *WARNINGS_OF_A_POOR_SOURCE]
    for name, dataset in objects_of(content):
        assert unexpected(saved(dataset, tmp_path / f"{name}.dcm"), accepted) == []


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
