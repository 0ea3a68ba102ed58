"""Who may associate, and how, at this site."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from node.dimse.tls.contexts import server_context
from node.domain.identifiers import AeTitle
from node.settings import Peer, Settings
from node.settings.credentials.options import secret_source
from node.settings.credentials.secret_source import SecretSource
from node.settings.network.peers import CompletionHint

# On two cores, two processes receive about a tenth faster than one, and need 200 MB more.
_CORES_FOR_SEVERAL, _MAX_DEFAULT_PROCESSES = 4, 2
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Identity:
    """A user name, and where its password is; without one, the password is empty."""

    username: str
    password: SecretSource


@dataclass(frozen=True)
class Quota:
    """How much a peer may send; None: any amount."""

    images_per_minute: int | None = None
    bytes_per_day: int | None = None


@dataclass(frozen=True)
class SenderPolicy:
    """What a peer may do as a sender; without `addresses` it may come from any."""

    ae_title: AeTitle
    addresses: tuple[Network, ...] = ()
    certificate_name: str | None = None
    may_store: bool = True
    may_commit: bool = True
    complete_on: tuple[CompletionHint, ...] = ()
    identity: Identity | None = None
    quota: Quota = Quota()


@dataclass(frozen=True)
class TlsPort:
    """The port for TLS; 0: any free port. `context` reads the certificates as they are now."""

    port: int
    context: Callable[[], ssl.SSLContext] = field(compare=False)


@dataclass(frozen=True)
class AssociationPolicy:
    """Who may associate, and how; without calling AE titles, anybody may.

    `port` is that without TLS; None: there is none.
    """

    ae_title: AeTitle
    host: str
    port: int | None  # 0: any free port
    max_pdu: int  # bytes
    max_associations: int
    calling_ae_titles: tuple[AeTitle, ...]
    senders: tuple[SenderPolicy, ...] = ()
    peers_only: bool = False
    user_identity: Literal["ignored", "rejected", "verified"] = "ignored"
    tls: TlsPort | None = None
    processes: int = 1

    @property
    def address(self) -> tuple[str, int | None, int | None, int]:
        """What a listener cannot change while it listens."""
        return self.host, self.port, None if self.tls is None else self.tls.port, self.processes

    @property
    def committing_titles(self) -> tuple[AeTitle, ...]:
        """The AE titles of the peers that may request storage commitment."""
        return tuple(sender.ae_title for sender in self.senders if sender.may_commit)

    def completing_titles(self, hint: CompletionHint) -> tuple[AeTitle, ...]:
        """The AE titles of the peers that complete their series by this hint."""
        return tuple(each.ae_title for each in self.senders if hint in each.complete_on)

    def senders_called(self, ae_title: str) -> list[SenderPolicy]:
        """Returns the peers with that AE title; one system may have several."""
        return [sender for sender in self.senders if sender.ae_title == ae_title]


def processes_of(configured: int | None, cores: int) -> int:
    """Returns the number of listener processes: the configured one, or by the number of cores."""
    if configured is not None:
        return configured
    return _MAX_DEFAULT_PROCESSES if cores >= _CORES_FOR_SEVERAL else 1


def policy_from(settings: Settings) -> AssociationPolicy:
    """Returns who may associate, and how, by the settings.

    Raises:
        Misconfigured: the password of a peer is missing.
    """
    listener = settings.listener
    senders = tuple(_sender(name, peer) for name, peer in settings.peers.items())
    load = partial(server_context, settings.dicom_tls, listener.client_certificates)
    return AssociationPolicy(
        ae_title=AeTitle(listener.ae_title),
        host=listener.host,
        port=listener.port if listener.plain else None,
        max_pdu=listener.max_pdu,
        max_associations=listener.max_associations,
        calling_ae_titles=(
            () if listener.accept_from == "any" else tuple(each.ae_title for each in senders)
        ),
        senders=senders,
        peers_only=listener.accept_from == "peers",
        user_identity=listener.user_identity,
        tls=None if listener.tls_port is None else TlsPort(listener.tls_port, load),
        processes=processes_of(listener.processes, len(os.sched_getaffinity(0))),
    )


def _sender(name: str, peer: Peer) -> SenderPolicy:
    identity = None
    if peer.username is not None:
        password = secret_source(peer, f"peers.{name}", "password")
        password.read()
        identity = Identity(peer.username, password)
    gib = peer.max_gib_per_day
    return SenderPolicy(
        ae_title=AeTitle(peer.ae_title),
        addresses=tuple(ip_network(text) for text in peer.addresses),
        certificate_name=peer.certificate_name,
        may_store="store" in peer.may,
        may_commit="commit" in peer.may,
        complete_on=peer.complete_on,
        identity=identity,
        quota=Quota(peer.max_images_per_minute, None if gib is None else round(gib * (1 << 30))),
    )
