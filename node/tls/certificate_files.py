"""What is wrong with the files of certificates and keys; at the start, and for `segnode check`."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

# The functions that read a file import cryptography: most processes and commands read none.
if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# A group may read a private key, and nobody else may read or change it.
_OTHERS_MODE = stat.S_IWGRP | stat.S_IRWXO


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: certificates of the authorities to trust (None: those of the system), and the
    node's own certificate (None: the node has none) with its key (None: in the same file)."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def own_key(self) -> Path | None:
        """The file that holds the key."""
        return self.certificate if self.key is None else self.key


@dataclass(frozen=True)
class FileMistake:
    """A file that cannot be used: the setting that names it, and what is wrong and to do."""

    key: str
    message: str


def file_mistakes(files: TlsFiles, now: datetime | None = None) -> Iterator[FileMistake]:
    """Yields what is wrong with the files; without `now`, a certificate may have expired."""
    if files.ca is not None:
        _, message = _certificates(files.ca)
        if message:
            yield FileMistake("ca_file", message)
    if files.certificate is None:
        return
    certificates, message = _certificates(files.certificate)
    if message:
        yield FileMistake("certificate_file", message)
        return
    if now is not None and (message := _expiry_mistake(files.certificate, certificates[0], now)):
        yield FileMistake("certificate_file", message)
    key_file = files.certificate if files.key is None else files.key
    key, message = _private_key(key_file)
    if key is not None and key.public_key() != certificates[0].public_key():
        message = (
            f"the key in {key_file} does not belong to the certificate in {files.certificate}: "
            "use the key that the certificate was requested with"
        )
    if message:
        yield FileMistake(_key_setting(files), message)


def open_key_mistake(files: TlsFiles) -> FileMistake | None:
    """Returns the mistake of a key file that other users of the machine can read or change."""
    file = files.own_key
    if file is None:
        return None
    try:
        mode = file.stat().st_mode
    except OSError:
        return None  # `file_mistakes` reports it
    if not mode & _OTHERS_MODE:
        return None
    return FileMistake(
        _key_setting(files),
        f"the private key in {file} is open to other users of this machine (mode "
        f"{mode & 0o777:04o}): chmod 600 {file}, and let the node's user own it",
    )


def _key_setting(files: TlsFiles) -> str:
    return "certificate_file" if files.key is None else "key_file"


def _certificates(file: Path) -> tuple[list["x509.Certificate"], str]:
    """Returns the certificates in a file, or what is wrong with it."""
    from cryptography import x509

    content, message = _content(file)
    if message:
        return [], message
    try:
        return x509.load_pem_x509_certificates(content), ""
    except ValueError:
        return [], f"{file} holds no certificate: it must be in PEM format (BEGIN CERTIFICATE)"


def _private_key(file: Path) -> tuple["PrivateKeyTypes | None", str]:
    """Returns the key in a file, or what is wrong with it."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

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
        reason = error.strerror
        return b"", f"{file} cannot be read ({reason}): make it readable for the node's user"


def _expiry_mistake(file: Path, own: "x509.Certificate", now: datetime) -> str:
    """Returns what is wrong with the period in which the node's own certificate is valid."""
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
