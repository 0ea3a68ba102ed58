"""What valid settings ask of this host, and it does not have: usable certificates, a device."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.domain.errors import Misconfigured

if TYPE_CHECKING:
    from node.settings import Settings

# Every host has these, so that nobody waits for the import of torch.
_DEVICES_OF_EVERY_HOST = {"auto", "cpu"}


def certificate_mistakes(settings: "Settings") -> Iterator[Misconfigured]:
    """Yields each certificate or key that a process could not use."""
    from node.dimse.tls.certificate_files import check_certificates
    from node.web.server.certificate import check_web_certificate

    for check_files in (check_certificates, check_web_certificate):
        try:
            check_files(settings, datetime.now(UTC))
        except Misconfigured as error:
            yield from error.mistakes


def device_mistakes(settings: "Settings") -> Iterator[Misconfigured]:
    """Yields the device of the worker, if this host does not have it."""
    if settings.worker.device in _DEVICES_OF_EVERY_HOST:
        return
    from models.devices import UnusableDevice, select_device

    try:
        select_device(settings.worker.device)
    except UnusableDevice as error:
        message = f'{error}. Correct the driver, or set "auto"; this concerns hosts with a worker'
        yield Misconfigured(message, file=settings.file, key="worker.device")
