"""The record of a training: `history.jsonl`, and curves for TensorBoard."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from torch.utils.tensorboard import SummaryWriter


class History(Protocol):
    """Records the values of a training, each with its step."""

    def append(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Records the values of an event (`training` or `validation`) after `step` steps."""
        ...


class HistoryWriter:
    """Appends events to the files of a run.

    `first_step` is the step that the run resumes from. Events of a killed run beyond that step are
    dropped, since the resumed run writes them again.
    """

    def __init__(self, out: Path, first_step: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path = out / "history.jsonl"
        kept = [event for event in read_history(out) if int(event["step"]) <= first_step]
        self._path.write_text("".join(json.dumps(event) + "\n" for event in kept), "utf-8")
        self._curves = SummaryWriter(str(out / "curves"), purge_step=first_step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._curves.close()

    def append(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Records the values of an event after `step` steps."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind} | dict(values)) + "\n")
        for name, value in values.items():
            self._curves.add_scalar(f"{kind}/{name}", value, step)


class NullHistory:
    """Records nothing: only the main process of a training writes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def append(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Does nothing."""


def read_history(out: Path) -> list[dict[str, float | str]]:
    """Returns the events of a run in order; leaves out a line that a kill cut off."""
    path = out / "history.jsonl"
    if not path.exists():
        return []
    events = []
    for line in path.read_text("utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return events
