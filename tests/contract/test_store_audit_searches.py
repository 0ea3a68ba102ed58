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


def test_records_can_be_added_while_others_are_read(store: Store) -> None:
    store.record(RECORDS[0])
    for _ in store.audit_records(AuditSearch(outcome=AuditOutcome.MINOR_FAILURE)):
        store.record(RECORDS[1])
    assert len(list(store.audit_records(AuditSearch()))) == 2
