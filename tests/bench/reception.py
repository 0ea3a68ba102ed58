"""Reception of one CT by C-STORE: the node and other receivers in alternation, from one sender."""

import os
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from tests.bench.measurements import Measurement
from tests.bench.process_cost import cost_of_descendants
from tests.bench.receivers import (
    NO_DELAY,
    ORTHANC_AT_ITS_BEST,
    SEGNODE,
    SEGNODE_AT_ITS_BEST,
    Address,
    Receiver,
    installed_receivers,
)

ASSOCIATIONS = (1, 4, 8)
_PATIENCE_S = 600.0
# Sent first, so that what a receiver does only once is not measured.
WARM_UP_FILES = 8
_SPEED, _CPU, _MEMORY = "slices/s", "ms CPU per slice", "MiB at most"


def measure_reception(
    files: Sequence[Path], warm_up: Sequence[Path], rounds: int, listener_settings: str = ""
) -> list[Measurement]:
    """Sends the files over 1, 4 and 8 associations to each receiver, once in each round.

    Each time the receiver starts with an empty folder. All use the same disk.
    """
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for associations in ASSOCIATIONS:
            for receiver in installed_receivers(listener_settings):
                figures = _measure(receiver, files, warm_up, associations)
                for unit, value in figures.items():
                    values[receiver.name, f"{associations} associations, {unit}"].append(value)
    return [
        Measurement(
            name,
            f"receive over {figure}",
            figure.rpartition(", ")[2],
            tuple(found),
            _SPEED in figure,
        )
        for (name, figure), found in values.items()
    ]


def _measure(
    receiver: Receiver, files: Sequence[Path], warm_up: Sequence[Path], associations: int
) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="segnode-bench-"))
    try:
        with receiver.run(folder / "receiver") as address:
            _send(address, warm_up[:WARM_UP_FILES], 1)
            before = cost_of_descendants()
            seconds = _send(address, files, associations)
            cost = cost_of_descendants()
    finally:
        shutil.rmtree(folder)
    cpu_ms = (cost.cpu_s - before.cpu_s) / len(files) * 1000
    return {_SPEED: len(files) / seconds, _CPU: cpu_ms, _MEMORY: cost.peak_mib}


def _send(address: Address, files: Sequence[Path], associations: int) -> float:
    """Sends by one process of `dcmsend` for each association; returns the seconds."""
    to = ["--aetitle", "BENCH", "--call", address.ae_title, "127.0.0.1", str(address.port)]
    shares = [files[start::associations] for start in range(associations)]
    started = time.perf_counter()
    senders = [
        subprocess.Popen(
            ["dcmsend", *to, *map(str, share)],
            env=os.environ | NO_DELAY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for share in shares
    ]
    statuses = [sender.wait(_PATIENCE_S) for sender in senders]
    if any(statuses):
        raise RuntimeError(f"{address.ae_title} has not accepted every slice")
    return time.perf_counter() - started


def reception_table(measurements: Sequence[Measurement]) -> Table:
    """Returns medians with their spread, and each receiver's ratio to Orthanc at its best."""
    table = Table("Receiver", "Associations", "Slices/s", "Spread", "Ratio", "ms CPU", "MiB")
    found = {(each.subject, each.figure): each for each in measurements}
    subjects = list(dict.fromkeys(each.subject for each in measurements))
    for associations in ASSOCIATIONS:
        prefix = f"receive over {associations} associations, "
        best = found.get((ORTHANC_AT_ITS_BEST, prefix + _SPEED))
        for subject in subjects:
            speed = found[subject, prefix + _SPEED]
            table.add_row(
                subject,
                str(associations),
                f"{speed.median:.0f}",
                f"{speed.spread:.0%}",
                "" if best is None else f"{speed.median / best.median:.2f}",
                f"{found[subject, prefix + _CPU].median:.1f}",
                f"{found[subject, prefix + _MEMORY].median:.0f}",
                style="bold" if subject in {SEGNODE, SEGNODE_AT_ITS_BEST} else None,
            )
    return table
