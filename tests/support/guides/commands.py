"""The commands that the README and the guides show, and how a test treats each."""

import re
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).parents[3]
GUIDES = [
    ROOT / "README.md",
    ROOT / "orthanc" / "README.md",
    *sorted((ROOT / "deploy").rglob("*.md")),
]
# `segnode`, with or without the folder of its environment, at the start of a command.
PROGRAM = re.compile(r"(?:/opt/segnode/bin/|\.venv/bin/)?segnode(?= )")
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ANY_BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_COMMENT = re.compile(r"(?:^|\s+)# .*$")


class Treatment(StrEnum):
    """What a test does with a command."""

    NODE = "run in the process of the test, on the site"
    SHELL = "run by bash, in the folder of the site"
    PARSED = "its words are parsed by the command line, and it is not run"
    CHECKED = "its syntax and the names in it are checked, and it is not run"
    UNKNOWN = "no class fits it, and a test fails"


@dataclass(frozen=True)
class CommandClass:
    """The commands that match `pattern`, and why they are not run, if they are not."""

    pattern: str
    treatment: Treatment
    reason: str = ""


def parsed(command: str, test: str) -> CommandClass:
    """The class of a command of segnode that another test runs."""
    return CommandClass(rf"segnode {command} ", Treatment.PARSED, f"{test} runs it")


# The first class that matches decides. A reason that names a test names one that runs the command.
CLASSES = (
    parsed("serve", "tests/support/processes/running_node.py"),
    parsed("demo", "tests/pacs/test_demo.py"),
    parsed("health", "tests/unit/cli/test_health.py"),
    parsed("audit verify --expect", "tests/unit/cli/test_audit.py"),
    parsed("train", "tests/faults/processes/test_training_kill.py"),
    parsed("tune", "tests/unit/models/tuning/test_study.py"),
    parsed("package", "tests/unit/models/packaging/test_packages.py"),
    parsed("evaluate", "tests/unit/models/evaluation/test_evaluate.py"),
    CommandClass(
        r"segnode viewer install", Treatment.PARSED, "npm downloads OHIF; test_ohif_installation.py"
    ),
    CommandClass(
        r"segnode dataset ", Treatment.PARSED, "it needs a labelled data set; test_convert.py"
    ),
    CommandClass(r"segnode ", Treatment.NODE),
    CommandClass(r"(?:openssl|curl|printf|chmod|export|mkdir) ", Treatment.SHELL),
    CommandClass(
        r"(?:storescu|storescp|echoscu) ",
        Treatment.CHECKED,
        "it runs on a peer; test_tls_senders.py",
    ),
    CommandClass(r"make ", Treatment.CHECKED, "the target takes minutes, or runs these tests"),
    CommandClass(
        r"(?:docker|kubectl|systemctl) ",
        Treatment.CHECKED,
        "it needs a container engine or systemd",
    ),
    CommandClass(
        r"(?:install|cp|runuser|umask|useradd|apt-get) ",
        Treatment.CHECKED,
        "it changes the users or the folders of the machine",
    ),
    CommandClass(
        r"(?:\(cd wheelhouse|python3 -m venv|/opt/segnode/bin/pip) ?",
        Treatment.CHECKED,
        "tests/unit/test_distribution.py installs the wheel",
    ),
)


@dataclass(frozen=True)
class GuideCommand:
    """One command of a guide."""

    text: str
    treatment: Treatment
    reason: str


def classify(text: str) -> GuideCommand:
    """Returns the command with its class."""
    plain = PROGRAM.sub("segnode", text, count=1) if PROGRAM.match(text) else text
    for each in CLASSES:
        if re.match(each.pattern, plain + " "):
            return GuideCommand(plain, each.treatment, each.reason)
    return GuideCommand(plain, Treatment.UNKNOWN, "")


def commands_of(guide: Path) -> list[GuideCommand]:
    """Returns the commands in the `sh` blocks of a guide, in order."""
    text = guide.read_text(encoding="utf-8")
    lines: list[str] = []
    for _, block in _BLOCK.findall(text):
        lines += textwrap.dedent(block).replace("\\\n", " ").splitlines()
    plain = [_COMMENT.sub("", line).strip() for line in lines]
    return [classify(line) for line in plain if line]


def inline_commands(guide: Path) -> list[str]:
    """Returns what follows `segnode` in the running text of a guide."""
    text = _ANY_BLOCK.sub("", guide.read_text(encoding="utf-8"))
    matches = (PROGRAM.match(code) for code in _INLINE.findall(text))
    return sorted({m.string[m.end() :].strip() for m in matches if m is not None})
