"""What a node is known by on the network, and what of that another text would change."""

from collections.abc import Iterator
from dataclasses import dataclass

from node.settings import Settings

# Two nodes with the same values of these disturb each other: peers reach the wrong one, or none.
IDENTITY_SETTINGS = (
    ("listener", "ae_title"),
    ("listener", "host"),
    ("listener", "port"),
    ("web", "host"),
    ("web", "port"),
    ("web", "names"),
    ("alerts", "site"),
)


@dataclass(frozen=True)
class IdentityChange:
    """A setting of the identity that a text changes."""

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        """The change in one line."""
        return f"{self.key}: {self.before} becomes {self.after}"


def identity_changes(before: Settings, after: Settings) -> Iterator[IdentityChange]:
    """Yields what differs in the identity of two configurations."""
    for table, key in IDENTITY_SETTINGS:
        old, new = (getattr(getattr(each, table), key) for each in (before, after))
        if old != new:
            yield IdentityChange(f"{table}.{key}", _text(old), _text(new))


def _text(value: object) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text or "nothing"
