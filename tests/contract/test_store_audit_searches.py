"""Searches of the audit trail, on SQLite and PostgreSQL."""

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
from node.store.audit_trail.searching import AuditSearch
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
    with store.found_audit_records(search) as found:
        assert [record.detail for record in found] == expected
    with store.found_audit_records(search, newest_first=True) as found:
        assert [record.detail for record in found] == expected[::-1]
