"""Passwords: their hashes (argon2id) and the rules for new ones (NIST SP 800-63B, 3.1.1)."""

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from argon2.low_level import Type

from node.domain.access.users import AccountError

DIFFERENT_PASSWORDS = "the two passwords differ"
MIN_LENGTH = 12
# Long enough for every passphrase; a longer text would only cost time.
MAX_LENGTH = 256
# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, 2 iterations and 1 thread.
_MEMORY_KIB = 19 * 1024
_ITERATIONS = 2
_PARALLELISM = 1
# Logins at the same time wait for each other: they must not use the memory of the inference.
_AT_ONCE = threading.BoundedSemaphore(2)
_HASHER = PasswordHasher(
    time_cost=_ITERATIONS, memory_cost=_MEMORY_KIB, parallelism=_PARALLELISM, type=Type.ID
)
# A sequence of keys or letters is found in either direction.
_SEQUENCES = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
)
_MIN_SEQUENCE = 4
# So many different characters must remain without all that is easy to guess.
_MIN_DISTINCT = 6
# Words that guesses start with. A password is more than one of them with digits and signs.
_COMMON_WORDS = """
    password passwort passwords passw0rd letmein welcome willkommen administrator admin root user
    hospital klinik clinic radiology radiologie radiologist dicom pacs orthanc segnode segmentation
    changeme secret geheim login iloveyou sunshine princess dragon monkey football baseball master
    summer winter spring autumn monday january december
"""


def hash_password(password: str) -> str:
    """Returns the hash of a password, with its salt and parameters."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def is_password(password: str, stored: str | None) -> bool:
    """Whether the password is the one whose hash is stored.

    It takes the same work where none is stored, so that nobody learns which users exist.
    """
    with _AT_ONCE:
        try:
            _HASHER.verify(_unknown_password() if stored is None else stored, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
    return stored is not None


@cache
def _unknown_password() -> str:
    """Returns the hash that stands for users who do not exist."""
    return _HASHER.hash("no user has this password")


def check_new_password(password: str, user_name: str) -> None:
    """Checks a password that a person chooses.

    Raises:
        AccountError: it is too short, too long or among the first that somebody would guess.
    """
    if len(password) < MIN_LENGTH:
        raise AccountError(
            f"the password has {len(password)} characters; it needs at least {MIN_LENGTH}. Several "
            "words in a row are easy to remember"
        )
    if len(password) > MAX_LENGTH:
        raise AccountError(f"the password has more than {MAX_LENGTH} characters")
    if len(set(_without_guessable_parts(password.lower(), user_name))) < _MIN_DISTINCT:
        raise AccountError(
            "the password is easy to guess: it consists of common words, the user name, a sequence "
            "or repeated characters. Choose several words that have nothing to do with each other"
        )


def _without_guessable_parts(text: str, user_name: str) -> str:
    """Returns the text without common words, the user name and sequences."""
    parts = {
        user_name.lower(),
        *user_name.lower().replace("@", ".").split("."),
        *_COMMON_WORDS.split(),
    }
    for part in sorted(parts - {""}, key=len, reverse=True):
        text = text.replace(part, "")
    for sequence in _SEQUENCES:
        for run in (sequence, sequence[::-1]):
            for length in range(len(run), _MIN_SEQUENCE - 1, -1):
                for start in range(len(run) - length + 1):
                    text = text.replace(run[start : start + length], "")
    return text
