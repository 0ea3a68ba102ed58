"""The one-page summary as Encapsulated PDF (PS3.3 A.45.1)."""

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from node.dicom.results.captures.secondary_capture import ConversionType
from node.dicom.results.captures.source_references import instance_reference
from node.dicom.results.captures.summary_page import summary_page
from node.dicom.results.content import ResultContent
from node.dicom.results.pages.header_texts import header_text
from node.dicom.results.pages.page_pdf import page_pdf
from node.dicom.results.references import check_source_uids
from node.dicom.results.result_attributes import complete_result, context_source
from node.dicom.results.series_texts import series_description, series_number
from node.domain.result_objects import ResultObject


def encode(content: ResultContent, result_object: ResultObject) -> list[Dataset]:
    """Returns the page as PDF with patient data, with file meta information.

    The page names the patient, because a printed page has no header.

    Raises:
        Rejected: the source lacks a UID that the document must reference.
    """
    check_source_uids(content.source)
    pdf = page_pdf(summary_page(content, with_patient=True), content.made_at)
    uids = content.uids(result_object)
    result = Dataset()
    result.SOPClassUID = EncapsulatedPDFStorage
    result.SOPInstanceUID = uids.sop_instance_uid()
    result.StudyInstanceUID = content.source.sources[0].StudyInstanceUID
    # Encapsulated Document Series, PS3.3 C.24.1.
    result.Modality = "DOC"
    result.SeriesInstanceUID = uids.series_instance_uid
    result.SeriesNumber = series_number(content, result_object)
    result.SeriesDescription = series_description(content, result_object)
    result.ConversionType = ConversionType.WORKSTATION.value  # SC Equipment, PS3.3 C.8.6.1
    _set_document(result, pdf, content)
    texts = (result.DocumentTitle, result.SeriesDescription)
    completed = complete_result(result, content.source, content.spec, content.made_at, texts)
    del completed.PositionReferenceIndicator  # a document has no frame of reference
    if "BodyPartExamined" in completed:
        del completed.BodyPartExamined  # not part of Encapsulated Document Series
    return [completed]


def _set_document(result: Dataset, pdf: bytes, content: ResultContent) -> None:
    """Sets the Encapsulated Document module, PS3.3 C.24.2."""
    result.InstanceNumber = 1
    result.AcquisitionDateTime = _acquired(context_source(content.source))
    result.BurnedInAnnotation = "YES"  # the page identifies the patient
    result.SourceInstanceSequence = [
        instance_reference(source) for source in content.source.sources
    ]
    spec = content.spec
    part = content.source.part
    of_part = "" if part is None else f", {part.title}"
    result.DocumentTitle = f"Automatic segmentation, {spec.model_id} {spec.version}{of_part}"
    title = Dataset()  # PS3.16 CID 7020
    title.CodeValue = "126000"
    title.CodingSchemeDesignator = "DCM"
    title.CodeMeaning = "Imaging Measurement Report"
    result.ConceptNameCodeSequence = [title]
    result.VerificationFlag = "UNVERIFIED"
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    result.EncapsulatedDocumentLength = len(pdf)  # without the padding to an even length
    result.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)


def _acquired(header: Dataset) -> str | None:
    """Returns when the source was acquired (DT); None if it does not say."""
    date_time = header_text(header, "AcquisitionDateTime")
    if date_time:
        return date_time
    date = header_text(header, "AcquisitionDate")
    return f"{date}{header_text(header, 'AcquisitionTime')}" if date else None
