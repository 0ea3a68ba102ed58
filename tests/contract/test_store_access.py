"""The contract of the store for users, sessions and codes, on SQLite and on PostgreSQL."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest

from node.domain.access.external_users import ExternalPerson
from node.domain.access.permissions import Role
from node.domain.access.users import AccountError, CodePurpose, SessionStage
from node.store import Store
from node.store.access.sessions import NewSession
from tests.support.factories import LATER, NOON

MINUTE = timedelta(minutes=1)


def session(digest: str, name: str = "jdoe") -> NewSession:
    return NewSession(digest, name, SessionStage.OPEN, "192.0.2.1")


def test_a_user_is_added_once_and_found_by_name(store: Store) -> None:
    added = store.add_user("jdoe", Role.VIEWER, NOON)
    assert store.get_user("jdoe") == added
    assert not added.has_password
    with pytest.raises(AccountError, match="already"):
        store.add_user("jdoe", Role.ADMINISTRATOR, NOON)
    with pytest.raises(AccountError, match="there is no user"):
        store.get_user("other")
    assert store.list_users() == [added]


def test_only_one_of_two_first_administrators_is_added(store: Store) -> None:
    barrier, refused = Barrier(2), []
    store.replace_code(CodePurpose.SET_UP, "code")

    def add(name: str) -> None:
        barrier.wait()
        try:
            store.add_first_administrator(name, "hash", "code", NOON)
        except AccountError as error:
            refused.append(str(error))

    threads = [Thread(target=add, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["there is an administrator already"]
    assert len(store.list_users()) == 1


def test_a_code_is_used_with_what_it_is_for_or_not_at_all(store: Store) -> None:
    store.replace_code(CodePurpose.PASSWORD, "code", user_name="nobody")
    with pytest.raises(AccountError, match="there is no user"):
        store.set_password_by_code("nobody", "hash", "code", NOON)
    store.add_user("nobody", Role.VIEWER, NOON)
    assert store.set_password_by_code("nobody", "hash", "code", NOON)
    assert not store.set_password_by_code("nobody", "another", "code", NOON)
    assert store.add_first_administrator("first", "hash", "wrong", NOON) is None


def test_two_administrators_cannot_disable_each_other(store: Store) -> None:
    for name in ("first", "second"):
        store.add_user(name, Role.ADMINISTRATOR, NOON)
    store.set_disabled("first", True)
    with pytest.raises(AccountError, match="only administrator"):
        store.set_disabled("second", True)
    with pytest.raises(AccountError, match="only administrator"):
        store.change_role("second", Role.VIEWER)
    assert store.has_administrator()
    store.set_disabled("first", False)
    store.change_role("second", Role.VIEWER)


def test_a_session_ends_with_what_it_rests_on(store: Store) -> None:
    store.add_user("jdoe", Role.VIEWER, NOON)
    store.add_session(session("a"), NOON)
    found = store.get_session("a")
    assert found is not None
    assert (found.user.role, found.created_at, found.last_used_at) == (Role.VIEWER, NOON, NOON)
    store.add_session(session("b"), NOON, instead_of="a")
    assert store.get_session("a") is None
    store.set_password("jdoe", "hash", keep=("b",))
    assert store.get_session("b") is not None
    store.change_role("jdoe", Role.OPERATOR)
    assert store.get_session("b") is None


def test_a_session_without_a_user_is_none(store: Store) -> None:
    store.add_session(session("a", "nobody"), NOON)
    assert store.get_session("a") is None


def test_expired_sessions_are_removed_by_age_and_by_use(store: Store) -> None:
    store.add_user("jdoe", Role.VIEWER, NOON)
    for digest in ("old", "idle", "used"):
        store.add_session(session(digest), NOON if digest == "old" else NOON + MINUTE)
    for digest in ("old", "used"):
        store.record_session_use(digest, NOON + 5 * MINUTE)
    store.remove_expired_sessions(NOON + MINUTE, NOON + 2 * MINUTE)
    left = [digest for digest in ("old", "idle", "used") if store.get_session(digest)]
    assert left == ["used"]
    assert store.session_counts(NOON) == {"jdoe": 1}
    assert store.remove_sessions_of("jdoe") == 1


def test_a_code_counts_once_for_its_purpose_and_user_and_time(store: Store) -> None:
    for name in ("jdoe", "other"):
        store.replace_code(CodePurpose.PASSWORD, name, user_name=name, expires_at=NOON + MINUTE)
    store.replace_code(CodePurpose.SET_UP, "first")
    store.replace_code(CodePurpose.SET_UP, "second")
    assert not store.use_code(CodePurpose.SET_UP, "first", LATER)
    assert store.use_code(CodePurpose.SET_UP, "second", LATER)
    assert not store.use_code(CodePurpose.SET_UP, "second", LATER)
    assert not store.use_code(CodePurpose.LOGIN, "jdoe", NOON, user_name="jdoe")
    assert not store.use_code(CodePurpose.PASSWORD, "jdoe", NOON, user_name="other")
    assert not store.use_code(CodePurpose.PASSWORD, "jdoe", NOON + MINUTE, user_name="jdoe")
    assert store.use_code(CodePurpose.PASSWORD, "jdoe", NOON, user_name="jdoe")


def test_the_step_of_a_code_is_used_once_by_all_processes(store: Store) -> None:
    store.add_user("jdoe", Role.VIEWER, NOON)
    barrier, used = Barrier(4), []

    def use() -> None:
        barrier.wait()
        used.append(store.use_totp_step("jdoe", 7))

    threads = [Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(used) == [False, False, False, True]


def person(subject: str, name: str = "J Doe", role: Role = Role.OPERATOR) -> ExternalPerson:
    return ExternalPerson("https://login.example", subject, name, f"digest-of-{subject}", role)


def test_a_person_of_a_provider_is_one_user_whatever_the_name(store: Store) -> None:
    store.add_user("j-doe", Role.ADMINISTRATOR, NOON)
    first = store.record_external_login(person("1"), NOON)
    assert (first.name, first.role) == ("sso:j-doe", Role.OPERATOR)
    again = store.record_external_login(person("1", "renamed", Role.VIEWER), LATER)
    assert (again.name, again.role) == ("sso:j-doe", Role.VIEWER)
    other = store.record_external_login(person("2"), LATER)
    assert other.name == "sso:j-doe-digest-of-2"
    assert store.record_external_login(person("3", "« »"), LATER).name == "sso:digest-of-3"
    composed, decomposed = "Åsa Özil", "A\N{COMBINING RING ABOVE}sa O\N{COMBINING DIAERESIS}zil"
    assert store.record_external_login(person("4", composed), LATER).name == "sso:åsa-özil"
    assert store.record_external_login(person("5", decomposed), LATER).name.startswith(
        "sso:åsa-özil-"
    )
    assert store.external_subjects("https://login.example") == {"1", "2", "3", "4", "5"}
    assert len(store.list_users()) == 6


def test_the_last_administrator_is_an_account_of_the_node(store: Store) -> None:
    known = store.record_external_login(person("1", role=Role.ADMINISTRATOR), NOON)
    assert not store.has_administrator()
    store.add_user("local", Role.ADMINISTRATOR, NOON)
    with pytest.raises(AccountError, match="only administrator"):
        store.set_disabled("local", True)
    store.set_disabled(known.name, True)
    assert store.record_external_login(person("1"), LATER).is_disabled


def test_a_lock_out_period_is_refused_for_the_first_time_once(store: Store) -> None:
    assert store.is_first_refusal("period:a", NOON)
    assert not store.is_first_refusal("period:a", LATER)
    assert store.is_first_refusal("period:b", LATER)
