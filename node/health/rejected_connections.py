"""Rejected connections in plain words: which sender, why, and what to do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from node.dicom.uid_names import uid_name
from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectedConnection,
    RejectionKey,
)
from node.domain.identifiers import AeTitle
from node.settings import Settings

_OUT_OF_RESOURCES, _NOT_AUTHORIZED = "A700", "0124"
# What happened, and the remedy.
_WORDS: Mapping[ListenerRejection, tuple[str, str]] = {
    ListenerRejection.CALLING_AE_TITLE: (
        "No peer had this AE title, and only peers may send.",
        "If it belongs to this site, add a peer with its AE title to the configuration; the "
        'console offers that under "Connections".',
    ),
    ListenerRejection.CALLED_AE_TITLE: (
        "It calls this node {called}, not {own}.",
        "On the sender, enter {own} as the AE title of this node.",
    ),
    ListenerRejection.TOO_MANY_ASSOCIATIONS: (
        "As many associations of all senders were open as may be: {associations} "
        "(max_associations).",
        "Send the series again, if the sender does not. If this happens often, raise "
        "max_associations.",
    ),
    ListenerRejection.TOO_MANY_OF_ADDRESS: (
        "As many associations of its address were open as one address may have: four fifths of "
        "max_associations, which is {associations}.",
        "Send the series again, if the sender does not. If this happens often, let the sender open "
        "fewer at a time, or raise max_associations.",
    ),
    ListenerRejection.NO_SPACE: (
        "The disk had less than {free_gib} GiB of free space (least_free_gib).",
        "Free some space. Then send the series again, if the sender does not.",
    ),
    ListenerRejection.SOP_CLASS: (
        "It offered other types of objects besides those that this node stores.",
        "If its CT images arrive, nothing is wrong. Otherwise, let the sender send CT images.",
    ),
    ListenerRejection.TRANSFER_SYNTAX: (
        "It offered objects only in transfer syntaxes that this node cannot read.",
        "On the sender, allow Explicit VR Little Endian, or another lossless one.",
    ),
    ListenerRejection.INSTANCE: (
        "This node did not store some of its images.",
        "The log of the listener gives the reason of each image (instance.refused).",
    ),
    ListenerRejection.ADDRESS: (
        "A peer has this AE title, and may not come from this address.",
        "If the address belongs to this sender, add it to addresses of the peer. Otherwise, find "
        "out which machine uses the AE title.",
    ),
    ListenerRejection.IMAGES_PER_MINUTE: (
        "It has sent as many images within a minute as it may (max_images_per_minute of the peer).",
        "Send the series again after a minute, if the sender does not. If this happens often, "
        "raise the limit.",
    ),
    ListenerRejection.GIB_PER_DAY: (
        "It has sent as much within a day (UTC) as it may (max_gib_per_day of the peer).",
        "Send the rest on the next day, if the sender does not. If this happens often, raise the "
        "limit.",
    ),
    ListenerRejection.QUOTA: (
        "It has sent as much as it may (max_images_per_minute, max_gib_per_day of the peer).",
        "Send the series again later, if the sender does not. If this happens often, raise the "
        "limit.",
    ),
    ListenerRejection.USER_IDENTITY: (
        "Its user identity is not accepted (listener.user_identity).",
        "On the sender, enter the user name and password of the peer, or no user identity if the "
        "peer has none.",
    ),
    ListenerRejection.TLS_EXPECTED: (
        "It does not use TLS, and this port is for TLS alone.",
        "On the sender, turn TLS on, or enter the port without TLS.",
    ),
    ListenerRejection.PLAIN_EXPECTED: (
        "It uses TLS, and this port is for connections without TLS.",
        "On the sender, enter the port for TLS (tls_port), or turn TLS off.",
    ),
    ListenerRejection.NO_CERTIFICATE: (
        "It shows no certificate, and this node demands one (client_certificates).",
        "On the sender, set up a certificate of an authority in ca_file of [dicom_tls].",
    ),
    ListenerRejection.CERTIFICATE_NOT_TRUSTED: (
        "This node does not trust the authority of its certificate.",
        "If the certificate is the right one, add its authority to ca_file of [dicom_tls].",
    ),
    ListenerRejection.CERTIFICATE_EXPIRED: (
        "Its certificate has expired, or is not valid yet.",
        "Renew the certificate of the sender. Check the clocks of both machines.",
    ),
    ListenerRejection.CERTIFICATE_NAME: (
        "Its certificate does not hold the name that this peer must have (certificate_name), or it "
        "uses no TLS.",
        "Let the sender use TLS with its own certificate. If that has another name, correct "
        "certificate_name of the peer.",
    ),
    ListenerRejection.OWN_CERTIFICATE_REFUSED: (
        "The sender does not accept the certificate of this node.",
        "On the sender, trust the authority of the node's certificate, and call the node by a name "
        "that the certificate holds.",
    ),
    ListenerRejection.TLS_FAILED: (
        "The sender and this node agree on no TLS connection.",
        "Check that the sender offers TLS 1.2 or 1.3 with the ciphers of [dicom_tls]. The log of "
        "the listener gives the reason (tls.rejected).",
    ),
    ListenerRejection.OTHER: (
        "Its request for an association was invalid.",
        "Check whether it is a DICOM node at all, and not a port scanner.",
    ),
}


@dataclass(frozen=True)
class RejectedSender:
    """What the listener has rejected of one sender for one reason.

    `details` are the SOP classes, each with the transfer syntaxes that were offered, or the
    statuses of refused images. `is_resolved` says that the configuration accepts it now.
    `can_be_accepted` says that a peer with this AE title would let it send.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    reason: ListenerRejection
    count: int
    first_at: datetime
    last_at: datetime
    title: str
    text: str
    remedy: str
    details: tuple[str, ...]
    is_resolved: bool
    can_be_accepted: bool


