"""What a UPS origin server requires of a performer's data sets (PS3.4 CC.2.5, CC.2.6)."""

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset

# What a performer may set in an IN PROGRESS work item (Table CC.2.5-3, N-SET).
SETTABLE = {
    "TransactionUID",
    "ProcedureStepProgressInformationSequence",
    "UnifiedProcedureStepPerformedProcedureSequence",
}
_DT = re.compile(r"\d{14}(\.\d{1,6})?([+-]\d{4})?")
_REFERENCE = {"ReferencedSOPClassUID", "ReferencedSOPInstanceUID"}
_RETRIEVAL = {
    "DICOMRetrievalSequence": "RetrieveAETitle",
    "WADORSRetrievalSequence": "RetrieveURL",
}


def update_mistakes(changes: Dataset) -> Iterator[str]:
    """Yields what is wrong with the data set of an update."""
    for element in changes:
        if element.keyword not in SETTABLE:
            yield f"{element.keyword} may not be set"
    for keyword in SETTABLE - {"TransactionUID"}:
        if len(changes.get(keyword) or ["one"]) != 1:
            yield f"{keyword} has not exactly one item"
    for item in changes.get("ProcedureStepProgressInformationSequence") or []:
        progress = item.get("ProcedureStepProgress")
        if progress is not None and not 0 <= float(progress) <= 100:
            yield "the progress is not from 0 to 100"
        yield from _code_mistakes(item, "ProcedureStepDiscontinuationReasonCodeSequence")
        yield from _time_mistakes(item, "ProcedureStepCancellationDateTime")
    for item in changes.get("UnifiedProcedureStepPerformedProcedureSequence") or []:
        yield from _performed_mistakes(item)


def final_state_mistakes(item: Dataset, state: str) -> Iterator[str]:
    """Yields what a work item lacks before it may become `state` (CC.2.5.1.1)."""
    if state == "COMPLETED":
        performed = item.get("UnifiedProcedureStepPerformedProcedureSequence") or [Dataset()]
        for keyword in (
            "PerformedStationNameCodeSequence",
            "PerformedProcedureStepStartDateTime",
            "PerformedWorkitemCodeSequence",
            "PerformedProcedureStepEndDateTime",
        ):
            if not performed[0].get(keyword):
                yield f"{keyword} is missing"
        if "OutputInformationSequence" not in performed[0]:
            yield "OutputInformationSequence is missing"
    else:
        progress = item.get("ProcedureStepProgressInformationSequence") or [Dataset()]
        for keyword in (
            "ProcedureStepCancellationDateTime",
            "ProcedureStepDiscontinuationReasonCodeSequence",
        ):
            if not progress[0].get(keyword):
                yield f"{keyword} is missing"


def _performed_mistakes(item: Dataset) -> Iterator[str]:
    yield from _code_mistakes(item, "PerformedStationNameCodeSequence")
    yield from _code_mistakes(item, "PerformedWorkitemCodeSequence")
    yield from _time_mistakes(item, "PerformedProcedureStepStartDateTime")
    yield from _time_mistakes(item, "PerformedProcedureStepEndDateTime")
    for output in item.get("OutputInformationSequence") or []:
        for keyword in ("TypeOfInstances", "StudyInstanceUID", "SeriesInstanceUID"):
            if not output.get(keyword):
                yield f"an output has no {keyword}"
        references = output.get("ReferencedSOPSequence") or []
        if not references or any(set(each.dir()) != _REFERENCE for each in references):
            yield "an output has no reference, or not SOP class and instance"
        if not any(output.get(keyword) for keyword in _RETRIEVAL):
            yield "an output says nothing about its retrieval"
        for sequence, keyword in _RETRIEVAL.items():
            if not all(each.get(keyword) for each in output.get(sequence) or []):
                yield f"{sequence} has no {keyword}"


def _code_mistakes(item: Dataset, keyword: str) -> Iterator[str]:
    for code in item.get(keyword) or []:
        if not all(
            code.get(word) for word in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        ):
            yield f"{keyword} has an incomplete code"


def _time_mistakes(item: Dataset, keyword: str) -> Iterator[str]:
    if keyword in item and not _DT.fullmatch(str(item[keyword].value)):
        yield f"{keyword} is no date and time"
