"""The models that rules choose: a version of a package, and a candidate for comparison."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.installed_packages import InstalledPackages
from node.routing.attributes import suggestion
from node.routing.condition_parsing import KeyPath, Mistake


def model_mistakes(
    rule: Mapping[str, Any], path: KeyPath, models: InstalledPackages
) -> Iterator[Mistake]:
    """Yields models of a rule, given as in the file, that are not installed or ambiguous."""
    for key in ("model", "shadow"):
        name = rule.get(key)
        if isinstance(name, str) and name and name not in models:
            yield (*path, key), _why_unknown(name, models)
    names = [rule.get(key) for key in ("model", "shadow")]
    chosen = [models.get(name) for name in names if isinstance(name, str)]
    if len(chosen) == len(names) and chosen[0] is not None and chosen[0] == chosen[1]:
        message = "is the model of the rule: name another version, or another model"
        yield (*path, "shadow"), message


def _why_unknown(name: str, models: InstalledPackages) -> str:
    versions = models.versions_of(name.partition("@")[0])
    if not versions:
        return f"there is no model {name!r}{suggestion(name, models)}"
    references = ", ".join(f'"{spec.reference}"' for spec in versions)
    if "@" in name:
        return f"this version is not installed; there is {references}"
    return f"there are several versions of {name!r}: choose one of {references}"
