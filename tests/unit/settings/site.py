"""A valid configuration for tests, and the error messages of invalid ones."""

from pathlib import Path

import pytest

from node.domain.errors import Misconfigured
from node.settings import load_settings

VALID = """\
data_dir = "data"

[destinations.pacs]
kind = "cstore"
peer = "pacs"

[peers.pacs]
ae_title = "PACS"
host = "localhost"
port = 4242

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["pacs"]
when = { attribute = "Modality", equals = "CT" }
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "site.toml"
    file.write_text(text, encoding="utf-8")
    return file


def mistakes_in(folder: Path, text: str) -> list[str]:
    """Return the error messages of loading `text`, one per line, without the folder."""
    with pytest.raises(Misconfigured) as caught:
        load_settings(write(folder, text))
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), start=1) if part in line)
