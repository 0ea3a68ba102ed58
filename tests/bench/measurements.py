"""Figures of a benchmark: several rounds of each, as a table and as JSON."""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Measurement:
    """One figure of one subject, once for each round; `higher_is_better` as slices/s are."""

    subject: str
    figure: str
    unit: str
    values: tuple[float, ...]
    higher_is_better: bool

    @property
    def key(self) -> str:
        """What it is compared by."""
        return f"{self.subject}, {self.figure}"

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """The difference between the highest and the lowest round, as a part of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0


@dataclass(frozen=True)
class Report:
    """The measurements of one run, and the machine that they are of."""

    machine: str
    measured_at: str
    measurements: tuple[Measurement, ...]

    def write(self, file: Path) -> None:
        """Writes it as JSON."""
        file.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> "Report":
        """Reads what `write` wrote."""
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        measurements = tuple(
            Measurement(**{**each, "values": tuple(each["values"])})
            for each in content["measurements"]
        )
        return cls(content["machine"], content["measured_at"], measurements)


def report_of(measurements: list[Measurement], now: datetime) -> Report:
    """Returns the report of measurements on this machine."""
    return Report(_machine(), now.isoformat(timespec="seconds"), tuple(measurements))


def seconds_of(function: Callable[[], object]) -> float:
    """Returns how long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def seconds_table(title: str, measurements: Sequence[Measurement]) -> Table:
    """Returns the medians of measurements in seconds, with their spread."""
    table = Table(title, "Seconds", "Spread")
    for each in measurements:
        table.add_row(each.figure, f"{each.median:.2f}", f"{each.spread:.0%}")
    return table


def _machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.processor()
    return f"{os.cpu_count()} x {processor}, {platform.system()} {platform.release()}"
