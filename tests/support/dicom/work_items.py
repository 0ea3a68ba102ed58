"""Work items as a workflow manager schedules them (PS3.4 Table CC.2.5-3, N-CREATE)."""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.support.factories import CT_IMAGE

UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"


def code(value: str, scheme: str = "99HOSP", meaning: str = "Liver segmentation") -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def series_input(
    study: str,
    series: str,
    *,
    instances: Sequence[str] = (),
    url: str = "",
    ae_title: str = "",
) -> Dataset:
    """An item of the Input Information Sequence (PS3.3 Table 10-3b)."""
    item = Dataset()
    item.TypeOfInstances = "DICOM"
    item.StudyInstanceUID = study
    item.SeriesInstanceUID = series
    references = []
    for uid in instances:
        reference = Dataset()
        reference.ReferencedSOPClassUID = CT_IMAGE
        reference.ReferencedSOPInstanceUID = uid
        references.append(reference)
    item.ReferencedSOPSequence = references
    if url:
        web = Dataset()
        web.RetrieveURL = url
        item.WADORSRetrievalSequence = [web]
    if ae_title:
        dimse = Dataset()
        dimse.RetrieveAETitle = ae_title
        item.DICOMRetrievalSequence = [dimse]
    return item


def scheduled_work_item(
    *inputs: Dataset,
    uid: str = "",
    codes: Sequence[str] = ("LIVER",),
    station: str = "",
    label: str = "",
    priority: str = "MEDIUM",
    readiness: str = "READY",
    starts: str = "20260101000000",
) -> Dataset:
    """A work item in state SCHEDULED."""
    item = Dataset()
    item.SOPClassUID = UPS_PUSH
    item.SOPInstanceUID = uid or generate_uid()
    item.ProcedureStepState = "SCHEDULED"
    item.PatientName = "Secret^Patient"
    item.PatientID = "SECRET-1"
    item.ProcedureStepLabel = "Segment the liver of Secret^Patient"
    item.WorklistLabel = label
    item.ScheduledProcedureStepPriority = priority
    item.ScheduledProcedureStepStartDateTime = starts
    item.InputReadinessState = readiness
    item.ScheduledWorkitemCodeSequence = [code(value) for value in codes]
    item.ScheduledStationNameCodeSequence = [code(station, meaning="AI")] if station else []
    item.InputInformationSequence = list(inputs)
    item.ProcedureStepProgressInformationSequence = []
    item.UnifiedProcedureStepPerformedProcedureSequence = []
    return item
