"""The stages that jobs enter, as the log of a running node shows them."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stages:
    """The stages of jobs that the node logs from now on."""

    log: Path
    entered: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._file = self.log.open("rb")
        self._file.seek(0, os.SEEK_END)
        self._rest = b""

    def read(self) -> list[tuple[str, str]]:
        """Each stage with its job, in order."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            with suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "job.stage":
                    self.entered.append((event["stage"], event["job"]))
        return self.entered

    def of(self, job: str) -> str:
        """The current stage of a job."""
        return [stage for stage, entered_by in self.read() if entered_by == job][-1]

    def close(self) -> None:
        """Closes the log file."""
        self._file.close()
