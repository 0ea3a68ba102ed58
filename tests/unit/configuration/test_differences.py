"""What the audit trail keeps of a change of the configuration."""

import tomllib

import pytest

from node.configuration.differences import recorded_change
from node.settings.credentials.hidden import SECRET_SETTINGS


def test_a_change_is_a_unified_diff() -> None:
    change = recorded_change("quiet_seconds = 10\n", "quiet_seconds = 5\n")
    assert change.splitlines() == [
        "--- before",
        "+++ after",
        "@@ -1 +1 @@",
        "-quiet_seconds = 10",
        "+quiet_seconds = 5",
    ]


@pytest.mark.parametrize("path", SECRET_SETTINGS, ids=".".join)
def test_no_change_shows_a_secret(path: tuple[str, ...]) -> None:
    *tables, key = path
    before = f'[{".".join(tables)}]\n{key} = "T0KEN-1"\n' if tables else f'{key} = "T0KEN-1"\n'
    tomllib.loads(before)
    after = f'# password = "T0KEN-2"\nquiet_seconds = 5\n{before.replace("T0KEN-1", "T0KEN-3")}'
    for change in (recorded_change(before, after), recorded_change(after, before)):
        assert "quiet_seconds = 5" in change
        assert "T0KEN" not in change


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://segnode:T0KEN@db/segnode",
        "https://ada:T0KEN@pacs/dicom-web",
        "https://pacs/dicom-web?key=T0KEN",
    ],
)
def test_no_change_shows_the_secret_of_an_address(address: str) -> None:
    change = recorded_change(f'database_url = "{address}"\n', f"other = '{address}' # {address}\n")
    assert change.count("://") == 3
    assert "T0KEN" not in change


def test_a_change_that_is_too_long_ends_with_the_number_of_lines_left_out() -> None:
    lines = [f"# {number:05d}" for number in range(10_000)]
    change = recorded_change("", "\n".join(lines))
    *kept, last = change.splitlines()
    assert len(change) < 20_100
    header = 3
    assert last == f"... and {len(lines) - (len(kept) - header)} more lines"
