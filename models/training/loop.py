"""Train a network from a configuration; killed at any moment, it goes on as if it had not been.

Which sample is drawn depends on its number alone, and everything else that the next step depends
on is in the checkpoint, so that a resumed run gives the same weights as one without interruption.
"""

import json
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from models.data import LabelledVolume, ReadSeries
from models.training.case_samples import Cases
from models.training.config import InvalidConfig, TrainConfig
from models.training.distributed import Team, team
from models.training.history import Journal
from models.training.learner import Learner, save
from models.training.sampling import Sample, Samples, Source, batches
from models.training.synthetic_samples import Bodies
from models.training.validation import phantom_cases, spec_of, validate

CONFIG, CHECKPOINT, BEST, LAST = "config.json", "checkpoint.pt", "best.pt", "last.pt"
# Called after each step: steps done, of how many, the loss.
Progress = Callable[[int, int, float], None]
# Called after each validation with steps done and the score; what it raises ends the training.
OnScore = Callable[[int, float], None]


@dataclass(frozen=True)
class Result:
    """A finished training: `best_score` is the best validation's mean Dice, None without one."""

    out: Path
    steps: int
    best_score: float | None
    best_step: int | None


@dataclass(frozen=True)
class Place:
    """Where a training runs: `data` is what the folders in the configuration are relative to.

    `workers` processes draw samples ahead. `read_series` reads a folder of DICOM CT, for the data
    layouts that need it.
    """

    data: Path
    out: Path
    device: str = "auto"
    workers: int = 0
    read_series: ReadSeries | None = None


def train(
    config: TrainConfig,
    place: Place,
    progress: Progress | None = None,
    on_score: OnScore | None = None,
) -> Result:
    """Train, or go on where a run in the same folder was left.

    `place.out` then holds the configuration, `checkpoint.pt`, the weights `best.pt` (by
    validation) and `last.pt`, `history.jsonl` and `curves/` for TensorBoard.

    Raises:
        InvalidConfig: the data or the configuration cannot be used, or the folder holds a run of
            another configuration.
    """
    with team(place.device) as us:
        if us.leads:
            _same_run(config, place.out)
        us.wait()
        sources, shares, held_out, in_epoch = _sources(config, place)
        per_epoch = max(1, -(-in_epoch // (config.batch * us.size)))
        steps = config.steps if config.steps is not None else (config.epochs or 0) * per_epoch
        learner = Learner.new(config, steps, us.device)
        run = _Run(config, place.out, us, learner, held_out, steps, per_epoch, on_score)
        run.resume()
        samples = Samples(sources, shares, config.seed)
        with closing(run.batches(samples, place.workers)) as drawn:
            run.learn(drawn, progress)
        return Result(place.out, steps, run.best_score, run.best_step)


def _same_run(config: TrainConfig, out: Path) -> None:
    """Keep the configuration in the folder, or see that it is the same as last time."""
    path = out / CONFIG
    own = config.model_dump(mode="json")
    if path.exists():
        if json.loads(path.read_text("utf-8")) != json.loads(json.dumps(own)):
            raise InvalidConfig(
                f"{out} holds a run of another configuration; give another folder, or delete it"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(own, indent=1) + "\n", "utf-8")


def _sources(
    config: TrainConfig, place: Place
) -> tuple[list[Source], list[float], list[LabelledVolume], int]:
    """Where samples come from and how often, what is held out, and the samples of an epoch."""
    sources: list[Source] = []
    shares: list[float] = []
    held_out = phantom_cases(config)
    in_epoch = 0
    if config.bodies is not None:
        sources.append(
            Bodies.load(config.bodies, place.data, config.grid, config.patch, config.seed)
        )
        shares.append(config.bodies.share)
    for own in config.cases:
        cases, kept = Cases.load(own, config, place.data, place.read_series)
        sources.append(cases)
        shares.append(own.share)
        held_out += kept
        in_epoch += len(cases) * config.patches_per_case
    return sources, shares, held_out, in_epoch


@dataclass
class _Run:
    """A training under way."""

    config: TrainConfig
    out: Path
    team: Team
    learner: Learner
    held_out: Sequence[LabelledVolume]
    steps: int
    steps_per_epoch: int
    on_score: OnScore | None
    done: int = 0
    best_score: float | None = None
    best_step: int | None = None
    losses: list[float] = field(default_factory=list)  # since they were last noted

    def resume(self) -> None:
        """Take up the checkpoint, where there is one."""
        path = self.out / CHECKPOINT
        if path.exists():
            saved = torch.load(path, map_location=self.team.device, weights_only=True)
            self.learner.restore(saved["learner"])
            self.done = saved["step"]
            self.best_score, self.best_step = saved["best_score"], saved["best_step"]
            self.losses = saved["losses"]
        if self.team.device.type == "cuda":
            torch.backends.cudnn.deterministic = True
        self.learner.wrapped = self.team.wrapped(self.learner.network)

    def batches(self, samples: Samples, workers: int) -> Generator[Sample]:
        """What is still to be learned from."""
        numbers = [
            self.team.numbers(step, self.config.batch) for step in range(self.done, self.steps)
        ]
        return batches(samples, numbers, workers)

    def learn(self, drawn: Iterable[Sample], progress: Progress | None) -> None:
        """All steps that are left."""
        with Journal(self.out, self.done) if self.team.leads else _Silence() as journal:
            for images, truths in drawn:  # (B, 1, Z, Y, X) each
                loss = self.learner.step(images, truths)
                self.done += 1
                if self.config.schedule is None or self._is_due():
                    self.learner.advance_rate()
                self.losses.append(loss)
                if progress is not None:
                    progress(self.done, self.steps, loss)
                if self._every(self.config.log_every):
                    values = {"loss": float(np.mean(self.losses)), "rate": self.learner.rate}
                    journal.note(self.done, "training", values)
                    self.losses.clear()
                if self._every(self.config.validation.every) and self.held_out:
                    self._validate(journal)
                if self._every(self.config.save_every):
                    self._save()
        self._save()

    def _is_due(self) -> bool:
        """Whether the learning rate moves on after this step."""
        schedule = self.config.schedule
        by_epoch = schedule is not None and schedule.every == "epoch"
        return not by_epoch or self.done % self.steps_per_epoch == 0

    def _every(self, count: int) -> bool:
        return self.done % count == 0 or self.done == self.steps

    def _validate(self, journal: "Journal | _Silence") -> None:
        if self.team.leads:
            scores = validate(self.learner.average, spec_of(self.config), self.held_out)
            journal.note(self.done, "validation", {"dice": scores.mean} | scores.by_label)
            if self.best_score is None or scores.mean > self.best_score:
                self.best_score, self.best_step = scores.mean, self.done
                save(self.learner.average.state_dict(), self.out / BEST)
            if self.on_score is not None:
                self.on_score(self.done, scores.mean)
        self.team.wait()

    def _save(self) -> None:
        if self.team.leads:
            checkpoint = {
                "step": self.done,
                "learner": self.learner.state(),
                "best_score": self.best_score,
                "best_step": self.best_step,
                "losses": self.losses,
            }
            save(self.learner.average.state_dict(), self.out / LAST)
            save(checkpoint, self.out / CHECKPOINT)
        self.team.wait()


class _Silence:
    """The journal of a process that does not lead."""

    def __enter__(self) -> "_Silence":
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def note(self, step: int, kind: str, values: dict[str, float]) -> None:
        """Nothing: the leading process writes."""
