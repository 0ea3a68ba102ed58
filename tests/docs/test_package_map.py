"""The package map in CONTRIBUTING.md lists the packages that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAX_MODULES = 15
# It has a module for each schema version, and none is ever removed.
MIGRATIONS = "node.store.migrations.versions"
MAX_ROOT_MODULES = 4
ROOTS = ("node", "pacs_listener", "models")


def packages() -> dict[str, list[Path]]:
    """The modules of each package, by its dotted name; `__init__.py` counts as none."""
    found: dict[str, list[Path]] = {}
    for root in ROOTS:
        for module in (ROOT / root).rglob("*.py"):
            name = ".".join(module.parent.relative_to(ROOT).parts)
            modules = found.setdefault(name, [])
            if module.name != "__init__.py":
                modules.append(module)
    return found


def test_the_package_map_lists_every_package_and_no_other() -> None:
    section = CONTRIBUTING.split("## Package map")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([a-z_.]+)` \|", section, re.MULTILINE)
    assert sorted(listed) == sorted(packages())


def test_every_file_that_the_guide_names_exists() -> None:
    pattern = r"`((?:node|models|pacs_listener|tests|deploy|orthanc)/[\w/.]+)`"
    named = re.findall(pattern, CONTRIBUTING)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_no_package_is_crowded() -> None:
    sizes = {name: len(modules) for name, modules in packages().items() if name != MIGRATIONS}
    assert {name: size for name, size in sizes.items() if size > MAX_MODULES} == {}
    assert sizes["node"] <= MAX_ROOT_MODULES
