"""Why a request of a known sender is forbidden: for the sender, and for the audit trail."""

from http import HTTPStatus

from fastapi import HTTPException


class ForbiddenRequest(HTTPException):
    """Ends a request with 403.

    The text is for the sender: why, and what to do next. `recorded` states why for the audit trail.
    """

    def __init__(self, text: str, recorded: str) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, text)
        self.recorded = recorded


def recorded_reason(error: HTTPException) -> str:
    """Returns what the audit trail holds about a request that was refused."""
    return error.recorded if isinstance(error, ForbiddenRequest) else str(error.detail)
