"""Hashes of passwords, and the rules for new ones."""

import re

import pytest

from node.access.passwords import check_new_password, hash_password, is_password
from node.domain.access.users import AccountError, user_name_of


@pytest.mark.usefixtures("real_passwords")
def test_a_password_is_kept_as_argon2id_with_the_parameters_of_owasp() -> None:
    stored = hash_password("violet tractor sings")
    assert re.match(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$", stored)
    assert stored != hash_password("violet tractor sings"), "each hash has its salt"
    assert is_password("violet tractor sings", stored)
    assert not is_password("violet tractor sing", stored)
    assert not is_password("", stored)


def test_nothing_is_the_password_of_a_user_without_one() -> None:
    for password in ("", "no user has this password", "None"):
        assert not is_password(password, None)
        assert not is_password(password, "not a hash")


@pytest.mark.parametrize(
    "password",
    [
        "violet tractor sings",
        "849302751648",
        "Zürich-Öl-Fähre",
        "密码很长的一个短语加几个字",
        "Winter storm over the harbour",
        "x7#qLp!2vRz9",
    ],
)
def test_a_password_may_have_any_characters(password: str) -> None:
    check_new_password(password, "jdoe")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "at least 12"),
        ("elevenchars", "at least 12"),
        ("a" * 257, "more than 256"),
        ("aaaaaaaaaaaa", "easy to guess"),
        ("abababababab", "easy to guess"),
        ("123456789012", "easy to guess"),
        ("098765432109", "easy to guess"),
        ("abcdefghijkl", "easy to guess"),
        ("qwertyuiop12", "easy to guess"),
        ("PasswordPassword", "easy to guess"),
        ("Segnode1234!", "easy to guess"),
        ("jane.doe2024!", "easy to guess"),
        ("doejanedoejane1", "easy to guess"),
        ("hospital-2026", "easy to guess"),
        ("Radiology1234", "easy to guess"),
    ],
)
def test_a_password_among_the_first_guesses_is_refused(password: str, reason: str) -> None:
    with pytest.raises(AccountError, match=reason):
        check_new_password(password, "jane.doe@hospital.example")


def test_a_user_name_is_the_same_in_upper_and_lower_case() -> None:
    assert user_name_of(" Jane.Doe@Hospital.example ") == "jane.doe@hospital.example"


@pytest.mark.parametrize("name", ["", " ", ".x", "a b", "a/b", "a" * 64, "jané", "a\nb", "<b>"])
def test_other_texts_are_no_user_names(name: str) -> None:
    with pytest.raises(AccountError, match="a user name has"):
        user_name_of(name)
