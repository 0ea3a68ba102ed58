"""A study of many trainings in a database that several machines may share (Optuna)."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import Trial, TrialState

from models.training.config import TrainConfig
from models.training.config_file import config_of
from models.training.loop import Place, train
from models.tuning.search import Search

# A trial whose process has not been heard of for so long was cut off, and is made again.
_HEARTBEAT_S, _GRACE_S = 20, 60
_TRIES = 3


@dataclass(frozen=True)
class Tuning:
    """`base` are the values of the configuration that the trials vary; `told_as` names it."""

    base: Mapping[str, Any]
    told_as: str
    search: Search
    place: Place  # `out` holds a folder for each trial

    def run(self, trial: Trial) -> float:
        """Train with this trial's values; the best validation's mean Dice.

        The folder is named by the values, so that a trial that was cut off is resumed.

        Raises:
            optuna.TrialPruned: it does worse than the others did by then.
        """
        values = self.search.suggest(trial, self.base)
        config = config_of(values, self.told_as)
        trial.set_user_attr("config", config.model_dump(mode="json"))

        def on_score(step: int, score: float) -> None:
            trial.report(score, step)
            if trial.should_prune():
                raise optuna.TrialPruned(f"at step {step}")

        out = self.place.out / "trials" / _name(config)
        trial.set_user_attr("folder", out.name)
        result = train(config, replace(self.place, out=out), on_score=on_score)
        if result.best_score is None:
            raise optuna.TrialPruned("nothing was validated")
        return result.best_score


def open_study(
    storage_url: str, name: str, seed: int | None = None, *, grace_s: int = _GRACE_S
) -> Study:
    """The study of that name, made where it is not there yet; `storage_url` is a database's.

    A trial of another process that has not been heard of for `grace_s` seconds is made again.
    """
    with warnings.catch_warnings():
        # Heartbeats are experimental in Optuna: what may change is how they are set up.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = RDBStorage(
            storage_url,
            heartbeat_interval=_HEARTBEAT_S,
            grace_period=grace_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=_TRIES),
        )
        return optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            sampler=TPESampler(seed=seed),
            pruner=MedianPruner(n_startup_trials=4, n_warmup_steps=0),
            load_if_exists=True,
        )


def tune(study: Study, tuning: Tuning, trials: int) -> int:
    """Run trials until the study has `trials` finished ones, whoever ran them; how many it has."""
    over = [TrialState.COMPLETE, TrialState.PRUNED]

    def stop_when_enough(running: Study, _trial: optuna.trial.FrozenTrial) -> None:
        if len(running.get_trials(deepcopy=False, states=over)) >= trials:
            running.stop()

    done = len(study.get_trials(deepcopy=False, states=over))
    if done < trials:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.optimize(tuning.run, n_trials=trials - done, callbacks=[stop_when_enough])
    return len(study.get_trials(deepcopy=False, states=over))


def _name(config: TrainConfig) -> str:
    told = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]
