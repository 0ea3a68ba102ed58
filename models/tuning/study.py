"""A study of many trainings in a database that several machines may share (Optuna)."""

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

from models.training.config_file import config_of
from models.training.loop import Place, train
from models.tuning.search_space import InvalidSearch, Search

# A trial whose process has not been heard of for so long was cut off, and is made again.
_HEARTBEAT_S, _GRACE_S = 20, 60
_TRIES = 3
_SEARCHED = "searched"


@dataclass(frozen=True)
class Tuning:
    """`base` are the values of the configuration that the trials vary; `told_as` names it."""

    base: Mapping[str, Any]
    told_as: str
    search: Search
    place: Place  # `out` holds a folder for each trial

    def run(self, trial: Trial) -> float:
        """Train with this trial's values; the best validation's mean Dice.

        A trial that is made again, as it was cut off, goes on in the folder of the first.

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

        # Of its own: two processes may draw the same values at the same time.
        own = f"{trial.number:04d}-{_digest(config.model_dump(mode='json'))}"
        name = str(trial.user_attrs.get("folder", own))
        trial.set_user_attr("folder", name)
        out = self.place.out / "trials" / name
        result = train(config, replace(self.place, out=out), on_score=on_score)
        if result.best_score is None:
            raise optuna.TrialPruned("nothing was validated")
        return result.best_score


def open_study(
    storage_url: str, name: str, seed: int | None = None, *, grace_s: int = _GRACE_S
) -> Study:
    """The study of that name, made where it is not there yet; `storage_url` is a database's.

    A trial of another process that has not been heard of for `grace_s` seconds is made again.
    With a `seed`, one process alone draws the same values each time; processes that share a study
    leave it out, or they draw alike.
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
    """Another one each time a study goes on, or it would draw its first values again."""
    if seed is None:
        return None
    begun = len(study.get_trials(deepcopy=False))
    return int(np.random.SeedSequence([seed, begun]).generate_state(1)[0])


def tune(study: Study, tuning: Tuning, trials: int) -> int:
    """Run trials until the study has `trials` finished ones, whoever ran them; how many it has.

    A trial that needs more memory than there is fails, and the search goes on.

    Raises:
        InvalidSearch: the study was begun with another configuration or search space.
    """
    _same_search(study, tuning)
    over = [TrialState.COMPLETE, TrialState.PRUNED]

    def stop_when_enough(running: Study, _trial: optuna.trial.FrozenTrial) -> None:
        if len(running.get_trials(deepcopy=False, states=over)) >= trials:
            running.stop()

    done = len(study.get_trials(deepcopy=False, states=over))
    if done < trials:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.optimize(
                tuning.run,
                n_trials=trials - done,
                catch=(torch.OutOfMemoryError,),
                callbacks=[stop_when_enough],
            )
    return len(study.get_trials(deepcopy=False, states=over))


def _same_search(study: Study, tuning: Tuning) -> None:
    """Keep in the study what is searched, or see that it is the same as last time."""
    knobs = {key: knob.model_dump(mode="json") for key, knob in tuning.search.knobs.items()}
    searched = _digest([tuning.base, knobs])
    if study.user_attrs.get(_SEARCHED, searched) != searched:
        raise InvalidSearch(
            f"the study {study.study_name!r} was begun with another configuration or search "
            "space; give the search another name"
        )
    study.set_user_attr(_SEARCHED, searched)


def _digest(values: object) -> str:
    told = json.dumps(values, sort_keys=True, default=str)  # TOML has dates too
    return hashlib.sha256(told.encode()).hexdigest()[:12]
