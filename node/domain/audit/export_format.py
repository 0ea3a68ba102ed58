"""The formats in which records of the audit trail are exported."""

from enum import StrEnum


class ExportFormat(StrEnum):
    """How a record is written; each takes one line."""

    JSON = "json"
    DICOM = "dicom"
