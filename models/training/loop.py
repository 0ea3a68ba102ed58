"""Trains a network from a configuration; a killed run resumes with the same result.

Each sample depends on its number alone, and the checkpoint holds everything else that the next
step depends on. A resumed run therefore gives the same weights as one without interruption.
"""

import json
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from models.data import LabelledVolume, ReadSeries
from models.training.case_patches import CasePatches
from models.training.config import InvalidConfig, TrainConfig
from models.training.dataset import Sample, SampleDataset, SampleSource, batches
from models.training.distributed import ProcessGroup, process_group
from models.training.history import History, HistoryWriter, NullHistory
from models.training.synthetic_samples import SyntheticSamples
from models.training.training_state import TrainingState, save_atomically
from models.training.validation import phantom_cases, training_spec, validate

CONFIG, CHECKPOINT, BEST, LAST = "config.json", "checkpoint.pt", "best.pt", "last.pt"
# Called after each step with the steps done, the steps in total and the loss.
ProgressCallback = Callable[[int, int, float], None]
# Called after each validation with the steps done and the score; an exception ends the training.
ScoreCallback = Callable[[int, float], None]


@dataclass(frozen=True)
class TrainingResult:
    """A finished training; `best_score` is the highest mean Dice, None without a validation."""

    out: Path
    steps: int
    best_score: float | None
    best_step: int | None


@dataclass(frozen=True)
class RunOptions:
    """Where and how a training runs.

    Folders in the configuration are relative to `data`; the run's files are written to `out`.
    `workers` processes draw samples ahead. `read_series` reads a folder of DICOM CT, for the data
    layouts that need it.
    """

    data: Path
    out: Path
    device: str = "auto"
    workers: int = 0
    read_series: ReadSeries | None = None


@dataclass(frozen=True)
class _Data:
    """The sample sources with their relative shares, and the volumes held out for validation."""

    sources: Sequence[SampleSource]
    shares: Sequence[float]
    held_out: Sequence[LabelledVolume]
    samples_per_epoch: int


