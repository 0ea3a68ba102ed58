"""Random identifiers and codes, of which the database keeps only digests."""

import hashlib
import secrets

_ID_BYTES = 32  # 256 bits
# Without letters and digits that people confuse. 20 of 31 characters: 99 bits.
_CODE_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_CODE_GROUPS, _CODE_GROUP_LENGTH = 4, 5


def new_identifier() -> str:
    """Returns an identifier that nobody can guess."""
    return secrets.token_urlsafe(_ID_BYTES)


def new_code() -> str:
    """Returns a one-time code for people to type, such as `k3m7x-...`."""
    groups = (
        "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_GROUP_LENGTH))
        for _ in range(_CODE_GROUPS)
    )
    return "-".join(groups)


def digest_of_identifier(identifier: str) -> str:
    """Returns the digest of an identifier, by which the database finds it.

    The identifier is random, so that a fast hash without salt is enough.
    """
    return hashlib.sha256(identifier.encode()).hexdigest()


def digest_of_code(code: str) -> str:
    """Returns the digest of a one-time code, however a person has written it."""
    return digest_of_identifier("".join(c for c in code.lower() if c.isalnum()))
