"""Runs a study of many trainings (Optuna); several machines may share its database."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
import torch
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import Trial, TrialState

from models.training.config_file import parse_config
from models.training.loop import RunOptions, train
from models.tuning.search_space import InvalidSearchSpace, SearchSpace

# A trial whose process sends no heartbeat for the grace period is retried.
_HEARTBEAT_S, _GRACE_S = 20, 60
_MAX_RETRIES = 3
_SEARCHED = "searched"  # attribute of the study


@dataclass(frozen=True)
class Tuning:
    """What the trials vary: `base` is the configuration, `config_name` its name in messages."""

    base: Mapping[str, Any]
    config_name: str
    search: SearchSpace
    options: RunOptions  # `out` holds a folder for each trial

    def run(self, trial: Trial) -> float:
        """Trains with this trial's values; returns the mean Dice of the best validation.

        The retry of an interrupted trial resumes in the folder of the first attempt.

        Raises:
            optuna.TrialPruned: the trial scores worse than the others did at the same step.
        """
        values = self.search.suggest(trial, self.base)
        config = parse_config(values, self.config_name)
        trial.set_user_attr("config", config.model_dump(mode="json"))

        def on_score(step: int, score: float) -> None:
            trial.report(score, step)
            if trial.should_prune():
                raise optuna.TrialPruned(f"at step {step}")

        # The number makes the name unique: two processes may draw the same values.
        default_name = f"{trial.number:04d}-{_digest(config.model_dump(mode='json'))}"
        name = str(trial.user_attrs.get("folder", default_name))
        trial.set_user_attr("folder", name)
        out = self.options.out / "trials" / name
        result = train(config, replace(self.options, out=out), on_score=on_score)
        if result.best_score is None:
            raise optuna.TrialPruned("nothing was validated")
        return result.best_score


def open_study(
    storage_url: str, name: str, seed: int | None = None, *, grace_s: int = _GRACE_S
) -> Study:
    """Opens the study of that name in the database `storage_url`, and creates it if it is new.

    A trial of another process without a heartbeat for `grace_s` seconds is retried. With a `seed`,
    a single process draws the same values in each run. Processes that share a study leave it out,
    because they would all draw the same values.
    """
    with warnings.catch_warnings():
        # Heartbeats are experimental in Optuna: their configuration may change.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = RDBStorage(
            storage_url,
            heartbeat_interval=_HEARTBEAT_S,
            grace_period=grace_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=_MAX_RETRIES),
        )
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            pruner=MedianPruner(n_startup_trials=4, n_warmup_steps=0),
            load_if_exists=True,
        )
        study.sampler = TPESampler(seed=_sampler_seed(seed, study))
        return study


def _sampler_seed(seed: int | None, study: Study) -> int | None:
    """Returns another seed each time a study resumes, or it would draw its first values again."""
    if seed is None:
        return None
    existing = len(study.get_trials(deepcopy=False))
    return int(np.random.SeedSequence([seed, existing]).generate_state(1)[0])


def tune(study: Study, tuning: Tuning, trials: int) -> int:
    """Runs trials until the study has `trials` finished ones, of any process; returns their number.

    A trial that runs out of memory fails, and the search continues.

    Raises:
        InvalidSearchSpace: the study was started with another configuration or search space.
    """
    _check_same_search(study, tuning)
    finished = [TrialState.COMPLETE, TrialState.PRUNED]

    def stop_when_enough(running: Study, _trial: optuna.trial.FrozenTrial) -> None:
        if len(running.get_trials(deepcopy=False, states=finished)) >= trials:
            running.stop()

    done = len(study.get_trials(deepcopy=False, states=finished))
    if done < trials:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.optimize(
                tuning.run,
                n_trials=trials - done,
                catch=(torch.OutOfMemoryError,),
                callbacks=[stop_when_enough],
            )
    return len(study.get_trials(deepcopy=False, states=finished))


def _check_same_search(study: Study, tuning: Tuning) -> None:
    """Stores a digest of what the study searches, or checks that it has not changed."""
    space = {key: one.model_dump(mode="json") for key, one in tuning.search.parameters.items()}
    searched = _digest([tuning.base, space])
    if study.user_attrs.get(_SEARCHED, searched) != searched:
        raise InvalidSearchSpace(
            f"the study {study.study_name!r} was started with another configuration or search "
            "space; give the search another name"
        )
    study.set_user_attr(_SEARCHED, searched)


def _digest(values: object) -> str:
    text = json.dumps(values, sort_keys=True, default=str)  # TOML has dates too
    return hashlib.sha256(text.encode()).hexdigest()[:12]