def train(
    config: TrainConfig,
    options: RunOptions,
    progress: ProgressCallback | None = None,
    on_score: ScoreCallback | None = None,
) -> TrainingResult:
    """Trains a network, or resumes the run in the same folder.

    Afterwards `options.out` holds the configuration, `checkpoint.pt`, the weights `best.pt` (by
    validation) and `last.pt`, `history.jsonl`, and `curves/` for TensorBoard.

    Raises:
        InvalidConfig: the data or the configuration cannot be used, or the folder holds a run of
            another configuration.
    """
    with process_group(options.device) as group:
        if group.is_main:
            _check_or_save_config(config, options.out)
        group.barrier()
        data = _load_data(config, options)
        steps_per_epoch = max(1, -(-data.samples_per_epoch // (config.batch * group.world_size)))
        epochs = config.epochs or 0
        steps = config.steps if config.steps is not None else epochs * steps_per_epoch
        state = TrainingState.new(config, steps, group.device)
        run = _Run(
            config, options.out, group, state, data.held_out, steps, steps_per_epoch, on_score
        )
        run.resume()
        samples = SampleDataset(data.sources, data.shares, config.seed)
        with closing(run.batches(samples, options.workers)) as drawn:
            run.learn(drawn, progress)
        return TrainingResult(options.out, steps, run.best_score, run.best_step)


def _check_or_save_config(config: TrainConfig, out: Path) -> None:
    """Saves the configuration of a new run; checks that of an old one.

    Raises:
        InvalidConfig: the folder holds a run of another configuration.
    """
    path = out / CONFIG
    values = config.model_dump(mode="json")
    if path.exists():
        if json.loads(path.read_text("utf-8")) != json.loads(json.dumps(values)):
            raise InvalidConfig(
                f"{out} holds a run of another configuration; give another folder, or delete it"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


def _load_data(config: TrainConfig, options: RunOptions) -> _Data:
    sources: list[SampleSource] = []
    shares: list[float] = []
    held_out = phantom_cases(config)
    samples_per_epoch = 0
    if config.bodies is not None:
        sources.append(
            SyntheticSamples.load(
                config.bodies, options.data, config.grid, config.patch, config.seed
            )
        )
        shares.append(config.bodies.share)
    for cases in config.cases:
        patches, held_out_cases = CasePatches.load(cases, config, options.data, options.read_series)
        sources.append(patches)
        shares.append(cases.share)
        held_out += held_out_cases
        samples_per_epoch += len(patches) * config.patches_per_case
    return _Data(sources, shares, held_out, samples_per_epoch)


@dataclass
class _Run:
    """A training in progress."""

    config: TrainConfig
    out: Path
    group: ProcessGroup
    state: TrainingState
    held_out: Sequence[LabelledVolume]
    steps: int
    steps_per_epoch: int
    on_score: ScoreCallback | None
    done: int = 0
    best_score: float | None = None
    best_step: int | None = None
    losses: list[float] = field(default_factory=list)  # since the last entry of the history

    def resume(self) -> None:
        """Restores the checkpoint, if there is one."""
        path = self.out / CHECKPOINT
        if path.exists():
            saved = torch.load(path, map_location=self.group.device, weights_only=True)
            self.state.load_state_dict(saved["learner"])
            self.done = saved["step"]
            self.best_score, self.best_step = saved["best_score"], saved["best_step"]
            self.losses = saved["losses"]
        if self.group.device.type == "cuda":
            torch.backends.cudnn.deterministic = True
        self.state.parallel = self.group.data_parallel(self.state.network)

    def batches(self, samples: SampleDataset, workers: int) -> Generator[Sample]:
        """Yields this process's batches of all steps that are left."""
        numbers = [
            self.group.sample_numbers(step, self.config.batch)
            for step in range(self.done, self.steps)
        ]
        return batches(samples, numbers, workers)

    def learn(self, drawn: Iterable[Sample], progress: ProgressCallback | None) -> None:
        """Takes one step per batch, and records, validates and saves at the set intervals."""
        with HistoryWriter(self.out, self.done) if self.group.is_main else NullHistory() as history:
            for images, classes in drawn:  # (B, 1, Z, Y, X) each
                loss = self.state.step(images, classes)
                self.done += 1
                if self.config.schedule is None or self._schedule_is_due():
                    self.state.advance_schedule()
                self.losses.append(loss)
                if progress is not None:
                    progress(self.done, self.steps, loss)
                if self._is_due(self.config.log_every):
                    mean_loss = float(np.mean(self.losses))
                    values = {"loss": mean_loss, "rate": self.state.learning_rate}
                    history.append(self.done, "training", values)
                    self.losses.clear()
                if self._is_due(self.config.validation.every) and self.held_out:
                    self._validate(history)
                if self._is_due(self.config.save_every):
                    self._save()
        self._save()

    def _schedule_is_due(self) -> bool:
        """Whether the learning rate changes after this step."""
        schedule = self.config.schedule
        by_epoch = schedule is not None and schedule.every == "epoch"
        return not by_epoch or self.done % self.steps_per_epoch == 0

    def _is_due(self, interval: int) -> bool:
        """Whether an action at every `interval` steps is due; after the last step each is."""
        return self.done % interval == 0 or self.done == self.steps

    def _validate(self, history: History) -> None:
        if self.group.is_main:
            spec = training_spec(self.config)
            scores = validate(self.state.average, spec, self.held_out)
            history.append(self.done, "validation", {"dice": scores.mean} | scores.by_label)
            if self.best_score is None or scores.mean > self.best_score:
                self.best_score, self.best_step = scores.mean, self.done
                save_atomically(self.state.average.state_dict(), self.out / BEST)
            if self.on_score is not None:
                self.on_score(self.done, scores.mean)
        self.group.barrier()

    def _save(self) -> None:
        if self.group.is_main:
            checkpoint = {
                "step": self.done,
                "learner": self.state.state_dict(),
                "best_score": self.best_score,
                "best_step": self.best_step,
                "losses": self.losses,
            }
            save_atomically(self.state.average.state_dict(), self.out / LAST)
            save_atomically(checkpoint, self.out / CHECKPOINT)
        self.group.barrier()
