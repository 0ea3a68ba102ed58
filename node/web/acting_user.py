"""Who acts: the name that histories and audit trails record for a request."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from node.domain.queues.selection import Interface


@dataclass(frozen=True)
class ActingUser:
    """Who sends a request. Without a login, its interface and its address are all that is known."""

    interface: Interface
    address: str

    def named(self, entered: str = "") -> str:
        """Returns the name to record.

        `entered` is the name that the request itself gives. Nothing proves it without a login, so
        that the address of the client follows it.
        """
        return f"{entered or self.interface} ({self.address})"


def acting_user(request: Request) -> ActingUser:
    """Returns who sends the request. Every change by console and REST API is recorded under it."""
    is_api = request.url.path.startswith("/api/")
    address = "unknown address" if request.client is None else request.client.host
    return ActingUser(Interface.API if is_api else Interface.CONSOLE, address)


CurrentUser = Annotated[ActingUser, Depends(acting_user)]
