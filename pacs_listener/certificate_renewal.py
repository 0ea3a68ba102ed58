"""Notices that the certificate files have changed, and has the listener use them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from node.domain.errors import Misconfigured

_LOG = structlog.get_logger()
Stamp = tuple[int, int, int]


@dataclass
class CertificateRenewal:
    """Calls `renew` once after each change of `files`; a change that cannot be used is logged once.

    Files are replaced one after the other, so the first change may not be the last.
    """

    renew: Callable[[], None]
    files: Sequence[Path] = ()
    _seen: dict[Path, Stamp | None] = field(default_factory=dict)

    def use(self, files: Sequence[Path]) -> None:
        """Watches these files from now on; as they are, they are in use."""
        self.files = files
        self._seen = self._stamps()

    def poll(self) -> None:
        """Has the listener use the files if they have changed."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self.renew()
        except Misconfigured as error:
            _LOG.error("tls.certificates_not_renewed", error=str(error))
        else:
            _LOG.info("tls.certificates_renewed")

    def _stamps(self) -> dict[Path, Stamp | None]:
        return {file: _stamp(file) for file in self.files}


def _stamp(file: Path) -> Stamp | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
