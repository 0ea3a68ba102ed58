"""Which association requests of peers are accepted: address, certificate, user identity, quota."""

import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from weakref import WeakKeyDictionary

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from node.dimse.tls.peer_certificate import PeerCertificate
from node.domain.connections.rejected_connection import ListenerRejection
from node.domain.errors import Transient
from pacs_listener.policy import AssociationPolicy, Identity, SenderPolicy
from pacs_listener.quotas import QuotaReached, Quotas

# Result, source and reason of a rejection (PS3.8 9.3.4).
CALLING_NOT_RECOGNIZED = (0x01, 0x01, 0x03)
# Permanent, by the service provider for associations (PS3.7 D.3.3.7).
IDENTITY_REJECTED = (0x01, 0x02, 0x01)
TEMPORARY_CONGESTION = (0x02, 0x03, 0x01)
# Types of user identity (PS3.7 table D.3-14).
_USERNAME, _USERNAME_AND_PASSCODE = 1, 2


# So many wrong identities of a peer from one address cost nothing; then the time doubles with each.
FREE_WRONG_IDENTITIES = 10
_FIRST_WAIT, _MAX_WAIT = timedelta(seconds=2), timedelta(minutes=5)
_MAX_DOUBLINGS = 10
# Of addresses and AE titles; the oldest is forgotten.
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True)
class Refusal:
    """Why a request is rejected: for our records, in the log, and as the answer says it."""

    reason: ListenerRejection
    text: str
    answer: tuple[int, int, int]


