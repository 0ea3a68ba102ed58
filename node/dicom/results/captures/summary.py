"""The one-page summary as Secondary Capture image (PS3.3 A.8.1)."""

from pydicom.dataset import Dataset

from node.dicom.results.captures.secondary_capture import (
    CAPTURE_TRANSFER_SYNTAX,
    CaptureIdentity,
    ConversionType,
    finish_capture,
    secondary_capture,
)
from node.dicom.results.captures.source_references import (
    referenced_series,
    set_lossy_compression,
    source_image,
)
from node.dicom.results.captures.summary_page import summary_page
from node.dicom.results.content import ResultContent
from node.dicom.results.pages.page_picture import page_picture
from node.dicom.results.references import check_source_uids
from node.dicom.results.result_attributes import complete_result, context_source
from node.dicom.results.series_texts import series_description, series_number
from node.domain.result_objects import ResultObject


def encode(content: ResultContent, result_object: ResultObject) -> list[Dataset]:
    """Returns the page as one colour image without patient data, with file meta information.

    A viewer shows the patient from the header beside it. RecognizableVisualFeatures stays absent:
    the node does not know whether a plane of the montage shows a face.

    Raises:
        Rejected: the source lacks a UID that the summary must reference.
    """
    check_source_uids(content.source)
    sources = content.source.sources
    uids = content.uids(result_object)
    identity = CaptureIdentity(
        study_instance_uid=str(sources[0].StudyInstanceUID),
        series_instance_uid=uids.series_instance_uid,
        sop_instance_uid=uids.sop_instance_uid(),
        series_number=series_number(content, result_object),
        series_description=series_description(content, result_object),
        instance_number=1,
    )
    picture = page_picture(summary_page(content, with_patient=False))
    image = secondary_capture(picture, identity, ConversionType.SYNTHETIC)
    frames = content.source.referenced_frames
    image.SourceImageSequence = [  # PS3.3 C.12.4.1.1
        source_image(source, frame_numbers=frames) for source in sources
    ]
    image.ReferencedSeriesSequence = referenced_series(sources)  # PS3.3 C.12.2
    spec = content.spec
    derivation = f"Summary of {spec.model_id} {spec.version}; not for diagnostic use."
    image.DerivationDescription = derivation  # PS3.3 C.12.4
    set_lossy_compression(image, sources)
    result = complete_result(
        image,
        content.source,
        spec,
        content.made_at,
        (derivation, identity.series_description),
        transfer_syntax_uid=CAPTURE_TRANSFER_SYNTAX,
    )
    return [finish_capture(result, context_source(content.source))]
