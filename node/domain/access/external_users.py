"""People whom an identity provider knows: who they are, and their names on the node."""

import unicodedata
from dataclasses import dataclass

from node.domain.access.permissions import Role

# An account of the node cannot have such a name: it has no colon.
EXTERNAL_PREFIX = "sso:"
_SIGNS = frozenset("._@-")
_LETTERS_MARKS_NUMBERS = "LMN"  # first letters of Unicode's general categories
_MAX_CLAIMED_LENGTH = 44
_DIGEST_LENGTH = 12


@dataclass(frozen=True)
class ExternalPerson:
    """A person who has logged in at a provider.

    Issuer and subject say who it is, and never change (OpenID Connect Core 5.7). The claimed name
    may change, and may pass to somebody else. `digest` is a digest of issuer and subject.
    """

    issuer: str
    subject: str
    claimed_name: str
    digest: str
    role: Role

    @property
    def names(self) -> tuple[str, str]:
        """The name on the node, and the name where somebody else has the first one already.

        The letters of every script stay; other characters become hyphens.
        """
        kept = (each if _is_kept(each) else " " for each in composed(self.claimed_name))
        plain = "-".join("".join(kept).split())
        short = self.digest[:_DIGEST_LENGTH]
        name = EXTERNAL_PREFIX + (plain[:_MAX_CLAIMED_LENGTH].strip("-") or short)
        return name, f"{name}-{short}"


def _is_kept(character: str) -> bool:
    category = unicodedata.category(character)
    return character in _SIGNS or category[0] in _LETTERS_MARKS_NUMBERS


def composed(name: str) -> str:
    """Returns a name in lower case and in one form of Unicode, without spaces around it.

    Keyboards and programs write letters such as "ö" as one character, or as two (NFC, NFD).
    """
    lower = unicodedata.normalize("NFC", name.strip()).lower()
    return unicodedata.normalize("NFC", lower)


def is_external(user_name: str) -> bool:
    """Whether a provider knows the user; else the user has an account of the node."""
    return user_name.startswith(EXTERNAL_PREFIX)
