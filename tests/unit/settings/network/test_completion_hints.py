"""Settings of what completes a series before its quiet time has passed."""

from pathlib import Path

import pytest

from node.settings import load_settings
from tests.unit.settings.site import VALID, mistakes_in, write


def peer_with(may: str, complete_on: str) -> str:
    more = f"port = 4242\nmay = {may}\ncomplete_on = {complete_on}"
    return VALID.replace("port = 4242", more)


def test_a_peer_may_do_what_completes_its_series(tmp_path: Path) -> None:
    text = peer_with('["store", "commit"]', '["release", "commitment"]')
    assert load_settings(write(tmp_path, text)).peers["pacs"].complete_on == (
        "release",
        "commitment",
    )


@pytest.mark.parametrize(("permission", "hint"), [("store", "release"), ("commit", "commitment")])
def test_what_the_peer_may_not_do_is_reported(tmp_path: Path, permission: str, hint: str) -> None:
    other = {"store": "commit", "commit": "store"}[permission]
    (line,) = mistakes_in(tmp_path, peer_with(f'["{other}"]', f'["{hint}"]'))
    assert f'complete_on: "{hint}" completes nothing unless its `may` has "{permission}"' in line
