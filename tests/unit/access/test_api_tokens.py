"""Tokens of programs: who has them, what they may do, and when they stop to count."""

import base64
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from node.access.api_tokens import PREFIX, TokenAuthenticator, TokenKeeper
from node.access.authentication import Refusal, RequestFacts
from node.domain.access.identities import Identity, IdentityOrigin
from node.domain.access.permissions import Permission
from node.domain.access.users import AccountError
from node.domain.errors import Transient
from node.store import Store
from tests.support.audit_records import audit_records
from tests.support.factories import NOON, sqlite_url

VIEW = frozenset({Permission.VIEW})
YEAR = timedelta(days=365)


def facts(*authorization: str) -> RequestFacts:
    headers = tuple(("authorization", value) for value in authorization)
    return RequestFacts(
        headers, {}, "10.1.2.3", "10.1.2.3", is_https=True, is_by_person=True, now=NOON
    )


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(sqlite_url(tmp_path), tmp_path)) as store:
        yield store


@pytest.fixture
def token(store: Store) -> str:
    return TokenKeeper(store, "ada", 3650).create("Viewer-1", VIEW, YEAR, NOON)


def refusal(store: Store, request: RequestFacts) -> str:
    answer = TokenAuthenticator(store)(request)
    assert isinstance(answer, Refusal)
    return answer.reason


@pytest.mark.parametrize("scheme", ["Bearer {}", "bearer  {}", "basic"])
def test_a_token_identifies_its_program(store: Store, token: str, scheme: str) -> None:
    header = basic(token) if scheme == "basic" else scheme.format(token)
    identity = TokenAuthenticator(store)(facts(header))
    assert identity == Identity("token viewer-1", VIEW, IdentityOrigin.TOKEN)


def test_a_request_without_the_header_is_left_to_others(store: Store, token: str) -> None:
    assert TokenAuthenticator(store)(facts()) is None


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Digest x"],
)
def test_a_header_without_a_token_is_refused(store: Store, header: str) -> None:
    assert "Authorization: Bearer TOKEN" in refusal(store, facts(header))


@pytest.mark.parametrize("header", [basic("of a proxy"), "Basic !", "Basic"])
def test_a_password_of_another_system_is_left_to_others(store: Store, header: str) -> None:
    assert TokenAuthenticator(store)(facts(header)) is None


def test_a_permission_of_a_newer_version_is_granted_to_nobody(store: Store, token: str) -> None:
    with store._database.writing() as connection:
        connection.execute(text("UPDATE api_tokens SET permissions = 'future,view'"))
    identity = TokenAuthenticator(store)(facts(f"Bearer {token}"))
    assert isinstance(identity, Identity)
    assert identity.permissions == VIEW


