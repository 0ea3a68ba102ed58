"""Settings of a peer: its address, and what it may do as a sender."""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from node.settings.credentials.options import LoginOptions
from node.settings.value_types import (
    Ae,
    Boolean,
    Host,
    Name,
    Real,
    SitePath,
    Whole,
    above_zero_up_to,
    within,
)


def _network(text: str) -> str:
    """Checks an IP address or a network."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError as error:
        message = f"must be an address or a network such as 10.1.2.0/24, not {text!r}"
        raise ValueError(message) from error


Network = Annotated[str, AfterValidator(_network)]
Permission = Literal["store", "commit"]
CompletionHint = Literal["release", "commitment"]


class Peer(LoginOptions):
    """A remote application entity.

    `retrieve` says how series are retrieved from it: C-MOVE to the listener, or C-GET; None: not.
    `tls`, `server_name` and `ca_file` apply where the node connects to it. All that follows applies
    where it connects to the node: `addresses` it may come from (empty: any), the name that its
    certificate must hold, what it `may` request, its user identity, and its limits. `complete_on`
    names what says that a series of it is complete before its quiet time has passed.
    """

    ae_title: Ae
    host: Host
    port: Annotated[Whole, within(1, 65535)]
    retrieve: Literal["move", "get"] | None = None
    tls: Boolean = False
    server_name: Host | None = None
    ca_file: SitePath | None = None
    addresses: tuple[Network, ...] = ()
    certificate_name: Name | None = None
    may: tuple[Permission, ...] = ("store", "commit")
    complete_on: tuple[CompletionHint, ...] = ()
    max_images_per_minute: Annotated[Whole, Field(ge=1)] | None = None
    max_gib_per_day: Annotated[Real, above_zero_up_to(1_000_000)] | None = None
