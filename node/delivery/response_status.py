"""The meaning of a storage status for a delivery: one table for C-STORE and STOW-RS."""

from collections.abc import Iterator
from contextlib import contextmanager

from node.domain.delivery import Receipt
from node.domain.errors import NotAccepted, Rejected, RejectionReason, Transient

SUCCESS = 0x0000
_SOP_CLASS_NOT_SUPPORTED = 0x0122

# (first, last, whether a retry may succeed, meaning). PS3.4 B.2.3, PS3.7 annex C, PS3.18 10.5.3.
_FAILURES: tuple[tuple[int, int, bool, str], ...] = (
    (0x0110, 0x0110, True, "it failed to process the object"),
    (0x0117, 0x0117, False, "it rejects the SOP instance as invalid"),
    (0x0122, 0x0122, False, "it does not store this kind of object (SOP class not supported)"),
    (0x0124, 0x0124, True, "the node is not authorized to store there"),
    (0xA700, 0xA7FF, True, "it is out of resources"),
    (0xA900, 0xA9FF, False, "the data set does not match its SOP class"),
    (0xC122, 0xC122, False, "it does not support the transfer syntax"),
    (0xC000, 0xCFFF, False, "it cannot understand the object"),
)


def check_storage_status(status: int) -> str:
    """Returns the warning of a status with which the object is stored; empty for success.

    Raises:
        Transient: the status is a failure that a retry may resolve.
        Rejected: the status is a permanent failure; NotAccepted for the SOP class.
    """
    if status == SUCCESS:
        return ""
    match status:
        case 0x0001 | 0x0107 | 0x0116:  # PS3.7 C.4: warnings
            return f"stored with warning 0x{status:04X}"
        case 0xB000:
            return "stored, with elements coerced (0xB000)"
        case 0xB006:
            return "stored, with elements discarded (0xB006)"
        case 0xB007:
            return "stored, though the data set does not match its SOP class (0xB007)"
    if status & 0xF000 == 0xB000:
        return f"stored with warning 0x{status:04X}"
    is_transient, meaning = _failure(status)
    message = f"it answered 0x{status:04X}: {meaning}"
    if is_transient:
        raise Transient(message)
    if status == _SOP_CLASS_NOT_SUPPORTED:
        raise NotAccepted(message)
    raise Rejected(RejectionReason.INVALID_INSTANCE, message)


def _failure(status: int) -> tuple[bool, str]:
    for first, last, is_transient, meaning in _FAILURES:
        if first <= status <= last:
            return is_transient, meaning
    return False, "a failure that the standard does not name"


@contextmanager
def storage_errors_of(address: str) -> Iterator[None]:
    """Adds the address of the destination to the errors that its status raises."""
    try:
        yield
    except Transient as error:
        raise Transient(f"{address} did not take the result: {error}") from error
    except NotAccepted as error:
        raise NotAccepted(f"{address} refused the result: {error}") from error
    except Rejected as error:
        raise Rejected(error.reason, f"{address} refused the result: {error}") from error


def receipt_with_warning(destination: str, detail: str, warning: str) -> Receipt:
    """Returns the receipt of a stored result; `warning` is empty where there is none."""
    return Receipt(destination, f"{detail}: {warning}" if warning else detail)
