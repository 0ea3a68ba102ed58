"""What the rules may ask about a series, taken from the header of one of its instances."""

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.routing.conditions import SeriesFacts


def facts_from_dataset(header: Dataset, slice_count: int, peer: str) -> SeriesFacts:
    """The top-level attributes of `header` by keyword, as texts.

    Sequences and binary values are left out, as no condition is about them; so is a value that
    does not keep to its type and cannot be read, which then counts as absent.
    """
    attributes: dict[str, tuple[str, ...]] = {}
    for tag in header.keys():  # noqa: SIM118 # iterating a data set converts, and so may raise
        try:
            element = header[tag]
        except (ValueError, NotImplementedError, KeyError):
            continue
        if element.VR in ("SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN") or not element.keyword:
            continue
        value = element.value
        values = value if isinstance(value, MultiValue | list | tuple) else [value]
        texts = tuple(str(v) for v in values if v is not None and str(v) != "")
        if texts:
            attributes[element.keyword] = texts
    return SeriesFacts(attributes, slice_count, peer)
