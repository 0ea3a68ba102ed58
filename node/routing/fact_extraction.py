"""Extraction of the facts that rules test, from the header of one instance of the series."""

from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.dicom.ct.headers import PARSE_ERRORS
from node.routing.attributes import is_comparable, parse_finite
from node.routing.series_facts import SeriesFacts


def facts_from_dataset(
    header: Dataset,
    instance_count: int,
    peer: str,
    requested_rules: frozenset[str] = frozenset(),
) -> SeriesFacts:
    """Returns the facts of a series whose instances all have as many frames as `header`.

    Work items request the `requested_rules` for it.

    In an Enhanced CT, attributes that all frames share (PS3.3 C.7.6.16.1.1: slice thickness,
    kernel) count as top-level attributes. Sequences and binary values are omitted, because no
    condition tests them. A value that is invalid for its VR is omitted and so counts as absent.
    """
    attributes: dict[str, tuple[str, ...]] = {}
    for element in (*_shared(header), *_elements(header)):
        if is_comparable(element.VR) and element.keyword:
            value = element.value
            values = value if isinstance(value, MultiValue | list | tuple) else [value]
            texts = tuple(str(v).strip() for v in values if v is not None and str(v).strip())
            if texts:
                attributes[element.keyword] = texts
    frames = parse_finite(attributes.get("NumberOfFrames", ("1",))[0]) or 1.0
    return SeriesFacts(attributes, instance_count * max(1, int(frames)), peer, requested_rules)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """Yields the elements that can be parsed."""
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except PARSE_ERRORS:
            continue
        yield element


def _items(dataset: Dataset, keyword: str = "") -> Iterator[Dataset]:
    """Yields the items of the sequence `keyword`, or of every sequence if it is empty."""
    for element in _elements(dataset):
        if element.VR == "SQ" and keyword in ("", element.keyword):
            yield from element.value


def _shared(header: Dataset) -> Iterator[DataElement]:
    for groups in _items(header, "SharedFunctionalGroupsSequence"):
        for macro in _items(groups):
            yield from _elements(macro)
