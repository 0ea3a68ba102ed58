"""The encoder of each kind of result object."""

from collections.abc import Callable, Iterable, Mapping

from pydicom.dataset import Dataset

from node.dicom.results import measurement_report, segmentation
from node.dicom.results.captures import capture, pdf, summary
from node.dicom.results.content import ResultContent
from node.dicom.results.contours import structure_set
from node.domain.result_objects import ResultKind, ResultObject

Encoder = Callable[[ResultContent, ResultObject], Iterable[Dataset]]

_ENCODERS: Mapping[ResultKind, Encoder] = {
    ResultKind.SEG: segmentation.encode,
    ResultKind.SR: measurement_report.encode,
    ResultKind.CAPTURE: capture.encode,
    ResultKind.SUMMARY: summary.encode,
    ResultKind.PDF: pdf.encode,
    ResultKind.RTSTRUCT: structure_set.encode,
}


def encode(content: ResultContent, result_object: ResultObject) -> Iterable[Dataset]:
    """Encodes an object: one data set with file meta information for each instance, in order.

    Equal content gives equal data sets.

    Raises:
        Rejected: the source lacks a UID that the object must reference.
    """
    return _ENCODERS[result_object.kind](content, result_object)
