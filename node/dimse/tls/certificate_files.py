"""What is wrong with the certificate files of the node; at the start, and for `segnode check`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from node.domain.errors import Misconfigured
from node.settings import DicomTlsOptions, Settings


@dataclass(frozen=True)
class FileMistake:
    """A file that cannot be used: its setting in [dicom_tls], and what is wrong and to do."""

    key: str
    message: str


def check_certificates(settings: Settings, now: datetime) -> None:
    """Checks the files of [dicom_tls] and of peers, where something uses them.

    Raises:
        Misconfigured: lists each file that cannot be used, with its setting and the remedy.
    """
    secured = {name: peer for name, peer in settings.peers.items() if peer.tls}
    found: dict[str, str] = {}
    if secured or settings.listener.tls_port is not None:
        for mistake in certificate_mistakes(settings.dicom_tls, now):
            found[f"dicom_tls.{mistake.key}"] = mistake.message
    for name, peer in secured.items():
        message = "" if peer.ca_file is None else _certificates(peer.ca_file)[1]
        if message:
            found[f"peers.{name}.ca_file"] = message
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


def certificate_mistakes(
    options: DicomTlsOptions, now: datetime | None = None
) -> Iterator[FileMistake]:
    """Yields what is wrong with the files; without `now`, a certificate may have expired."""
    if options.ca_file is not None:
        _, message = _certificates(options.ca_file)
        if message:
            yield FileMistake("ca_file", message)
    if options.certificate_file is None:
        return
    certificates, message = _certificates(options.certificate_file)
    if message:
        yield FileMistake("certificate_file", message)
        return
    if now is not None and (
        message := _expiry_mistake(options.certificate_file, certificates, now)
    ):
        yield FileMistake("certificate_file", message)
    key_setting = "certificate_file" if options.key_file is None else "key_file"
    key_file = options.key_file or options.certificate_file
    key, message = _private_key(key_file)
    if key is not None and key.public_key() != certificates[0].public_key():
        message = (
            f"the key in {key_file} does not belong to the certificate in "
            f"{options.certificate_file}: use the key that the certificate was requested with"
        )
    if message:
        yield FileMistake(key_setting, message)


def _certificates(file: Path) -> tuple[list[x509.Certificate], str]:
    """Returns the certificates in a file, or what is wrong with it."""
    content, message = _content(file)
    if message:
        return [], message
    try:
        return x509.load_pem_x509_certificates(content), ""
    except ValueError:
        return [], f"{file} holds no certificate: it must be in PEM format (BEGIN CERTIFICATE)"


def _private_key(file: Path) -> tuple[PrivateKeyTypes | None, str]:
    """Returns the key in a file, or what is wrong with it."""
    content, message = _content(file)
    if message:
        return None, message
    try:
        return load_pem_private_key(content, None), ""
    except TypeError:
        return None, (
            f"the key in {file} is protected by a password: store it without one "
            "(openssl pkey -in KEY -out NEW), readable for the node alone"
        )
    except ValueError:
        return None, f"{file} holds no private key: it must be in PEM format (BEGIN PRIVATE KEY)"


def _content(file: Path) -> tuple[bytes, str]:
    try:
        return file.read_bytes(), ""
    except FileNotFoundError:
        return b"", f"there is no file {file}: create it, or correct the setting"
    except OSError as error:
        return (
            b"",
            f"{file} cannot be read ({error.strerror}): make it readable for the node's user",
        )


def _expiry_mistake(file: Path, certificates: list[x509.Certificate], now: datetime) -> str:
    """Returns what is wrong with the period in which the node's own certificate is valid."""
    own = certificates[0]
    if own.not_valid_after_utc <= now:
        return f"the certificate in {file} expired on {_day(own.not_valid_after_utc)}: renew it"
    if own.not_valid_before_utc > now:
        return (
            f"the certificate in {file} is not valid before {_day(own.not_valid_before_utc)}: "
            "check the clock of this machine, or use another certificate"
        )
    return ""


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d}"
