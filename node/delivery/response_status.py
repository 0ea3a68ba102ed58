"""What a storage status means for a delivery: one table for C-STORE and STOW-RS."""

from node.domain.errors import Rejected, RejectionReason, Transient

SUCCESS = 0x0000

# (first, last, whether it may pass, meaning). PS3.4 B.2.3, PS3.7 annex C, PS3.18 10.5.3.
_FAILURES: tuple[tuple[int, int, bool, str], ...] = (
    (0x0110, 0x0110, True, "it failed to process the object"),
    (0x0117, 0x0117, False, "the SOP instance is invalid to it"),
    (0x0122, 0x0122, False, "it does not store this kind of object (SOP class not supported)"),
    (0x0124, 0x0124, True, "we are not authorised to store there"),
    (0xA700, 0xA7FF, True, "it is out of resources"),
    (0xA900, 0xA9FF, False, "the data set does not match its SOP class"),
    (0xC000, 0xCFFF, False, "it cannot understand the object"),
)


def told_as_warning(status: int) -> str:
    """The receipt's words for a status with which the object is kept; empty for plain success.

    Raises:
        Transient: the status is a failure that may pass.
        Rejected: the status is a failure that stays.
    """
    if status == SUCCESS:
        return ""
    match status:
        case 0x0001 | 0x0107 | 0x0116:  # PS3.7 C.4: warnings that are no failures
            return f"stored with warning 0x{status:04X}"
        case 0xB000:
            return "stored, with elements coerced (0xB000)"
        case 0xB006:
            return "stored, with elements discarded (0xB006)"
        case 0xB007:
            return "stored, though the data set does not match its SOP class (0xB007)"
    if status & 0xF000 == 0xB000:
        return f"stored with warning 0x{status:04X}"
    may_pass, words = _meaning(status)
    if may_pass:
        raise Transient(f"it answered 0x{status:04X}: {words}")
    raise Rejected(RejectionReason.INVALID_INSTANCE, f"it answered 0x{status:04X}: {words}")


def _meaning(status: int) -> tuple[bool, str]:
    for first, last, may_pass, words in _FAILURES:
        if first <= status <= last:
            return may_pass, words
    return False, "a failure that the standard does not name"
