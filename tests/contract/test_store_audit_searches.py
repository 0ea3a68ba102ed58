"""Searches of the audit trail, on SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

import pytest

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.store import Store
from node.store.audit_trail.chain import ChainedRecord
from node.store.audit_trail.searching import AuditCursor, AuditOrder, AuditSearch
from tests.support.factories import NOON

HOUR = timedelta(hours=1)
QUOTED = 'a "quoted", name] \\ ä%_'
RECORDS = (
    AuditRecord(
        NOON,
        AuditAction.LOGIN,
        AuditOutcome.MINOR_FAILURE,
        AuditActor("Ada", AuditInterface.CONSOLE, "192.0.2.7"),
        (AuditObject(AuditObjectType.USER, "Ada"),),
        "first",
    ),
    AuditRecord(
        NOON + HOUR,
        AuditAction.EXPORTED,
        AuditOutcome.SUCCESS,
        AuditActor("bob_the_token", AuditInterface.API, "2001:db8::7"),
        (
            AuditObject(AuditObjectType.STUDY, "1.2.3"),
            AuditObject(AuditObjectType.SERIES, "1.2.3.4"),
        ),
        "second",
    ),
    AuditRecord(
        NOON + 2 * HOUR,
        AuditAction.TOKEN_CHANGED,
        AuditOutcome.SUCCESS,
        AuditActor("ada (command line)", AuditInterface.CLI),
        (AuditObject(AuditObjectType.TOKEN, QUOTED),),
        "third",
    ),
)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (AuditSearch(), ["first", "second", "third"]),
        (AuditSearch(since=NOON + HOUR), ["second", "third"]),
        (AuditSearch(until=NOON + HOUR), ["first"]),
        (AuditSearch(user="ADA"), ["first", "third"]),
        (AuditSearch(user="bob_"), ["second"]),
        (AuditSearch(user="a_a"), []),
        (AuditSearch(action=AuditAction.EXPORTED), ["second"]),
        (AuditSearch(outcome=AuditOutcome.SUCCESS), ["second", "third"]),
        (AuditSearch(object="1.2.3"), ["second"]),
        (AuditSearch(object="1.2.3.4"), ["second"]),
        (AuditSearch(object="1.2"), []),
        (AuditSearch(object="study"), []),
        (AuditSearch(object=QUOTED), ["third"]),
        (AuditSearch(object="name"), []),
        (AuditSearch(address="192.0.2."), ["first"]),
        (AuditSearch(address="DB8"), ["second"]),
        (AuditSearch(user="ada", outcome=AuditOutcome.SUCCESS), ["third"]),
    ],
)
def test_a_search_finds_the_records_for_which_all_conditions_hold(
    store: Store, search: AuditSearch, expected: list[str]
) -> None:
    for record in RECORDS:
        store.record(record)
    oldest_first = store.audit_records(search, AuditOrder.OLDEST_FIRST)
    assert [record.detail for record in oldest_first] == expected
    assert [record.detail for record in store.audit_records(search)] == expected[::-1]


@pytest.mark.parametrize("order", AuditOrder)
def test_pages_hold_each_record_once_also_those_of_the_same_time(
    store: Store, order: AuditOrder
) -> None:
    for number in range(7):
        store.record(replace(RECORDS[0], happened_at=NOON + number // 3 * HOUR, detail=f"{number}"))
    details: list[str] = []
    cursor: AuditCursor | None = None
    while page := store.audit_page(AuditSearch(), 2, cursor, order):
        details += [record.detail for record in page]
        cursor = AuditCursor.parse(str(AuditCursor.of(page[-1])))
    expected = [str(number) for number in range(7)]
    assert details == (expected if order is AuditOrder.OLDEST_FIRST else expected[::-1])


CLOCK = NOON + 9 * HOUR
YEAR = timedelta(days=365)


def write_with_a_wrong_clock(store: Store) -> list[str]:
    """Records of two hosts, of which one was a year ahead for a time; returns the right order."""
    for number, (host, after) in enumerate(
        (
            ("a", 0 * HOUR),
            ("b", 1 * HOUR),
            ("a", YEAR),
            ("a", YEAR + HOUR),
            ("b", 2 * HOUR),
            ("a", 3 * HOUR),
            ("b", 4 * HOUR),
            ("b", 2 * YEAR),
            ("a", 5 * HOUR),
        )
    ):
        record = replace(RECORDS[number % 2], happened_at=NOON + after, detail=f"{number}{host}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.gethostname", lambda host=host: host)
            store.record(record)
    # Nothing follows 7b in its chain, so that it is the newest.
    return ["0a", "1b", "4b", "2a", "3a", "5a", "6b", "8a", "7b"]


@pytest.mark.parametrize("order", AuditOrder)
@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_records_of_the_future_stand_where_their_chain_has_them(
    store: Store, order: AuditOrder, size: int
) -> None:
    expected = write_with_a_wrong_clock(store)
    found: list[ChainedRecord] = []
    cursor: AuditCursor | None = None
    while page := store.audit_page(AuditSearch(clock=CLOCK), size, cursor, order):
        found += page
        cursor = AuditCursor.parse(str(AuditCursor.of(page[-1])))
    details = [record.detail for record in found]
    assert details == (expected if order is AuditOrder.OLDEST_FIRST else expected[::-1])
    times = {record.detail: record.happened_at for record in found}
    assert (times["2a"], times["7b"]) == (NOON + YEAR, NOON + 2 * YEAR)


def test_a_search_finds_records_of_the_future_by_what_they_have(store: Store) -> None:
    expected = write_with_a_wrong_clock(store)
    search = AuditSearch(outcome=RECORDS[0].outcome, clock=CLOCK)
    even = [detail for detail in expected if int(detail[0]) % 2 == 0]
    assert [each.detail for each in store.audit_records(search)] == even[::-1]
    late = AuditSearch(since=NOON + YEAR, clock=CLOCK)
    assert [each.detail for each in store.audit_records(late)] == ["7b", "3a", "2a"]


def test_once_the_clock_has_reached_a_time_it_counts(store: Store) -> None:
    write_with_a_wrong_clock(store)
    search = AuditSearch(clock=NOON + 3 * YEAR)
    newest = [each.detail for each in store.audit_page(search, 4)]
    assert newest == ["7b", "3a", "2a", "8a"]


def test_records_can_be_added_while_others_are_read(store: Store) -> None:
    store.record(RECORDS[0])
    for _ in store.audit_records(AuditSearch(outcome=AuditOutcome.MINOR_FAILURE)):
        store.record(RECORDS[1])
    assert len(list(store.audit_records(AuditSearch()))) == 2
