"""How an export writes a record of the audit trail: one line, as JSON or as a DICOM message."""

import json
from collections.abc import Callable
from dataclasses import asdict

from node.audit.dicom_message import audit_message
from node.domain.audit.export_format import ExportFormat
from node.store.audit_trail.chain import ChainedRecord


def line_writer(export_format: ExportFormat) -> Callable[[ChainedRecord], bytes]:
    """Returns what writes the line of a record, without its end."""
    match export_format:
        case ExportFormat.JSON:
            return _json_line
        case ExportFormat.DICOM:
            return audit_message


def _json_line(record: ChainedRecord) -> bytes:
    fields = asdict(record) | {"happened_at": record.happened_at.isoformat(timespec="microseconds")}
    return json.dumps(fields).encode()
