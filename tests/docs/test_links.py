"""The links of the documents lead to files and headings that exist."""

import re
from pathlib import Path

import pytest

from tests.support.guides.commands import GUIDES, ROOT

DOCUMENTS = [*GUIDES, *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "conformance_statement"))]
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_document_links_to_exists(document: Path) -> None:
    for file, anchor in _LINK.findall(document.read_text(encoding="utf-8")):
        target = document.parent / file if file else document
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def test_the_contents_of_the_handbook_name_every_chapter() -> None:
    deploy = ROOT / "deploy"
    contents = (deploy / "README.md").read_text(encoding="utf-8")
    linked = {(deploy / file).resolve() for file, _ in _LINK.findall(contents)}
    chapters = {guide for guide in GUIDES if guide.is_relative_to(deploy)}
    assert chapters - {deploy / "README.md"} <= linked
