"""Rejected connections in plain words."""

import pytest

from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectedConnection,
    RejectionKey,
    RejectionTally,
)
from node.health.rejected_connections import explain_rejections
from node.settings import Peer, Settings
from tests.support.factories import LATER, NOON

SETTINGS = Settings(peers={"ct1": Peer(ae_title="CT1", host="192.0.2.21", port=104)})
MR, WORKLIST = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.31"
CT = "1.2.840.10008.5.1.4.1.1.2"


def rejected(
    reason: ListenerRejection,
    calling: str = "CT_NEW",
    called: str = "SEGNODE",
    sop_class: str = "",
    status: str = "",
    count: int = 1,
    syntaxes: tuple[str, ...] = (),
) -> RejectedConnection:
    key = RejectionKey(calling, called, "192.0.2.22", reason, sop_class, status)
    return RejectedConnection(key, RejectionTally(count, NOON, LATER, syntaxes))


@pytest.mark.parametrize("reason", ListenerRejection)
def test_every_reason_has_a_text_and_a_remedy(reason: ListenerRejection) -> None:
    (sender,) = explain_rejections([rejected(reason)], SETTINGS)
    assert sender.title == "CT_NEW at 192.0.2.22"
    assert sender.text.endswith(".")
    assert sender.remedy.endswith(".")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            ListenerRejection.TOO_MANY_ASSOCIATIONS,
            "As many associations of all senders were open as may be: 25 (max_associations).",
        ),
        (
            ListenerRejection.TOO_MANY_OF_ADDRESS,
            "As many associations of its address were open as one address may have: four fifths of "
            "max_associations, which is 25.",
        ),
        (
            ListenerRejection.IMAGES_PER_MINUTE,
            "It has sent as many images within a minute as it may (max_images_per_minute of the "
            "peer).",
        ),
        (
            ListenerRejection.GIB_PER_DAY,
            "It has sent as much within a day (UTC) as it may (max_gib_per_day of the peer).",
        ),
    ],
)
def test_of_two_limits_the_one_that_was_reached_is_named(
    reason: ListenerRejection, text: str
) -> None:
    (sender,) = explain_rejections([rejected(reason)], SETTINGS)
    assert sender.text == text


def test_an_unknown_sender_can_be_accepted() -> None:
    (sender,) = explain_rejections([rejected(ListenerRejection.CALLING_AE_TITLE)], SETTINGS)
    assert sender.can_be_accepted
    assert not sender.is_resolved
    assert "add a peer with its AE title" in sender.remedy
    assert 'the console offers that under "Connections"' in sender.remedy  # no command does


def test_a_text_that_is_no_ae_title_cannot_be_accepted() -> None:
    for calling in ("", "*\\*"):
        found = [rejected(ListenerRejection.CALLING_AE_TITLE, calling)]
        assert not explain_rejections(found, SETTINGS)[0].can_be_accepted


def test_a_sender_that_is_a_peer_now_is_resolved_and_comes_last() -> None:
    calling, called = ListenerRejection.CALLING_AE_TITLE, ListenerRejection.CALLED_AE_TITLE
    senders = explain_rejections(
        [rejected(calling, "CT1"), rejected(called, "CT1", "OLDNODE")], SETTINGS
    )
    assert [sender.is_resolved for sender in senders] == [False, True]
    assert senders[0].text == "It calls this node OLDNODE, not SEGNODE."
    assert senders[1].remedy == "The configuration accepts it now."


def test_without_peers_every_calling_ae_title_is_accepted() -> None:
    found = [rejected(ListenerRejection.CALLING_AE_TITLE)]
    assert explain_rejections(found, Settings())[0].is_resolved


def test_the_sop_classes_of_a_sender_are_details_of_one_entry() -> None:
    reason = ListenerRejection.SOP_CLASS
    (sender,) = explain_rejections(
        [
            rejected(reason, sop_class=MR, count=4),
            rejected(reason, sop_class=WORKLIST, count=2),
        ],
        SETTINGS,
    )
    assert sender.count == 4
    assert sender.details == (
        "MR Image Storage",
        "Modality Worklist Information Model - FIND",
    )


def test_details_name_transfer_syntaxes_and_statuses() -> None:
    syntax = rejected(
        ListenerRejection.TRANSFER_SYNTAX, sop_class=CT, syntaxes=("1.2.840.10008.1.2.4.102",)
    )
    instance = rejected(ListenerRejection.INSTANCE, sop_class=CT, status="C000", count=7)
    first, second = explain_rejections([syntax, instance], SETTINGS)
    assert first.details == ("CT Image Storage in MPEG-4 AVC/H.264 High Profile / Level 4.1",)
    assert second.details == ("CT Image Storage: 7 with status C000",)
    assert second.count == 7
