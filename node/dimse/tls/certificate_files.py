"""What is wrong with the certificate files of the node; at the start, and for `segnode check`."""

from datetime import datetime
from pathlib import Path

from node.domain.errors import Misconfigured
from node.settings import Settings
from node.tls.certificate_files import TlsFiles, file_mistakes, open_key_mistake


def check_certificates(settings: Settings, now: datetime) -> None:
    """Checks the files of [dicom_tls] and of peers, where something uses them.

    Raises:
        Misconfigured: lists each file that cannot be used, with its setting and the remedy.
    """
    secured = {name: peer for name, peer in settings.peers.items() if peer.tls}
    found: dict[str, str] = {}
    if secured or settings.listener.tls_port is not None:
        files = settings.dicom_tls.tls_files
        mistakes = [*file_mistakes(files, now), *filter(None, [open_key_mistake(files)])]
        for mistake in mistakes:
            found[f"dicom_tls.{mistake.key}"] = mistake.message
    for name, peer in secured.items():
        for mistake in file_mistakes(TlsFiles(ca=peer.ca_file)):
            found[f"peers.{name}.{mistake.key}"] = mistake.message
    if found:
        raise Misconfigured.combined(
            [Misconfigured(message, file=settings.file, key=key) for key, message in found.items()]
        )


def certificate_files(settings: Settings) -> tuple[Path, ...]:
    """Returns the files of [dicom_tls], if the listener uses them."""
    options = settings.dicom_tls
    files = (options.certificate_file, options.key_file, options.ca_file)
    if settings.listener.tls_port is None:
        return ()
    return tuple(file for file in files if file is not None)
