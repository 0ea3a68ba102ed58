"""Time from the last slice of a CT to its SEG in the PACS, by a node that runs as at a site."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs
from node.domain.identifiers import Uid
from tests.bench.measurements import Measurement
from tests.bench.receivers import NO_DELAY, SEGNODE
from tests.support.processes.running_node import SENDER, RunningNode
from tests.support.waiting import until

# The second is the default.
QUIET_SECONDS = (1.0, 10.0)
_POLL_S = 0.02
_PATIENCE_S = 600.0


def measure_time_to_result(series: Sequence[Sequence[Path]]) -> list[Measurement]:
    """Sends each CT over one association and waits for its SEG in the PACS: a round for each.

    The first CT is for what a node does only once; its round does not count.
    """
    found = []
    for quiet_seconds, early_start in product(QUIET_SECONDS, (False, True)):
        _first, *rounds = _rounds(series, quiet_seconds, early_start=early_start)
        figure = f"last slice to SEG in the PACS, quiet time {quiet_seconds:g} s"
        figure += ", early start" if early_start else ""
        found.append(Measurement(SEGNODE, figure, "s", tuple(rounds), higher_is_better=False))
    return found


def _rounds(
    series: Sequence[Sequence[Path]], quiet_seconds: float, *, early_start: bool
) -> list[float]:
    folder = Path(tempfile.mkdtemp(prefix="segnode-bench-"))
    try:
        with OrthancPacs(folder / "orthanc") as orthanc:
            node = RunningNode(folder / "node", orthanc)
            try:
                _configure(node, quiet_seconds, early_start=early_start)
                node.start()
                return [_seconds_to_result(node, files) for files in series]
            finally:
                node.close()
    finally:
        shutil.rmtree(folder)


def _configure(node: RunningNode, quiet_seconds: float, *, early_start: bool) -> None:
    """Configures a node with the default interval of polls."""
    node.configure(quiet_seconds=quiet_seconds, early_start=early_start)
    text = node.config_file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("poll_seconds")]
    node.config_file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _seconds_to_result(node: RunningNode, files: Sequence[Path]) -> float:
    study = Uid(dcmread(files[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    to = ["--aetitle", str(SENDER), "--call", "SEGNODE", "127.0.0.1", str(node.dicom_port)]
    subprocess.run(
        ["dcmsend", *to, *map(str, files)],
        env=os.environ | NO_DELAY,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    started = time.perf_counter()
    until(lambda: node.results(study), _PATIENCE_S, "the SEG in the PACS", poll_s=_POLL_S)
    return time.perf_counter() - started
