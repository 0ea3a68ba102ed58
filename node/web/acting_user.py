"""Who acts: the name that histories and audit trails record for a request."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from node.domain.access.identities import Identity, IdentityOrigin
from node.domain.audit.records import AuditActor, AuditInterface
from node.domain.queues.selection import Interface
from node.web.dependencies import identity_of


@dataclass(frozen=True)
class ActingUser:
    """Who sends a request. Without a login, its interface and its address are all that is known."""

    identity: Identity
    interface: Interface
    address: str

    def named(self, entered: str = "") -> str:
        """Returns the name to record.

        `entered` is the name that the request itself gives. It counts only without a login. Nothing
        proves it, so that the address of the client follows it.
        """
        if self.identity.origin is IdentityOrigin.LOCAL:
            return f"{entered or self.interface} ({self.address})"
        return self.identity.name

    def audit_actor(self, entered: str = "") -> AuditActor:
        """Returns the user for the audit trail; `entered` as in `named`."""
        return AuditActor(self.named(entered), AuditInterface(self.interface), self.address)


def acting_user(request: Request) -> ActingUser:
    """Returns who sends the request. Every change by console and REST API is recorded under it."""
    is_api = request.url.path.startswith("/api/")
    address = "unknown address" if request.client is None else request.client.host
    interface = Interface.API if is_api else Interface.CONSOLE
    return ActingUser(identity_of(request), interface, address)


CurrentUser = Annotated[ActingUser, Depends(acting_user)]
