"""The facts of a stored series, read from one of its images."""

from collections.abc import Sequence

import structlog
from pydicom import Dataset, dcmread

from node.dicom.ct.headers import PARSE_ERRORS, disk_error
from node.dicom.ct.non_slices import is_non_slice
from node.domain.series import StoredInstance, StoredSeries
from node.routing.fact_extraction import facts_from_dataset
from node.routing.series_facts import SeriesFacts
from node.store import Store
from node.store.files import Files

_LOG = structlog.get_logger()


def facts_of(
    store: Store, series: StoredSeries, instances: Sequence[StoredInstance]
) -> SeriesFacts:
    """Returns the facts that rules test; without attributes if no instance is readable.

    Raises:
        Transient: no slice is readable for now, because the disk or bucket fails.
    """
    header = _representative_header(instances, store.files)
    requested = store.requested_rules(series.series_instance_uid)
    return facts_from_dataset(header, len(instances), sender(series), requested)


def sender(series: StoredSeries) -> str:
    """Returns the AE title, or the name of the DICOMweb source, that sent the series."""
    return series.origin.partition(" ")[2]


def _representative_header(instances: Sequence[StoredInstance], files: Files) -> Dataset:
    """Returns the header of the first readable slice, else of the first readable instance.

    It is empty if no instance is readable, so that no rule matches.

    Raises:
        Transient: no slice is readable for now, because the disk or bucket fails.
    """
    storage_error = None
    first = None
    for instance in instances:
        try:
            with files.local_copies([instance.path]) as (file,):
                header = dcmread(file, stop_before_pixels=True)
        except PARSE_ERRORS as error:
            _LOG.warning("series.unreadable", instance=instance.sop_instance_uid)
            storage_error = disk_error(error) or storage_error
            continue
        if not is_non_slice(header):
            return header
        first = header if first is None else first
    if storage_error is not None:
        raise storage_error
    return Dataset() if first is None else first
