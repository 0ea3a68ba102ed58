"""A killed training resumes with the same result; two processes train one network."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState

from models.training.config_file import load_config, read_config_values
from models.training.loop import CHECKPOINT, LAST, RunOptions, train
from models.tuning import Tuning, load_search_space, open_study, tune
from tests.support.dicom.labelled_cases import write_cases, write_config
from tests.support.waiting import until

_ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def _command(config: Path, out: Path) -> list[str]:
    return ["-m", "node.cli", "train", str(config), "--out", str(out), "--device", "cpu"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in the order of the other processes, so that all round the same way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _train(config: Path, out: Path) -> None:
    """Trains in this process."""
    train(load_config(config), RunOptions(config.parent, out, "cpu"))


def test_a_training_killed_by_sigkill_resumes_to_the_same_weights(tmp_path: Path) -> None:
    write_cases(tmp_path)
    config = write_config(tmp_path / "config.toml", steps=30, every=15, more="average = 0.9")
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    _train(config, uninterrupted)
    process = subprocess.Popen([sys.executable, *_command(config, killed)], env=_ENVIRONMENT)
    try:
        until(
            lambda: (killed / CHECKPOINT).exists() or process.poll() is not None,
            120,
            "a checkpoint",
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert torch.load(killed / CHECKPOINT, weights_only=True)["step"] < 30
    _train(config, killed)
    one, other = (torch.load(run / LAST, weights_only=True) for run in (uninterrupted, killed))
    assert all(bool((one[name] == other[name]).all()) for name in one)


def test_a_killed_trial_is_retried_and_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    write_cases(tmp_path)
    config = write_config(tmp_path / "config.toml", steps=30, every=30)
    search = tmp_path / "search.toml"
    search.write_text('["optimiser.arguments.lr"]\nlow = 1e-4\nhigh = 1e-2\n', encoding="utf-8")
    out = tmp_path / "out"
    url = f"sqlite:///{tmp_path / 'study.db'}"
    command = ["-m", "node.cli", "tune", str(config), str(search), "--out", str(out)]
    options = ["--storage", url, "--trials", "1", "--device", "cpu"]
    process = subprocess.Popen([sys.executable, *command, *options], env=_ENVIRONMENT)
    try:
        until(
            lambda: list(out.glob(f"trials/*/{CHECKPOINT}")) or process.poll() is not None,
            120,
            "a checkpoint",
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed_at = time.monotonic()
    until(lambda: time.monotonic() > killed_at + 3, 10, "a missed heartbeat")
    study = open_study(url, "segnode", grace_s=1)
    run_options = RunOptions(tmp_path, out, "cpu")
    tune(
        study,
        Tuning(read_config_values(config), "config.toml", load_search_space(search), run_options),
        trials=1,
    )
    first, retried = study.trials
    assert (first.state, retried.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert retried.params == first.params
    assert len(list((out / "trials").iterdir())) == 1


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    write_cases(tmp_path)
    config = write_config(tmp_path / "config.toml", steps=3, every=3)
    out = tmp_path / "run"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [sys.executable, *torchrun, *_command(config, out)], check=True, env=_ENVIRONMENT
    )
    data_parallel = torch.load(out / LAST, weights_only=True)
    # One process with batches of all their samples takes the same steps, except for rounding.
    one_process = write_config(tmp_path / "one_process.toml", steps=3, every=3)
    one_process.write_text(
        one_process.read_text("utf-8").replace("batch = 2", "batch = 4"), encoding="utf-8"
    )
    _train(one_process, tmp_path / "one_process")
    single = torch.load(tmp_path / "one_process" / LAST, weights_only=True)
    for name, value in data_parallel.items():
        if value.dtype.is_floating_point:
            torch.testing.assert_close(value, single[name], atol=0.02, rtol=0.0)
