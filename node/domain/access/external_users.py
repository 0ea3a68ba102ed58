"""People whom an identity provider knows: who they are, and their names on the node."""

import re
from dataclasses import dataclass

from node.domain.access.permissions import Role

# An account of the node cannot have such a name: it has no colon.
EXTERNAL_PREFIX = "sso:"
_OTHER_CHARACTERS = re.compile(r"[^a-z0-9._@-]+")
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
        """The name on the node, and the name where somebody else has the first one already."""
        plain = _OTHER_CHARACTERS.sub("-", self.claimed_name.strip().lower())
        short = self.digest[:_DIGEST_LENGTH]
        name = EXTERNAL_PREFIX + (plain[:_MAX_CLAIMED_LENGTH].strip("-") or short)
        return name, f"{name}-{short}"


def is_external(user_name: str) -> bool:
    """Whether a provider knows the user; else the user has an account of the node."""
    return user_name.startswith(EXTERNAL_PREFIX)
