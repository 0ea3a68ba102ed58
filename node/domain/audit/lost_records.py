"""Records of the audit trail that could not be written: how many, and when."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_TEXT = re.compile(r"records that could not be written: (\d+); first at (\S+), last at (\S+)")


@dataclass(frozen=True)
class LostRecords:
    """So many records, of which the first and the last happened at these times."""

    count: int
    first_at: datetime
    last_at: datetime

    def __add__(self, other: "LostRecords") -> "LostRecords":
        first_at, last_at = min(self.first_at, other.first_at), max(self.last_at, other.last_at)
        return LostRecords(self.count + other.count, first_at, last_at)

    def text(self) -> str:
        """Returns the line that states them, with times in UTC."""
        first, last = (at.astimezone(UTC).isoformat() for at in (self.first_at, self.last_at))
        return f"records that could not be written: {self.count}; first at {first}, last at {last}"


def parsed_lost_records(text: str) -> LostRecords | None:
    """Returns what `LostRecords.text` states; None if the text is another one."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        return None
    first, last = (datetime.fromisoformat(at) for at in found.group(2, 3))
    return LostRecords(int(found[1]), first, last)