@dataclass
class WrongIdentities:
    """Counts wrong user identities of each peer and address, so that nobody guesses a passcode.

    The counts are in memory. A right identity ends the count of its peer and address. Each of the
    listener's `processes` counts for itself, and has its share of those that cost nothing.
    """

    now: Callable[[], datetime]
    processes: int = 1
    _failures: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def must_wait(self, peer: str, address: str) -> bool:
        """Whether the next identity is not even compared."""
        with self._lock:
            count, last_at = self._failures.get((peer, address), (0, self.now()))
        free = max(1, FREE_WRONG_IDENTITIES // self.processes)
        doublings = min(count - free, _MAX_DOUBLINGS)
        return doublings >= 0 and self.now() < last_at + min(
            _FIRST_WAIT * (1 << doublings), _MAX_WAIT
        )

    def count(self, peer: str, address: str, *, is_right: bool) -> None:
        """Counts an identity that was compared."""
        with self._lock:
            count, _ = self._failures.pop((peer, address), (0, None))
            if is_right:
                return
            if len(self._failures) >= _MAX_REMEMBERED:
                self._failures.pop(next(iter(self._failures)))
            self._failures[peer, address] = count + 1, self.now()


@dataclass
class Admission:
    """Decides about association requests; pynetdicom checks the AE titles besides.

    `certificate_of` returns the certificate that the sender of an association has shown.
    """

    quotas: Quotas
    certificate_of: Callable[[Association], PeerCertificate | None]
    wrong_identities: WrongIdentities
    _peers: WeakKeyDictionary[Association, list[SenderPolicy]] = field(
        default_factory=WeakKeyDictionary
    )

    def peers_of(self, association: Association) -> list[SenderPolicy]:
        """Returns the peers that the sender of an admitted association can be; none: a stranger."""
        return self._peers.get(association, [])

    def refusal(self, association: Association, policy: AssociationPolicy) -> Refusal | None:
        """Returns why the request is rejected; None where it is not."""
        request = association.requestor.primitive
        calling = "" if request is None else str(request.calling_ae_title).strip()
        peers = policy.senders_called(calling)
        if not peers:
            return _refusal_of_stranger(association, policy)
        address = str(association.requestor.address)
        certificate = self.certificate_of(association)
        nearby = [peer for peer in peers if _may_come_from(peer, address)]
        certified = [peer for peer in nearby if _has_certificate(peer, certificate)]
        if not nearby:
            text = f"addresses of the peer do not include {address}"
            return Refusal(ListenerRejection.ADDRESS, text, CALLING_NOT_RECOGNIZED)
        if not certified:
            return _wrong_certificate(certificate)
        refusal = self._refusal_of_identity(association, policy, certified, calling)
        if refusal is not None:
            return refusal
        self._peers[association] = certified
        return self._quota_refusal(calling, certified)

    def _refusal_of_identity(
        self,
        association: Association,
        policy: AssociationPolicy,
        peers: list[SenderPolicy],
        calling: str,
    ) -> Refusal | None:
        address = str(association.requestor.address)
        if self.wrong_identities.must_wait(calling, address):
            text = "too many user identities were wrong; the next one is compared later"
            return Refusal(ListenerRejection.USER_IDENTITY, text, TEMPORARY_CONGESTION)
        try:
            is_right = _is_identified(association, policy, peers)
        except Transient as error:
            text = f"no password to compare with: {error}"
            return Refusal(ListenerRejection.USER_IDENTITY, text, TEMPORARY_CONGESTION)
        if policy.user_identity == "verified":
            self.wrong_identities.count(calling, address, is_right=is_right)
        return None if is_right else _wrong_identity(policy)

    def _quota_refusal(self, calling: str, peers: list[SenderPolicy]) -> Refusal | None:
        try:
            self.quotas.check(calling, peers)
        except QuotaReached as error:
            return Refusal(error.reason, str(error), TEMPORARY_CONGESTION)
        return None


def _refusal_of_stranger(association: Association, policy: AssociationPolicy) -> Refusal | None:
    """Returns the refusal of an AE title that no peer has; None where any is accepted."""
    if policy.peers_only:
        text = "no peer has this AE title"
        return Refusal(ListenerRejection.CALLING_AE_TITLE, text, CALLING_NOT_RECOGNIZED)
    return None if _is_identified(association, policy, []) else _wrong_identity(policy)


def _may_come_from(peer: SenderPolicy, address: str) -> bool:
    if not peer.addresses:
        return True
    known = _plain_address(address)
    return any(known in network for network in peer.addresses)


def _plain_address(text: str) -> IPv4Address | IPv6Address:
    """Returns the address; one of IPv4 also where it arrived by IPv6."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _has_certificate(peer: SenderPolicy, certificate: PeerCertificate | None) -> bool:
    name = peer.certificate_name
    return name is None or (certificate is not None and certificate.has_name(name))


def _wrong_certificate(certificate: PeerCertificate | None) -> Refusal:
    text = (
        "the peer must use TLS with its certificate (certificate_name)"
        if certificate is None
        else f"the certificate is of {', '.join(certificate.names)}, not of this peer"
    )
    return Refusal(ListenerRejection.CERTIFICATE_NAME, text, CALLING_NOT_RECOGNIZED)


def _is_identified(
    association: Association, policy: AssociationPolicy, peers: list[SenderPolicy]
) -> bool:
    given = association.requestor.user_identity
    match policy.user_identity:
        case "ignored":
            return True
        case "rejected":
            return given is None
        case "verified":
            wanted = [peer.identity for peer in peers] or [None]
            return any(_is_same(each, given) for each in wanted)


def _is_same(wanted: Identity | None, given: UserIdentityNegotiation | None) -> bool:
    if wanted is None or given is None:
        return wanted is None and given is None
    password = wanted.password.current().encode()
    types = {_USERNAME_AND_PASSCODE} if password else {_USERNAME, _USERNAME_AND_PASSCODE}
    if given.user_identity_type not in types:
        return False
    same_name = hmac.compare_digest(given.primary_field or b"", wanted.username.encode())
    return same_name and (
        not password or hmac.compare_digest(given.secondary_field or b"", password)
    )


def _wrong_identity(policy: AssociationPolicy) -> Refusal:
    text = (
        "user identities are rejected (user_identity)"
        if policy.user_identity == "rejected"
        else "the user identity is missing, or not that of the peer"
    )
    return Refusal(ListenerRejection.USER_IDENTITY, text, IDENTITY_REJECTED)
