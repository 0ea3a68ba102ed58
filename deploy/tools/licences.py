"""Compares the licences of what the node installs with deploy/licences.toml (`make licences`).

It reads the metadata of the packages in this environment that deploy/locked lists for a node.
"""

import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

DEPLOY = Path(__file__).parents[1]
LISTS = ("node", "s3", "onnx")


def packages() -> list[str]:
    """The names of the packages, and torch, which the CPU build takes from elsewhere."""
    texts = [(DEPLOY / "locked" / f"{name}.txt").read_text(encoding="utf-8") for name in LISTS]
    return ["torch", *re.findall(r"^([\w.-]+)==", "".join(texts), re.MULTILINE)]


def licence(package: Distribution) -> str:
    """The licence that the package states: an SPDX expression, else its classifiers."""
    metadata = package.metadata
    expression = metadata.get("License-Expression")
    if expression:
        return expression
    classifiers = [text for text in metadata.get_all("Classifier", []) if "License ::" in text]
    names = [text.rsplit(" :: ", 1)[1] for text in classifiers]
    return "; ".join(names) or (metadata.get("License") or "none stated").splitlines()[0]


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether one of the alternatives of the expression consists of allowed licences."""
    return any(
        all(part.strip() in allowed for part in re.split(r" AND | WITH |; ", alternative))
        for alternative in expression.split(" OR ")
    )


def mistakes() -> list[str]:
    """One line for each package whose licence is neither allowed nor reviewed."""
    policy = tomllib.loads((DEPLOY / "licences.toml").read_text(encoding="utf-8"))
    allowed, reviewed = set(policy["allowed"]), policy["reviewed"]
    lines = []
    for name in packages():
        try:
            stated = licence(distribution(name))
        except PackageNotFoundError:
            lines.append(f"{name} is not installed here: its licence is unknown")
            continue
        if not is_allowed(stated, allowed) and reviewed.get(name, {}).get("licence") != stated:
            lines.append(f"{name}: {stated!r} is neither allowed nor reviewed")
    return lines


def main() -> None:
    """Prints the mistakes; exits with 1 if there are any."""
    lines = mistakes()
    sys.stdout.writelines(
        f"{line}\n" for line in lines or ["All licences are allowed or reviewed."]
    )
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
