"""What is wrong with the certificate files of the node; at the start, and for `segnode check`."""

from datetime import datetime
from pathlib import Path

from node.domain.errors import Misconfigured
from node.settings import Settings
from node.tls.certificate_files import file_mistakes

_TABLE = "dicom_tls"


def check_certificates(settings: Settings, now: datetime) -> None:
    """Checks the files of [dicom_tls], where something uses them.

    Raises:
        Misconfigured: lists each file that cannot be used, with its setting and the remedy.
    """
    is_used = settings.listener.tls_port is not None or any(
        peer.tls for peer in settings.peers.values()
    )
    mistakes = list(file_mistakes(settings.dicom_tls.tls_files, now)) if is_used else []
    if mistakes:
        raise Misconfigured.combined(
            [
                Misconfigured(each.message, file=settings.file, key=f"{_TABLE}.{each.key}")
                for each in mistakes
            ]
        )


def certificate_files(settings: Settings) -> tuple[Path, ...]:
    """Returns the files of [dicom_tls], if the listener uses them."""
    options = settings.dicom_tls
    files = (options.certificate_file, options.key_file, options.ca_file)
    if settings.listener.tls_port is None:
        return ()
    return tuple(file for file in files if file is not None)
