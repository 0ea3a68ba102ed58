"""Where a secret is, and its value: in an environment variable, or in a file of the host."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.domain.errors import Misconfigured, Transient

# systemd gives each service a folder with its credentials (systemd.exec, LoadCredential=).
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
# Docker, Podman and the examples for Kubernetes mount secrets here.
CONTAINER_SECRETS = Path("/run/secrets")
# A key, token or address has a few kilobytes.
_MAX_BYTES = 1 << 16
_OTHERS_MODE = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class SecretSource:
    """An environment variable or a file, never both; `key` is the setting that names it.

    `file` is an absolute path, or the name of a credential of systemd or of a container's secret.
    """

    key: str
    variable: str | None = None
    file: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether the settings name a secret."""
        return self.variable is not None or self.file is not None

    def read(self) -> str:
        """Returns the secret as it is now; empty where the settings name none.

        Raises:
            Misconfigured: there is none, or other users of the machine can read the file.
        """
        try:
            return self._value()
        except _Unusable as error:
            raise Misconfigured(str(error), key=self.key) from error

    def current(self) -> str:
        """Returns the secret as it is now, for a process that runs: it may have been renewed.

        Raises:
            Transient: there is none now, for example because somebody is replacing the file.
        """
        try:
            return self.read()
        except Misconfigured as error:
            raise Transient(f"{error.key}: {error.message}") from error

    def mistake(self) -> str:
        """Returns why there is no secret, with the remedy; empty if there is one, or none is named.

        It never holds the secret.
        """
        try:
            self._value()
        except _Unusable as error:
            return str(error)
        return ""

    def _value(self) -> str:
        if self.file is not None:
            return _secret_in(_found(self.file))
        if self.variable is None:
            return ""
        if self.variable not in os.environ:
            raise _Unusable(f"the environment variable {self.variable} is not set")
        return os.environ[self.variable]


class _Unusable(Exception):
    """There is no secret where the settings say; the message never holds one."""


def _found(name: str) -> Path:
    """Returns the file that a setting names."""
    if name.startswith("/"):
        return Path(name)
    folders = list(_protected_folders())
    for folder in folders:
        with suppress(OSError):  # a folder that this user may not read
            if (folder / name).exists():
                return folder / name
    raise _Unusable(
        f"there is no credential {name} in {' or '.join(map(str, folders))}: give the service that "
        "credential (systemd: LoadCredential=), or write an absolute path"
    )


def _protected_folders() -> Iterator[Path]:
    """Yields the folders that the service manager or the container engine fills and protects."""
    if folder := os.environ.get(CREDENTIALS_VARIABLE):
        yield Path(folder)
    yield CONTAINER_SECRETS


def _secret_in(file: Path) -> str:
    """Returns the secret in a file, without the line break that most editors add at the end."""
    content = _content(file)
    if len(content) > _MAX_BYTES:
        raise _Unusable(f"{file} has over {_MAX_BYTES >> 10} KiB: it must hold the secret alone")
    try:
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # Without its cause, which holds the content.
        raise _Unusable(f"{file} must be text in UTF-8") from None
    if not text:
        raise _Unusable(f"{file} is empty: it must hold the secret")
    if not text.isprintable():
        raise _Unusable(f"{file} must hold the secret alone, in one line")
    return text


def _content(file: Path) -> bytes:
    """Returns the content of a file that is for the node alone."""
    try:
        with file.open("rb") as opened:
            _check_mode(file, os.fstat(opened.fileno()).st_mode)
            return opened.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _Unusable(f"there is no file {file}: create it, or correct the setting") from error
    except OSError as error:
        raise _Unusable(
            f"{file} cannot be read ({error.strerror}): make it readable for the node's user alone"
        ) from error


def _check_mode(file: Path, mode: int) -> None:
    """Checks that nobody else can read or change the file; others protect some folders."""
    is_protected = ".." not in file.parts and any(
        file.is_relative_to(folder) for folder in _protected_folders()
    )
    if mode & _OTHERS_MODE and not is_protected:
        raise _Unusable(
            f"{file} is open to other users of this machine (mode {mode & 0o777:04o}): chmod 600 "
            f"{file}, and let the node's user own it"
        )
