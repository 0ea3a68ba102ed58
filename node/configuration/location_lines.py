"""Removes what belongs to each host from the text of a configuration file."""

from pathlib import Path

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from node.settings.location import LOCATION_KEYS
from node.settings.toml_source import TomlSource


def without_location(text: str, name: str) -> str:
    """Returns the text without the settings that say where a host keeps its data.

    Their lines become empty, so that all others keep their numbers. A revision has no such
    settings; a URL of the database can contain a password.

    Raises:
        Misconfigured: the text, which messages call `name`, is not valid TOML.
    """
    content = text.encode("utf-8")
    TomlSource.parse(content, Path(name))
    lines = text.split("\n")
    for node in Parser(Language(tree_sitter_toml.language())).parse(content).root_node.children:
        if node.type == "pair" and _first_key(node) in LOCATION_KEYS:
            for row in range(node.start_point.row, node.end_point.row + 1):
                lines[row] = ""
    return "\n".join(lines)


def _first_key(pair: Node) -> str:
    return (pair.named_children[0].text or b"").decode("utf-8").strip("\"'")
