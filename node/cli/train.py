"""`segnode train` and `segnode tune`: train a network on labelled CT and search for settings."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.progress import progress_bar

TrainingConfig = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, help="Training configuration (TOML)."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="Base of relative folders in the configuration; default: the configuration's folder.",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Number of CPU threads; default: one per core.")
]


def train(
    config: TrainingConfig,
    out: Annotated[Path, typer.Option(help="Folder of the run; an existing run is resumed.")],
    data: DataOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Number of processes that prefetch samples.")
    ] = 0,
) -> None:
    """Train a network; after an interruption, the same command resumes the run.

    On several GPUs: torchrun --nproc-per-node 4 -m node.cli train CONFIG --out RUN

    Example: segnode train config.toml --data /data --out runs/liver
    """
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    from models.training.config_file import load_config
    from models.training.loop import RunOptions
    from models.training.loop import train as run
    from node.offline.convert import read_ct_folder

    loaded = load_config(config)
    _set_threads(threads)
    options = RunOptions(
        config.parent if data is None else data, out, device, workers, read_ct_folder
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"))
    with progress_bar(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("Training", total=None, loss="")
        result = run(
            loaded,
            options,
            lambda done, steps, loss: bar.update(
                task, completed=done, total=steps, loss=f"{done}/{steps} loss {loss:.3f}"
            ),
            lambda step, score: typer.echo(f"step {step}: Dice {score:.3f}"),
        )
    best = "" if result.best_score is None else f", best Dice {result.best_score:.3f}"
    step = "" if result.best_step is None else f" at step {result.best_step}"
    typer.echo(f"{out}: {result.steps} steps{best}{step}")


def tune(
    config: TrainingConfig,
    search: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Search space (TOML).")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the trials and the report.")],
    trials: Annotated[int, typer.Option(min=1, help="Number of trials in the study.")] = 20,
    data: DataOption = None,
    storage: Annotated[
        str,
        typer.Option(
            help="Database URL that several machines can share; default: a file in --out."
        ),
    ] = "",
    study: Annotated[str, typer.Option(help="Name of the study.")] = "segnode",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search.")] = None,
) -> None:
    """Search for better settings; the same command continues a study, on any machine.

    Example: segnode tune config.toml search.toml --out runs/tuning --trials 30
    """
    from models.training.config_file import parse_config, read_config_values
    from models.training.loop import RunOptions
    from models.tuning import Tuning, load_search_space, open_study
    from models.tuning import tune as run
    from models.tuning.report import silence_optuna, write_report
    from node.offline.convert import read_ct_folder

    silence_optuna()
    base = read_config_values(config)
    parse_config(base, str(config))
    space = load_search_space(search)
    _set_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    opened = open_study(storage or f"sqlite:///{(out / 'study.db').resolve()}", study, seed)
    options = RunOptions(config.parent if data is None else data, out, device, 0, read_ct_folder)
    done = run(opened, Tuning(base, str(config), space, options), trials)
    page = write_report(opened, out)
    best = opened.best_trial
    params = ", ".join(f"{key} = {value}" for key, value in best.params.items())
    typer.echo(f"{done} trials; best Dice {best.value:.3f} with {params}")
    typer.echo(f"Report {page}; best configuration {out / 'best.json'}")


def _set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
