"""The reason of a rejected association (PS3.8 9.3.4), in the words of an administrator."""

from pynetdicom.association import Association

from node.domain.connections.failure import ConnectionFailure, ConnectionFault

# Sources of a rejection.
_SERVICE_USER, _PRESENTATION = 0x01, 0x03
_CALLING_AE_TITLE, _CALLED_AE_TITLE = (_SERVICE_USER, 0x03), (_SERVICE_USER, 0x07)
_BUSY = {(_PRESENTATION, 0x01), (_PRESENTATION, 0x02)}


def association_rejected(
    association: Association, remote: object, called: str, calling: str
) -> ConnectionFailure:
    """Returns the error of an association that `remote` has rejected."""
    answer = association.acceptor.primitive
    source = getattr(answer, "result_source", None)
    diagnostic = getattr(answer, "diagnostic", None)
    what = f"{remote} answered but rejected the association"
    match (source, diagnostic):
        case reason if reason == _CALLED_AE_TITLE:
            return ConnectionFailure(
                ConnectionFault.CALLED_AE_TITLE,
                f"{what}, because its AE title is not {called} (called AE title not recognized)",
                "enter the AE title that it has",
            )
        case reason if reason == _CALLING_AE_TITLE:
            return ConnectionFailure(
                ConnectionFault.CALLING_AE_TITLE,
                f"{what}, because it does not know the AE title {calling} (calling AE title not "
                "recognized)",
                f"add {calling} there, with the address of this machine",
            )
        case reason if reason in _BUSY:
            return ConnectionFailure(
                ConnectionFault.BUSY,
                f"{what}, because it has too many at present",
                "try again later, or allow more there",
            )
        case _:
            return ConnectionFailure(
                ConnectionFault.ASSOCIATION_REJECTED,
                what,
                f"check both AE titles and whether {calling} is known there",
            )
