"""How long commands take, and a node and its worker until they are ready."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from node.demo.orthanc_pacs import OrthancPacs
from node.processes.role_process import Role
from tests.bench.measurements import Measurement, seconds_of
from tests.bench.receivers import SEGNODE
from tests.support.processes.running_node import RunningNode
from tests.support.waiting import until

SLICES = 78
_POLL_S = 0.01
_PATIENCE_S = 600.0
_NODE = "node, from start to ready"
_WORKER = "worker, from kill to ready"


def measure_startup(files: Sequence[Path], rounds: int) -> list[Measurement]:
    """Runs the commands, among them `segment` on these files, and starts a node: once each round.

    The first round is for what happens only once; it does not count.
    """
    seconds: dict[str, list[float]] = {}
    folder = Path(tempfile.mkdtemp(prefix="segnode-bench-"))
    try:
        with OrthancPacs(folder / "orthanc") as orthanc:
            node = RunningNode(folder / "node", orthanc, roles=tuple(Role))
            try:
                for _ in range(rounds + 1):
                    for figure, taken_s in (_starts(node) | _commands(node, files)).items():
                        seconds.setdefault(figure, []).append(taken_s)
            finally:
                node.close()
    finally:
        shutil.rmtree(folder)
    return [
        Measurement(SEGNODE, figure, "s", tuple(counted), higher_is_better=False)
        for figure, (_first, *counted) in seconds.items()
    ]


def _starts(node: RunningNode) -> dict[str, float]:
    """Starts a node, kills its worker once, and then the node.

    The time of the worker includes that until the supervisor notices its end.
    """
    node_s = seconds_of(node.start)
    count = node.log().count("worker.ready")
    os.kill(node.process_of(Role.WORKER), signal.SIGKILL)
    worker_s = seconds_of(
        lambda: until(
            lambda: node.log().count("worker.ready") > count,
            _PATIENCE_S,
            "the worker to be ready again",
            poll_s=_POLL_S,
        )
    )
    node.kill()
    return {_NODE: node_s, _WORKER: worker_s}


def _commands(node: RunningNode, files: Sequence[Path]) -> dict[str, float]:
    config = ("--config", str(node.config_file))
    segmentation = (str(files[0].parent), str(node.folder / "segmentation.dcm"))
    arguments = {
        "segnode --help": ("--help",),
        "segnode check": ("check", *config),
        "segnode jobs list": ("jobs", "list", *config),
        f"segnode segment, {len(files)} slices": ("segment", *segmentation, *config),
    }
    return {figure: _seconds_of_command(given) for figure, given in arguments.items()}


def _seconds_of_command(arguments: Sequence[str]) -> float:
    command = [sys.executable, "-m", "node.cli", *arguments]
    return seconds_of(lambda: subprocess.run(command, check=True, capture_output=True))
