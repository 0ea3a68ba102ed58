"""Reading of the stored report of a job, and the identity of its delivery."""

import hashlib
from pathlib import Path

from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.report import Report


def read_report(path: Path) -> Report:
    """Returns the report that is stored in the file.

    Raises:
        Transient: the file cannot be read, or is not a report.
        Rejected: the report names no patient, so that no receiver could file it.
    """
    try:
        report = Report.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # The text of a parser's error would quote the file.
        raise Transient(f"the report {path} cannot be read: {type(error).__name__}") from error
    if not report.patient.identifier.value:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            "the source images have no Patient ID, so no information system can file the "
            "measurements; correct the images in the PACS and send the series again",
        )
    return report


def delivery_id(job_id: str, destination: str) -> str:
    """Returns 20 hexadecimal digits: the same for every attempt at the same delivery."""
    return hashlib.sha256(f"{job_id}\n{destination}".encode()).hexdigest()[:20]
