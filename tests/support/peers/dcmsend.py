"""Sends files to the node by `dcmsend` of dcmtk, or by `storescu` over TLS, as a modality does."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.domain.identifiers import Uid
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import SENDER

_RESPONSE = re.compile(
    r"C-STORE RSP(?:(?!END DIMSE MESSAGE).)*?Affected SOP Instance UID *: (?P<uid>[\d.]+)"
    r"(?:(?!END DIMSE MESSAGE).)*?DIMSE Status *: 0x(?P<status>[0-9a-f]{4})",
    re.DOTALL,
)
_ARGUMENTS = ("-d", "-aet", SENDER, "-aec", "SEGNODE")


@dataclass(frozen=True)
class Sent:
    """The status of each instance; instances without a response are absent."""

    statuses: dict[Uid, int]

    @property
    def acknowledged(self) -> frozenset[Uid]:
        """The instances that the sender may now delete."""
        return frozenset(uid for uid, status in self.statuses.items() if status == 0x0000)


def program(name: str) -> str:
    """The path of a program of dcmtk; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install dcmtk")
    return found


def dcmsend(files: Sequence[Path], port: int, tls: TlsSite | None = None) -> Sent:
    """Sends the files to the node on one association, by TLS if given, until it ends."""
    command: list[object] = [program("dcmsend")]
    if tls is not None:  # dcmsend has no TLS
        shown = ("+tls", tls.sender.key, tls.sender.certificate, "+cf", tls.authority.file)
        command = [program("storescu"), "--no-halt", "--required", *shown]
    command += [*_ARGUMENTS, "127.0.0.1", port, *files]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    answers = _RESPONSE.finditer(done.stdout + done.stderr)
    return Sent({Uid(answer["uid"]): int(answer["status"], 16) for answer in answers})
