"""What differs between two texts of a configuration."""

import re
from difflib import unified_diff

from node.configuration.literal_secrets import without_literal_secrets
from node.settings.credentials.hidden import shown_url

# A record of the audit trail is read on a page and sent to a syslog server. The revision or the
# file has the whole text.
_MAX_RECORDED = 20_000
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"']+", re.IGNORECASE)


def unified_difference(old: str, new: str, old_name: str, new_name: str) -> str:
    """Returns the unified diff of two texts; empty if they are the same."""
    lines = unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
    return "\n".join(lines)


def without_any_secret(text: str) -> str:
    """Returns the text of a revision or a file without secrets, also without those in addresses."""
    return _URL.sub(lambda found: shown_url(found[0]), without_literal_secrets(text))


def recorded_change(old: str, new: str) -> str:
    """Returns what the audit trail keeps of a change: a unified diff without secrets.

    The last line of one that is too long says how much is left out.
    """
    whole = unified_difference(without_any_secret(old), without_any_secret(new), "before", "after")
    if len(whole) <= _MAX_RECORDED:
        return whole
    kept = whole[:_MAX_RECORDED].rpartition("\n")[0]
    left_out = whole.count("\n") - kept.count("\n")
    return f"{kept}\n... and {left_out} more lines"
