"""The description and number of the series of each result object."""

from node.dicom.results.content import ResultContent
from node.domain.result_objects import ResultKind, ResultObject

_TITLES = {
    ResultKind.SEG: "Segmentation",
    ResultKind.SR: "Measurements",
    ResultKind.CAPTURE: "Overlay",
    ResultKind.SUMMARY: "Summary",
    ResultKind.PDF: "Summary",
    ResultKind.RTSTRUCT: "Contours",
}
_FIRST_NUMBER = 900


def series_description(content: ResultContent, result_object: ResultObject) -> str:
    """Returns Series Description (0008,103E), PS3.3 C.7.3.1: at most 64 characters."""
    title = _TITLES[result_object.kind]
    return f"{title}, {content.spec.model_id} {content.spec.version}"[:64]


def series_number(_content: ResultContent, result_object: ResultObject) -> int:
    """Returns Series Number (0020,0011), PS3.3 C.7.3.1; each kind of object has its own."""
    return _FIRST_NUMBER + list(ResultKind).index(result_object.kind)
