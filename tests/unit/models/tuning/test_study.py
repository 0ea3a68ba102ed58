"""A study of small trainings: it searches, prunes, resumes, is shared and reported."""

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState
from typer.testing import CliRunner

from models.errors import ModelsError
from models.training.config import TrainConfig
from models.training.config_file import load_config, read_config_values
from models.training.loop import RunOptions, TrainingResult
from models.tuning import InvalidSearchSpace, Tuning, load_search_space, open_study, tune
from models.tuning.report import write_report
from tests.support.dicom.labelled_cases import write_cases, write_config
from tests.support.whole_command_line import app

_SEARCH = """
["optimiser.arguments.lr"]
low = 1e-4
high = 1e-2
log = true

["network.parameters.channels"]
choices = [[2, 4], [4, 8]]

["batch"]
low = 1
high = 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_cases(tmp_path)
    write_config(tmp_path / "config.toml", steps=4, every=2)
    (tmp_path / "search.toml").write_text(_SEARCH, encoding="utf-8")
    return tmp_path


def _tuning(folder: Path, out: str = "tuning") -> Tuning:
    base = read_config_values(folder / "config.toml")
    options = RunOptions(folder, folder / out, "cpu")
    return Tuning(base, "config.toml", load_search_space(folder / "search.toml"), options)


def test_the_tune_command_finds_a_configuration_to_train_with(folder: Path) -> None:
    arguments = ["tune", folder / "config.toml", folder / "search.toml", "--out", folder / "out"]
    options = ["--trials", 4, "--device", "cpu", "--seed", 1]
    for _ in range(2):  # the second run finds enough finished trials
        result = CliRunner().invoke(app, [str(part) for part in (*arguments, *options)])
        assert result.exit_code == 0, result.output
        assert "4 trials; best Dice" in result.output
    assert "network.parameters.channels = [" in result.output.replace("\n", " ")
    best = load_config(folder / "out" / "best.json")
    assert best.network.parameters["channels"] in ([2, 4], [4, 8])
    assert 1e-4 <= best.optimiser.arguments["lr"] <= 1e-2
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 4
    assert "Which setting matters" in page


def test_a_trial_that_scores_worse_than_the_others_is_pruned(folder: Path) -> None:
    study = open_study(f"sqlite:///{folder / 'study.db'}", "pruned")
    for score in (0.9, 0.9, 0.9, 0.9):
        trial = optuna.trial.create_trial(value=score, intermediate_values={2: score, 4: score})
        study.add_trial(trial)
    tune(study, _tuning(folder), trials=5)
    last = study.trials[-1]
    assert last.state is TrialState.PRUNED
    assert list(last.intermediate_values) == [2]


def test_two_processes_share_a_study(folder: Path) -> None:
    url = f"sqlite:///{folder / 'study.db'}"
    open_study(url, "segnode")
    command = [
        *(sys.executable, "-m", "node.cli", "tune"),
        *(str(folder / "config.toml"), str(folder / "search.toml")),
        *("--out", str(folder / "out"), "--storage", url, "--trials", "2", "--device", "cpu"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    over = [t for t in open_study(url, "segnode").trials if t.state.is_finished()]
    assert len(over) >= 2


def test_a_resumed_study_draws_other_values_with_the_same_seed(folder: Path) -> None:
    url = f"sqlite:///{folder / 'study.db'}"
    for trials in (1, 2):
        tune(open_study(url, "seeded", seed=3), _tuning(folder), trials)
    first, second = open_study(url, "seeded").trials
    assert first.params != second.params
    assert first.user_attrs["folder"] != second.user_attrs["folder"]
    tune(open_study(url, "again", seed=3), _tuning(folder, "again"), trials=1)
    assert open_study(url, "again").trials[0].params == first.params


def test_a_study_does_not_resume_with_another_search_space(folder: Path) -> None:
    study = open_study(f"sqlite:///{folder / 'study.db'}", "one")
    tune(study, _tuning(folder), trials=1)
    turned = _SEARCH.replace("[[2, 4], [4, 8]]", "[[4, 8], [2, 4]]")
    (folder / "search.toml").write_text(turned, encoding="utf-8")
    with pytest.raises(InvalidSearchSpace, match="another configuration or search space"):
        tune(study, _tuning(folder), trials=2)
    assert len(study.trials) == 1


def test_a_trial_without_enough_memory_fails_and_the_search_continues(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(config: TrainConfig, options: RunOptions, on_score: object = None) -> TrainingResult:
        if options.out.name.startswith("0000"):
            raise torch.OutOfMemoryError
        return TrainingResult(options.out, 1, 0.5, 1)

    monkeypatch.setattr("models.tuning.study.train", greedy)
    study = open_study(f"sqlite:///{folder / 'study.db'}", "greedy")
    assert tune(study, _tuning(folder), trials=2) == 1
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["batch"]\nlow = 1', "batch: give low and high, or choices"),
        ('["batch"]\nlow = 2\nhigh = 1', "low must be less than high"),
        ('["batch"]\nlow = 0\nhigh = 1\nlog = true', "begins above 0"),
        ('["batch"]\nchoices = [1]\nstep = 2', "batch.step"),
        ("", "names nothing to search"),
        ("[", "search.toml"),
    ],
)
def test_an_invalid_search_space_is_refused_with_its_key(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "search.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidSearchSpace) as caught:
        load_search_space(path)
    assert message in str(caught.value)


def test_a_study_without_a_finished_trial_has_no_report(folder: Path) -> None:
    study = open_study(f"sqlite:///{folder / 'study.db'}", "empty")
    with pytest.raises(ModelsError, match="no trial is complete yet"):
        write_report(study, folder / "report")
