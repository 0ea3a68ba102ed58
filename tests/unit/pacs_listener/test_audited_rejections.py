"""Rejected connections in the audit trail: few records, and each rejection counted."""

from datetime import timedelta

from node.domain.audit.records import AuditRecord
from node.domain.connections.rejected_connection import ListenerRejection, RejectionKey
from node.domain.errors import Transient
from pacs_listener.audited_rejections import REPEATED_AFTER, AuditedRejections
from tests.support.factories import NOON

UNKNOWN = ListenerRejection.CALLING_AE_TITLE


def key(
    title: str = "CT1", address: str = "192.0.2.1", reason: ListenerRejection = UNKNOWN
) -> RejectionKey:
    return RejectionKey(title, "SEGNODE", address, reason)


def shown(record: AuditRecord) -> tuple[str, str, str]:
    return record.actor.name, record.actor.address, record.detail


def test_the_first_rejection_has_a_record_and_the_next_ones_share_one() -> None:
    records: list[AuditRecord] = []
    audited = AuditedRejections(records.append)
    for second in range(0, 600, 5):
        audited.add([(key(), 3)])
        audited.write(NOON + timedelta(seconds=second))
    assert [shown(each) for each in records] == [
        ("CT1", "192.0.2.1", "calling-ae-title, 3 times"),
    ]
    audited.write(NOON + REPEATED_AFTER)
    assert shown(records[1])[2] == f"calling-ae-title, {119 * 3} times"
    audited.write(NOON + 3 * REPEATED_AFTER)
    assert len(records) == 2
    audited.add([(key(), 1)])
    audited.write(NOON + 3 * REPEATED_AFTER)
    assert shown(records[2])[2] == "calling-ae-title"


def test_a_stop_leaves_nothing_uncounted() -> None:
    records: list[AuditRecord] = []
    audited = AuditedRejections(records.append)
    for _ in range(2):
        audited.add([(key(), 1)])
        audited.write(NOON)
    audited.write(NOON, is_last=True)
    assert [shown(each)[2] for each in records] == ["calling-ae-title", "calling-ae-title"]


def test_a_connection_without_an_ae_title_is_named_by_its_address() -> None:
    records: list[AuditRecord] = []
    audited = AuditedRejections(records.append)
    audited.add([(key("", "192.0.2.9", ListenerRejection.TLS_FAILED), 1)])
    audited.write(NOON)
    ((named,),) = [each.objects for each in records]
    assert named.identifier == "192.0.2.9"


def test_what_ends_no_association_or_only_says_that_the_node_is_busy_leaves_no_record() -> None:
    records: list[AuditRecord] = []
    audited = AuditedRejections(records.append)
    for reason in (
        ListenerRejection.INSTANCE,
        ListenerRejection.SOP_CLASS,
        ListenerRejection.TOO_MANY_ASSOCIATIONS,
        ListenerRejection.TOO_MANY_OF_ADDRESS,
        ListenerRejection.NO_SPACE,
    ):
        audited.add([(key(reason=reason), 1)])
    audited.write(NOON)
    assert records == []


def test_a_flood_of_invented_titles_needs_little_memory_and_few_records() -> None:
    records: list[AuditRecord] = []
    audited = AuditedRejections(records.append)
    audited.add((key(f"X{number}"), 1) for number in range(5000))
    audited.write(NOON)
    assert len(records) == 501
    assert shown(records[-1]) == ("*", "*", "calling-ae-title, 4500 times")


def test_counts_stay_while_the_trail_cannot_be_written() -> None:
    def fail(_record: AuditRecord) -> None:
        raise Transient("the disk is full")

    audited = AuditedRejections(fail)
    audited.add([(key(), 2), (key("CT2"), 1)])
    audited.write(NOON)
    records: list[AuditRecord] = []
    audited.write_record = records.append
    audited.write(NOON + REPEATED_AFTER)
    assert [shown(each)[2] for each in records] == ["calling-ae-title, 2 times", "calling-ae-title"]