def test_a_database_that_cannot_be_written_refuses_no_reader(
    store: Store, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise Transient("the disk is full")

    monkeypatch.setattr(store, "record_api_token_use", full)
    assert isinstance(TokenAuthenticator(store)(facts(f"Bearer {token}")), Identity)


def test_an_unknown_token_is_refused_without_naming_it(store: Store, token: str) -> None:
    other = token[:-1] + ("a" if token[-1] != "a" else "b")
    reason = refusal(store, facts(f"Bearer {other}"))
    assert "unknown or revoked" in reason
    assert other not in reason


def test_two_headers_identify_nobody(store: Store, token: str) -> None:
    assert TokenAuthenticator(store)(facts(f"Bearer {token}", "Bearer x")) is None


def test_a_token_counts_until_its_end(store: Store, token: str) -> None:
    request = facts(f"Bearer {token}")
    last = replace(request, now=NOON + YEAR - timedelta(seconds=1))
    assert isinstance(TokenAuthenticator(store)(last), Identity)
    assert "expired" in refusal(store, replace(request, now=NOON + YEAR))


def test_a_revoked_token_is_refused_and_its_name_is_free(store: Store, token: str) -> None:
    keeper = TokenKeeper(store, "ada", 3650)
    keeper.revoke("viewer-1", NOON)
    assert "revoked" in refusal(store, facts(f"Bearer {token}"))
    with pytest.raises(AccountError, match="there is no token"):
        keeper.revoke("viewer-1", NOON)
    keeper.create("viewer-1", VIEW, YEAR, NOON)


def test_each_change_of_a_token_is_in_the_audit_trail_without_the_token(
    store: Store, token: str
) -> None:
    keeper = TokenKeeper(store, "bob", 3650)
    with pytest.raises(AccountError, match="already"):
        keeper.create("viewer-1", VIEW, YEAR, NOON)
    keeper.revoke("viewer-1", NOON)
    with pytest.raises(AccountError, match="there is no token"):
        keeper.revoke("viewer-1", NOON)
    records = audit_records(store)
    assert [(each.actor, each.objects, each.detail) for each in records] == [
        ("bob", (("token", "viewer-1"),), "revoked"),
        ("ada", (("token", "viewer-1"),), "created with view, until 2027-01-02"),
    ]
    assert token not in str(records)


def test_a_token_whose_record_cannot_be_written_is_neither_created_nor_revoked(
    store: Store, token: str
) -> None:
    with store._database.writing() as connection:
        connection.execute(text("DROP TABLE audit_records"))
    with pytest.raises(Transient, match="audit_records"):
        TokenKeeper(store, "ada", 3650).create("viewer-2", VIEW, YEAR, NOON)
    with pytest.raises(Transient, match="audit_records"):
        TokenKeeper(store, "ada", 3650).revoke("viewer-1", NOON)
    assert [each.name for each in store.list_api_tokens()] == ["viewer-1"]


def test_a_name_belongs_to_one_token(store: Store, token: str) -> None:
    with pytest.raises(AccountError, match="already"):
        TokenKeeper(store, "ada", 3650).create("viewer-1", VIEW, YEAR, NOON)
    with pytest.raises(AccountError, match="1 to 63 characters"):
        TokenKeeper(store, "ada", 3650).create("a b", VIEW, YEAR, NOON)


def test_the_last_use_is_recorded_at_most_once_a_minute(store: Store, token: str) -> None:
    authenticator, request = TokenAuthenticator(store), facts(f"Bearer {token}")
    for seconds, recorded in ((0, 0), (59, 0), (60, 60)):
        authenticator(replace(request, now=NOON + timedelta(seconds=seconds)))
        (found,) = store.list_api_tokens()
        assert found.last_used_at == NOON + timedelta(seconds=recorded)
        assert found.last_used_from == "10.1.2.3"


def test_the_token_itself_is_not_stored(store: Store, token: str) -> None:
    assert token.startswith(PREFIX)
    (found,) = store.list_api_tokens()
    assert token not in repr(found)
    assert store.find_api_token(token) is None, "only the digest finds it"
    assert token not in str(audit_records(store))


def test_a_token_is_valid_for_no_longer_than_the_site_allows(store: Store) -> None:
    keeper = TokenKeeper(store, "ada", 90)
    with pytest.raises(AccountError, match="at most 90 days"):
        keeper.create("long", VIEW, timedelta(days=91), NOON)
    keeper.create("short", VIEW, timedelta(days=90), NOON)


def test_a_token_that_may_do_nothing_is_not_created(store: Store) -> None:
    with pytest.raises(AccountError, match="at least one thing"):
        TokenKeeper(store, "ada", 90).create("idle", frozenset(), timedelta(days=1), NOON)


def test_a_token_of_an_earlier_version_that_may_operate_may_send(store: Store) -> None:
    keeper = TokenKeeper(store, "ada", 3650)
    keeper.create("old", frozenset({Permission.OPERATE}), YEAR, NOON)
    (old,) = store.list_api_tokens()
    assert old.permissions == {Permission.OPERATE, Permission.SEND}
