"""Codes of authenticator apps and recovery codes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import text

from node.access.login_records import own_account_record
from node.access.second_factor import SecondFactor, UsedCode
from node.domain.access.permissions import Role
from node.domain.access.users import AccountError
from node.domain.errors import Transient
from node.store import Store
from tests.support.audit_records import audit_records
from tests.support.factories import NOON, sqlite_url
from tests.support.servers.sessions import FACTS as ANY_FACTS

# RFC 6238, appendix B: the ASCII secret "12345678901234567890", SHA-1; the last six digits.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}
STEP = timedelta(seconds=30)
FACTS = replace(ANY_FACTS, now=NOON)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    store.add_user("jdoe", Role.VIEWER, NOON)
    yield store
    store.close()


def enrolled(store: Store, secret: str) -> SecondFactor:
    store.set_totp_secret("jdoe", secret)
    record = own_account_record("jdoe", FACTS, "sets up")
    assert store.confirm_second_factor("jdoe", secret, 0, (), record)
    return SecondFactor(store)


@pytest.mark.parametrize(("second", "code"), RFC_CODES.items())
def test_the_codes_of_the_rfc_are_valid_at_their_time(store: Store, second: int, code: str) -> None:
    factor = enrolled(store, RFC_SECRET)
    now = datetime.fromtimestamp(second, UTC)
    assert not factor.use("jdoe", code, now + 2 * STEP)
    assert not factor.use("jdoe", code[::-1], now)
    assert factor.use("jdoe", code, now)


def test_a_code_counts_once_and_no_earlier_one_afterwards(store: Store) -> None:
    factor = enrolled(store, RFC_SECRET)
    app = pyotp.TOTP(RFC_SECRET)
    current, before = app.at(NOON), app.at(NOON - STEP)
    assert factor.use("jdoe", f"{current[:3]} {current[3:]}", NOON)
    assert not factor.use("jdoe", current, NOON)
    assert not factor.use("jdoe", before, NOON)
    assert factor.use("jdoe", app.at(NOON + STEP), NOON + STEP)


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_clock_may_be_one_step_off(store: Store, steps: int) -> None:
    factor = enrolled(store, RFC_SECRET)
    code = pyotp.TOTP(RFC_SECRET).at(NOON + steps * STEP)
    assert factor.use("jdoe", code, NOON) is UsedCode.APP


def test_a_secret_counts_after_its_first_code(store: Store) -> None:
    factor = SecondFactor(store)
    enrolment = factor.begin_enrolment("jdoe")
    assert factor.begin_enrolment("jdoe") == enrolment, "a reload shows the same secret"
    assert enrolment.uri.startswith("otpauth://totp/segnode:jdoe?secret=")
    code = pyotp.TOTP(enrolment.secret).at(NOON)
    with pytest.raises(AccountError, match="code is wrong"):
        factor.confirm("jdoe", "12", FACTS)
    assert not store.get_user("jdoe").has_second_factor
    codes = factor.confirm("jdoe", code, FACTS)
    assert len(set(codes)) == 10
    assert store.get_user("jdoe").has_second_factor
    assert not factor.use("jdoe", code, NOON), "the code that confirmed it is used"
    with pytest.raises(AccountError, match="has a second factor already"):
        factor.begin_enrolment("jdoe")
    assert enrolment.secret not in str(audit_records(store))
    assert [(each.outcome, each.detail) for each in audit_records(store)] == [
        ("success", "sets up the second factor, with 10 recovery codes"),
        ("minor failure", "second factor not set up: the code is wrong"),
    ]


def test_a_second_factor_counts_with_its_record_or_not_at_all(store: Store) -> None:
    factor = SecondFactor(store)
    secret = factor.begin_enrolment("jdoe").secret
    with store._database.writing() as connection:
        connection.execute(text("DROP TABLE audit_records"))
    with pytest.raises(Transient, match="audit_records"):
        factor.confirm("jdoe", pyotp.TOTP(secret).at(NOON), FACTS)
    assert not store.get_user("jdoe").has_second_factor
    assert store.count_recovery_codes("jdoe") == 0


def test_a_recovery_code_counts_once(store: Store) -> None:
    factor = SecondFactor(store)
    secret = factor.begin_enrolment("jdoe").secret
    first, second, *_ = factor.confirm("jdoe", pyotp.TOTP(secret).at(NOON), FACTS)
    assert factor.use("jdoe", first.upper().replace("-", " "), NOON) is UsedCode.RECOVERY
    assert not factor.use("jdoe", first, NOON)
    assert store.count_recovery_codes("jdoe") == 9
    store.remove_second_factor("jdoe")
    assert not factor.use("jdoe", second, NOON)
    assert store.count_recovery_codes("jdoe") == 0


@pytest.mark.parametrize("code", ["", " ", "0", "000000", "٠٠٠٠٠٠", "x" * 1000])
def test_other_texts_are_no_codes(store: Store, code: str) -> None:
    factor = enrolled(store, RFC_SECRET)
    assert not factor.use("jdoe", code, NOON)
    assert not factor.use("nobody", code, NOON)
