"""The configurations that the guides show hold no mistake but what a site has to add."""

import json
import re
import textwrap
from pathlib import Path

import pytest

from models.training.config_file import load_config
from node.domain.errors import Misconfigured
from node.settings import load_settings
from tests.support.guides.commands import GUIDES, ROOT

# A part of a configuration refers to peers, destinations, files and models of the site.
_OF_THE_SITE = re.compile(
    r"there is no (?:peer|destination) '|there is no (?:file|folder) |this version is not installed"
    r"|must be a list of at least one name|a rule needs a when"
)


def blocks(language: str) -> list[object]:
    """The blocks of all guides in a language."""
    found: list[object] = []
    for guide in GUIDES:
        text = guide.read_text(encoding="utf-8")
        pattern = rf"^ *```{language}\n(.*?)^ *```$"
        for number, block in enumerate(re.findall(pattern, text, re.MULTILINE | re.DOTALL), 1):
            name = f"{guide.relative_to(ROOT).as_posix()} {number}"
            found.append(pytest.param(textwrap.dedent(block), id=name))
    return found


@pytest.mark.parametrize("block", blocks("toml"))
def test_a_configuration_of_a_guide_has_no_mistakes_of_its_own(block: str, tmp_path: Path) -> None:
    file = tmp_path / "segnode.toml"
    file.write_text(block, encoding="utf-8")
    if "[[labels]]" in block:  # of a training
        load_config(file)
        return
    try:
        load_settings(file)
    except Misconfigured as error:
        mistakes = [str(mistake) for mistake in error.mistakes]
        assert [text for text in mistakes if not _OF_THE_SITE.search(text)] == []


@pytest.mark.parametrize("block", blocks("json"))
def test_an_example_in_json_can_be_read(block: str) -> None:
    json.loads(block)
