"""The one-page summary as picture and as PDF is complete; only the PDF names the patient."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pypdf import PdfReader

from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.captures import pdf, summary
from node.dicom.results.captures.summary_page import summary_page
from node.dicom.results.content import ResultContent
from node.dicom.results.encoders import encode
from node.dicom.results.pages.layout import PlacedText, lay_out
from node.domain.errors import Rejected
from node.domain.findings import Finding, FindingKind
from node.domain.result_objects import ResultKind, ResultObject
from tests.support.dicom.body import CORONAL
from tests.support.dicom.builders import LIVER, SPLEEN, ct_series
from tests.support.dicom.result_content import liver_content, read_back
from tests.support.dicom.results import part10

FINDING = Finding(FindingKind.CUT_BY_SERIES, "Liver", "The liver reaches the last slice.")


def series_of(directory: Path, patient_name: str = "Doe^Jane") -> CtSeries:
    def identify(_index: int, dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = patient_name
        dataset.PatientID = "4711-secret"
        dataset.PatientBirthDate = "19700102"
        dataset.AccessionNumber = "A-815"
        dataset.SeriesDescription = "Abdomen portalvenös"

    return read_series(ct_series().modify(identify).write(directory))


@pytest.fixture
def content(tmp_path: Path) -> ResultContent:
    return liver_content(series_of(tmp_path), labels=(LIVER, SPLEEN), findings=(FINDING,))


def summary_of(content: ResultContent) -> Dataset:
    (dataset,) = summary.encode(content, ResultObject(ResultKind.SUMMARY))
    return dataset


def pdf_of(content: ResultContent) -> Dataset:
    (dataset,) = pdf.encode(content, ResultObject(ResultKind.PDF))
    return dataset


def document(dataset: Dataset) -> bytes:
    return bytes(dataset.EncapsulatedDocument)[: dataset.EncapsulatedDocumentLength]


def pdf_text(dataset: Dataset) -> str:
    reader = PdfReader(BytesIO(document(dataset)))
    assert len(reader.pages) == 1
    return reader.pages[0].extract_text()


def page_texts(content: ResultContent, *, with_patient: bool) -> str:
    elements = lay_out(summary_page(content, with_patient=with_patient))
    return "\n".join(e.text for e in elements if isinstance(e, PlacedText))


def test_the_page_states_organs_findings_model_source_and_warning(content: ResultContent) -> None:
    shown = page_texts(content, with_patient=False)
    for label in content.mask.labels:
        measured = content.measurements[label.name]
        assert label.name in shown
        assert f"{measured.volume_ml:.0f} mL" in shown
        assert f"{measured.mean_hu:.0f} HU" in shown
    for text in (
        FINDING.text,
        "liver-test 0.0.1, weights 000000000000",
        "Abdomen portalvenös",
        "24 slices",
        "Not for diagnostic use",
        "2026-05-04",
    ):
        assert text in shown


def test_an_organ_that_is_cut_has_at_least_its_volume(content: ResultContent) -> None:
    liver = replace(content.measurements["Liver"], cut_by_series=True)
    spleen = replace(content.measurements["Spleen"], volume_ml=0.0, mean_hu=None)
    changed = replace(content, measurements={"Liver": liver, "Spleen": spleen})
    shown = page_texts(changed, with_patient=False)
    assert f"at least {liver.volume_ml:.0f} mL" in shown
    assert "not found" in shown
    assert "not measured" in shown


def test_a_marked_result_says_so(content: ResultContent) -> None:
    marked = page_texts(replace(content, is_marked=True), with_patient=False)
    assert "Check the findings before use." in marked
    assert "Check the findings" not in page_texts(content, with_patient=False)


def test_only_the_pdf_names_the_patient(content: ResultContent) -> None:
    identifying = ("Doe, Jane", "4711-secret", "1970-01-02", "A-815")
    picture, printed = summary_of(content), pdf_of(content)
    without = page_texts(content, with_patient=False)
    assert not any(text in without for text in identifying)
    assert picture.BurnedInAnnotation == "NO"
    assert all(text in pdf_text(printed) for text in identifying)
    assert printed.BurnedInAnnotation == "YES"
    for dataset in (picture, printed):  # both have it in the header
        assert dataset.PatientID == "4711-secret"
        assert dataset.PatientName == "Doe^Jane"


def test_the_picture_does_not_depend_on_the_patient(tmp_path: Path) -> None:
    pictures = [
        pixel_array(read_back(summary_of(liver_content(series_of(tmp_path / name, name)))))
        for name in ("Doe^Jane", "Roe^Richard")
    ]
    assert (pictures[0] == pictures[1]).all()


def test_the_picture_is_one_derived_colour_image(content: ResultContent) -> None:
    dataset = read_back(summary_of(content))
    picture = pixel_array(dataset)
    assert picture.shape == (1448, 1024, 3)
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY"]
    assert dataset.ConversionType == "SYN"
    assert "FrameOfReferenceUID" not in dataset
    referenced = {i.ReferencedSOPInstanceUID for i in dataset.SourceImageSequence}
    assert referenced == {source.SOPInstanceUID for source in content.source.sources}
    for label in content.mask.labels:
        assert np.count_nonzero((picture == label.display_rgb).all(axis=-1)) > 100


@pytest.mark.parametrize(
    ("patient_name", "shown"),
    [
        ("Müller^Jörg", "Müller, Jörg"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎 / やまだ, たろう)"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "홍, 길동"),
        ("สมชาย", "in a script that this page cannot print"),
    ],
)
def test_the_pdf_prints_the_name_in_its_script(
    patient_name: str, shown: str, tmp_path: Path
) -> None:
    dataset = pdf_of(liver_content(series_of(tmp_path, patient_name)))
    text = pdf_text(dataset)
    assert shown in text
    assert "?" not in text
    assert dataset.PatientName == patient_name


def test_the_pdf_object_states_document_and_sources(content: ResultContent) -> None:
    dataset = read_back(pdf_of(content))
    assert dataset.Modality == "DOC"
    assert dataset.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document(dataset).startswith(b"%PDF-")
    assert document(dataset).rstrip().endswith(b"%%EOF")
    assert len(dataset.EncapsulatedDocument) % 2 == 0
    assert dataset.DocumentTitle == "Automatic segmentation, liver-test 0.0.1"
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "126000"
    referenced = {i.ReferencedSOPInstanceUID for i in dataset.SourceInstanceSequence}
    assert referenced == {source.SOPInstanceUID for source in content.source.sources}


def test_the_pdf_embeds_its_fonts(content: ResultContent) -> None:
    page = PdfReader(BytesIO(document(pdf_of(content)))).pages[0]
    fonts = page["/Resources"]["/Font"]  # type: ignore[index] # PDF dictionaries
    for name in fonts:
        descendant = fonts[name]["/DescendantFonts"][0].get_object()
        assert "/FontFile2" in descendant["/FontDescriptor"]


def test_equal_content_gives_equal_bytes_and_another_time_gives_others(
    content: ResultContent,
) -> None:
    def digests(made: ResultContent) -> list[str]:
        return [
            hashlib.sha256(part10(dataset)).hexdigest()
            for dataset in (summary_of(made), pdf_of(made))
        ]

    assert digests(content) == digests(content)
    later = replace(content, made_at=content.made_at + timedelta(hours=1))
    assert all(a != b for a, b in zip(digests(content), digests(later), strict=True))


@pytest.mark.parametrize("kind", [ResultKind.CAPTURE, ResultKind.SUMMARY, ResultKind.PDF])
def test_a_source_without_a_study_is_refused(kind: ResultKind, content: ResultContent) -> None:
    del content.source.sources[5].StudyInstanceUID
    with pytest.raises(Rejected, match="StudyInstanceUID"):
        list(encode(content, ResultObject(kind)))


def test_lossy_sources_are_declared_on_the_picture(tmp_path: Path) -> None:
    def declare(_index: int, dataset: Dataset) -> None:
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionRatio = "8"
        dataset.LossyImageCompressionMethod = "ISO_10918_1"

    series = read_series(ct_series(CORONAL).modify(declare).write(tmp_path))
    assert summary_of(liver_content(series)).LossyImageCompression == "01"
