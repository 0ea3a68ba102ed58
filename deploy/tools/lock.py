"""Writes deploy/constraints.txt and the lists with hashes in deploy/locked (`make constraints`).

The lists do not overlap: `node` holds the dependencies of every installation, `s3` and `onnx` what
these extras add, `cuda` PyTorch from PyPI with CUDA, `build` what builds the wheel.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "deploy" / "constraints.txt"
LOCKED = ROOT / "deploy" / "locked"
TITLE = "# The versions segnode is tested with: every package that an extra can bring, pinned."
# The oldest supported Python: what it resolves to, newer ones can install.
PLATFORM = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28")
BUILD_REQUIREMENTS = "build\nhatchling>=1.27\neditables>=0.5\n"
CUDA = re.compile(r"(torch|triton|cuda-.*|nvidia-.*)==")


def compile_list(source: str, *options: str) -> dict[str, str]:
    """Resolves `source`; returns the lines of each package by its first line."""
    command = [
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
        *PLATFORM,
        *options,
    ]
    text = BUILD_REQUIREMENTS if source == "-" else None
    run = subprocess.run(
        [*command, source], cwd=ROOT, input=text, stdout=subprocess.PIPE, text=True, check=True
    )
    blocks = re.split(r"^(?=\w)", run.stdout, flags=re.MULTILINE)
    return {block.split(maxsplit=1)[0]: block for block in blocks if block.strip()}


def write_constraints(upgrade: bool) -> None:
    """Writes the versions; without `upgrade`, those that are pinned stay."""
    pinned = [] if upgrade else ["--constraint", str(CONSTRAINTS)]
    packages = compile_list("pyproject.toml", "--all-extras", *pinned)
    lines = [name for name in packages if name.startswith("torch==") or not CUDA.match(name)]
    CONSTRAINTS.write_text("\n".join([TITLE, *lines, ""]), encoding="utf-8")


def locked(source: str, *options: str) -> dict[str, str]:
    """The packages of `source` with hashes, in the pinned versions."""
    return compile_list(source, "--generate-hashes", "--constraint", str(CONSTRAINTS), *options)


def write_list(name: str, packages: dict[str, str]) -> None:
    """Writes one list."""
    text = f"# Written by `make constraints`.\n{''.join(packages.values())}"
    (LOCKED / f"{name}.txt").write_text(text, encoding="utf-8")


def main() -> None:
    """Writes all files; with --upgrade, the newest versions that pyproject.toml allows."""
    write_constraints("--upgrade" in sys.argv[1:])
    everywhere = locked("pyproject.toml")
    write_list("node", {name: text for name, text in everywhere.items() if not CUDA.match(name)})
    write_list("cuda", {name: text for name, text in everywhere.items() if CUDA.match(name)})
    for extra in ("s3", "onnx"):
        packages = locked("pyproject.toml", "--extra", extra)
        write_list(extra, {n: text for n, text in packages.items() if n not in everywhere})
    write_list("build", locked("-"))


if __name__ == "__main__":
    main()
