"""What a training leaves to be read: `history.jsonl` and curves for TensorBoard."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from torch.utils.tensorboard import SummaryWriter


class Journal:
    """Appends events of a run, each with its step; `first` is the step it goes on from.

    What a killed run had written beyond that step is dropped, since it will be written again.
    """

    def __init__(self, out: Path, first: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path = out / "history.jsonl"
        kept = [event for event in read_history(out) if int(event["step"]) <= first]
        self._path.write_text("".join(json.dumps(event) + "\n" for event in kept), "utf-8")
        self._curves = SummaryWriter(str(out / "curves"), purge_step=first + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._curves.close()

    def note(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Keep the values of an event after `step` steps."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind} | dict(values)) + "\n")
        for name, value in values.items():
            self._curves.add_scalar(f"{kind}/{name}", value, step)


def read_history(out: Path) -> list[dict[str, float | str]]:
    """The events of a run in their order; a line that was cut off by a kill is left out."""
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
