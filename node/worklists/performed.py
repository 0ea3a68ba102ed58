"""The attributes that a performer reports: progress, performed procedure, discontinuation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from node.domain.identifiers import Uid
from node.domain.worklists.codes import Code

# PS3.5 6.2: the lengths of ST, LT and LO.
_MAX_DESCRIPTION = 1024
_MAX_REASON = 10240
_MAX_LABEL = 64


@dataclass(frozen=True)
class OutputSeries:
    """A series that the work item produced, and where it can be retrieved."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_class_uid: str
    sop_instance_uids: tuple[Uid, ...]
    ae_titles: tuple[str, ...]  # of archives that received it by C-STORE
    web_roots: tuple[str, ...]  # the URLs of DICOMweb servers that received it by STOW-RS


@dataclass(frozen=True)
class Performance:
    """How the node performed a work item. `description` names models and versions."""

    station: Code
    workitem_codes: tuple[Code, ...]
    started_at: datetime
    ended_at: datetime
    description: str
    outputs: tuple[OutputSeries, ...]


def progress_report(percent: int, description: str) -> Dataset:
    """Returns the progress (PS3.3 C.30.1)."""
    item = Dataset()
    item.ProcedureStepProgress = str(percent)
    item.ProcedureStepProgressDescription = description[:_MAX_DESCRIPTION]
    report = Dataset()
    report.ProcedureStepProgressInformationSequence = [item]
    return report


def completion_report(performance: Performance) -> Dataset:
    """Returns what a COMPLETED work item must have (PS3.4 CC.2.5.1.1, code P), and its progress."""
    report = progress_report(100, "completed")
    report.UnifiedProcedureStepPerformedProcedureSequence = [_performed(performance)]
    return report


def cancellation_report(performance: Performance, percent: int, reason: str, code: Code) -> Dataset:
    """Returns what a CANCELED work item must have (PS3.4 CC.2.5.1.1, code X).

    What the node produced before is in it, too (PS3.17 GGG.3).
    """
    report = progress_report(percent, f"canceled: {reason}")
    (item,) = report.ProcedureStepProgressInformationSequence
    item.ProcedureStepCancellationDateTime = _time(performance.ended_at)
    item.ReasonForCancellation = reason[:_MAX_REASON]
    item.ProcedureStepDiscontinuationReasonCodeSequence = [code_item(code)]
    report.UnifiedProcedureStepPerformedProcedureSequence = [_performed(performance)]
    return report


def code_item(code: Code) -> Dataset:
    """Returns an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = code.meaning or code.value
    return item


def _performed(performance: Performance) -> Dataset:
    """Returns the item of the Performed Procedure Sequence (PS3.3 C.30.3)."""
    item = Dataset()
    item.PerformedStationNameCodeSequence = [code_item(performance.station)]
    item.PerformedProcedureStepStartDateTime = _time(performance.started_at)
    item.PerformedProcedureStepDescription = performance.description[:_MAX_LABEL]
    item.PerformedWorkitemCodeSequence = [code_item(code) for code in performance.workitem_codes]
    item.PerformedProcedureStepEndDateTime = _time(performance.ended_at)
    item.OutputInformationSequence = [_output(output) for output in performance.outputs]
    return item


def _output(output: OutputSeries) -> Dataset:
    """Returns an item of the Output Information Sequence (PS3.3 Table 10-3b)."""
    study, series = output.study_instance_uid, output.series_instance_uid
    item = Dataset()
    item.TypeOfInstances = "DICOM"
    item.StudyInstanceUID = study
    item.SeriesInstanceUID = series
    item.ReferencedSOPSequence = _references(output.sop_class_uid, output.sop_instance_uids)
    if output.ae_titles:
        item.DICOMRetrievalSequence = [_dicom_retrieval(title) for title in output.ae_titles]
    if output.web_roots:
        item.WADORSRetrievalSequence = [
            _wado_rs_retrieval(f"{root}/studies/{study}/series/{series}")
            for root in output.web_roots
        ]
    return item


def _references(sop_class_uid: str, uids: Sequence[Uid]) -> list[Dataset]:
    items = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = uid
        items.append(item)
    return items


def _dicom_retrieval(ae_title: str) -> Dataset:
    item = Dataset()
    item.RetrieveAETitle = ae_title
    return item


def _wado_rs_retrieval(url: str) -> Dataset:
    item = Dataset()
    item.RetrieveURL = url
    return item


def _time(moment: datetime) -> str:
    """Returns a DT value with its offset (PS3.5 6.2), in the local time of the site."""
    return f"{moment.astimezone():%Y%m%d%H%M%S.%f%z}"
