"""Codes of authenticator apps and recovery codes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest

from node.access.second_factor import SecondFactor
from node.domain.access.permissions import Role
from node.domain.access.users import AccountError
from node.store import Store
from tests.support.factories import NOON, sqlite_url

# RFC 6238, appendix B: the ASCII secret "12345678901234567890", SHA-1; the last six digits.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}
STEP = timedelta(seconds=30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    store.add_user("jdoe", Role.VIEWER, NOON)
    yield store
    store.close()


def enrolled(store: Store, secret: str) -> SecondFactor:
    store.set_totp_secret("jdoe", secret)
    assert store.confirm_second_factor("jdoe", secret, 0, ())
    return SecondFactor(store)


@pytest.mark.parametrize(("second", "code"), RFC_CODES.items())
def test_the_codes_of_the_rfc_are_valid_at_their_time(store: Store, second: int, code: str) -> None:
    factor = enrolled(store, RFC_SECRET)
    now = datetime.fromtimestamp(second, UTC)
    assert not factor.is_valid("jdoe", code, now + 2 * STEP)
    assert not factor.is_valid("jdoe", code[::-1], now)
    assert factor.is_valid("jdoe", code, now)


def test_a_code_counts_once_and_no_earlier_one_afterwards(store: Store) -> None:
    factor = enrolled(store, RFC_SECRET)
    app = pyotp.TOTP(RFC_SECRET)
    current, before = app.at(NOON), app.at(NOON - STEP)
    assert factor.is_valid("jdoe", f"{current[:3]} {current[3:]}", NOON)
    assert not factor.is_valid("jdoe", current, NOON)
    assert not factor.is_valid("jdoe", before, NOON)
    assert factor.is_valid("jdoe", app.at(NOON + STEP), NOON + STEP)


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_clock_may_be_one_step_off(store: Store, steps: int) -> None:
    factor = enrolled(store, RFC_SECRET)
    assert factor.is_valid("jdoe", pyotp.TOTP(RFC_SECRET).at(NOON + steps * STEP), NOON)


def test_a_secret_counts_after_its_first_code(store: Store) -> None:
    factor = SecondFactor(store)
    enrolment = factor.begin_enrolment("jdoe")
    assert factor.begin_enrolment("jdoe") == enrolment, "a reload shows the same secret"
    assert enrolment.uri.startswith("otpauth://totp/segnode:jdoe?secret=")
    code = pyotp.TOTP(enrolment.secret).at(NOON)
    with pytest.raises(AccountError, match="code is wrong"):
        factor.confirm("jdoe", "12", NOON)
    assert not store.get_user("jdoe").has_second_factor
    codes = factor.confirm("jdoe", code, NOON)
    assert len(set(codes)) == 10
    assert store.get_user("jdoe").has_second_factor
    assert not factor.is_valid("jdoe", code, NOON), "the code that confirmed it is used"
    with pytest.raises(AccountError, match="has a second factor already"):
        factor.begin_enrolment("jdoe")


def test_a_recovery_code_counts_once(store: Store) -> None:
    factor = SecondFactor(store)
    secret = factor.begin_enrolment("jdoe").secret
    first, second, *_ = factor.confirm("jdoe", pyotp.TOTP(secret).at(NOON), NOON)
    assert factor.is_valid("jdoe", first.upper().replace("-", " "), NOON)
    assert not factor.is_valid("jdoe", first, NOON)
    assert store.count_recovery_codes("jdoe") == 9
    store.remove_second_factor("jdoe")
    assert not factor.is_valid("jdoe", second, NOON)
    assert store.count_recovery_codes("jdoe") == 0


@pytest.mark.parametrize("code", ["", " ", "0", "000000", "٠٠٠٠٠٠", "x" * 1000])
def test_other_texts_are_no_codes(store: Store, code: str) -> None:
    factor = enrolled(store, RFC_SECRET)
    assert not factor.is_valid("jdoe", code, NOON)
    assert not factor.is_valid("nobody", code, NOON)
