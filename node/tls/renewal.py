"""Notices that certificate files have changed, and has a server use them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from node.domain.errors import Misconfigured

_LOG = structlog.get_logger()
_Stamp = tuple[int, int, int]


@dataclass
class CertificateRenewal:
    """Calls `renew` once after each change of the files; logs once what cannot be used.

    Files are replaced one after the other, so the first change may not be the last.
    """

    renew: Callable[[], None]
    _seen: dict[Path, _Stamp | None] = field(default_factory=dict)

    def use(self, files: Sequence[Path]) -> None:
        """Watches these files from now on; as they are, they are in use."""
        self._seen = {file: _stamp(file) for file in files}

    def poll(self) -> None:
        """Has the server use the files if they have changed."""
        stamps = {file: _stamp(file) for file in self._seen}
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self.renew()
        except Misconfigured as error:
            _LOG.error("tls.certificates_not_renewed", error=str(error))
        else:
            _LOG.info("tls.certificates_renewed")


def _stamp(file: Path) -> _Stamp | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