def explain_rejections(
    found: Iterable[RejectedConnection], settings: Settings
) -> list[RejectedSender]:
    """Returns the senders that cannot send at all, then those of which a part is rejected.

    Those that the configuration accepts now come last. Within each group, the latest is first.
    """
    groups: dict[tuple[str, str, str, ListenerRejection], list[RejectedConnection]] = {}
    for one in found:
        key = one.key
        group = (key.calling_ae_title, key.called_ae_title, key.address, key.reason)
        groups.setdefault(group, []).append(one)
    senders = [_sender(group, settings) for group in groups.values()]
    return sorted(senders, key=lambda each: (each.is_resolved, not each.reason.ends_association))


def _sender(group: list[RejectedConnection], settings: Settings) -> RejectedSender:
    key = group[0].key
    known = {peer.ae_title for peer in settings.peers.values()}
    is_resolved = (
        key.reason is ListenerRejection.CALLING_AE_TITLE
        and (_accepts_any(settings) or key.calling_ae_title in known)
    ) or (
        key.reason is ListenerRejection.CALLED_AE_TITLE
        and key.called_ae_title == settings.listener.ae_title
    )
    details = tuple(_detail(one) for one in group)
    text, remedy = _words(key, settings)
    return RejectedSender(
        calling_ae_title=key.calling_ae_title,
        called_ae_title=key.called_ae_title,
        address=key.address,
        reason=key.reason,
        # One association has several contexts: the largest count is that of the associations.
        count=sum(one.tally.count for one in group)
        if any(one.key.status for one in group)
        else max(one.tally.count for one in group),
        first_at=min(one.tally.first_at for one in group),
        last_at=max(one.tally.last_at for one in group),
        title=f"{key.calling_ae_title or 'A sender'} at {key.address}",
        text=text,
        remedy="The configuration accepts it now." if is_resolved else remedy,
        details=tuple(detail for detail in details if detail),
        is_resolved=is_resolved,
        can_be_accepted=key.reason is ListenerRejection.CALLING_AE_TITLE
        and not is_resolved
        and _is_ae_title(key.calling_ae_title),
    )


def _accepts_any(settings: Settings) -> bool:
    accept_from = settings.listener.accept_from
    return accept_from == "any" or (accept_from is None and not settings.peers)


def _words(key: RejectionKey, settings: Settings) -> tuple[str, str]:
    """Returns what happened, and the remedy."""
    text, remedy = _WORDS[key.reason]
    values = {
        "own": settings.listener.ae_title,
        "called": key.called_ae_title or "nothing",
        "associations": settings.listener.max_associations,
        "free_gib": f"{settings.least_free_gib:g}",
    }
    if key.status == _NOT_AUTHORIZED:
        text = "This peer may not send images (may)."
        remedy = 'If it should, add "store" to `may` of the peer.'
    if key.status == _OUT_OF_RESOURCES and key.reason is ListenerRejection.INSTANCE:
        remedy = "Check disk and database. Then send the series again, if the sender does not."
    return text.format_map(values), remedy.format_map(values)


def _detail(one: RejectedConnection) -> str:
    key = one.key
    if not key.sop_class_uid:
        return ""
    name = uid_name(key.sop_class_uid)
    if key.status:
        return f"{name}: {one.tally.count} with status {key.status}"
    if key.reason is ListenerRejection.TRANSFER_SYNTAX and one.tally.transfer_syntax_uids:
        return f"{name} in {', '.join(map(uid_name, one.tally.transfer_syntax_uids))}"
    return name


def _is_ae_title(text: str) -> bool:
    try:
        AeTitle(text)
    except ValueError:
        return False
    return True
