"""`segnode train` and `segnode tune`: from labelled CT to a trained network."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

TrainingConfig = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, metavar="CONFIG", help="What to train, as TOML."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="What folders in the configuration are relative to; else its own folder.",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads of the CPU; else as many as there are cores.")
]


def train(
    config: TrainingConfig,
    out: Annotated[Path, typer.Option(help="The run's folder; a run that is there is resumed.")],
    data: DataOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw samples ahead.")] = 0,
) -> None:
    """Train a network; killed at any moment, the same command goes on.

    On several GPUs: torchrun --nproc-per-node 4 -m node.cli train CONFIG --out RUN

    Example: segnode train config.toml --data /data --out runs/liver
    """
    from models.training.config_file import load_config
    from models.training.loop import RunOptions
    from models.training.loop import train as run
    from node.offline.convert import read_ct_folder

    loaded = load_config(config)
    _use(threads)
    place = RunOptions(
        config.parent if data is None else data, out, device, workers, read_ct_folder
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"))
    with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task("Training", total=None, loss="")
        result = run(
            loaded,
            place,
            lambda done, steps, loss: bar.update(
                task, completed=done, total=steps, loss=f"{done}/{steps} loss {loss:.3f}"
            ),
            lambda step, score: bar.console.print(f"step {step}: Dice {score:.3f}"),
        )
    best = "" if result.best_score is None else f", best Dice {result.best_score:.3f}"
    at = "" if result.best_step is None else f" at step {result.best_step}"
    typer.echo(f"{out}: {result.steps} steps{best}{at}")


def tune(
    config: TrainingConfig,
    search: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="What may be turned, as TOML.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for trials and report.")],
    trials: Annotated[int, typer.Option(min=1, help="How many the study shall have.")] = 20,
    data: DataOption = None,
    storage: Annotated[
        str, typer.Option(help="Database URL that several machines may share; else in --out.")
    ] = "",
    study: Annotated[str, typer.Option(help="The study's name.")] = "segnode",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    seed: Annotated[int | None, typer.Option(help="Of the search.")] = None,
) -> None:
    """Search for better settings; the same command goes on with a study, on any machine.

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
    _use(threads)
    out.mkdir(parents=True, exist_ok=True)
    opened = open_study(storage or f"sqlite:///{(out / 'study.db').resolve()}", study, seed)
    place = RunOptions(config.parent if data is None else data, out, device, 0, read_ct_folder)
    done = run(opened, Tuning(base, str(config), space, place), trials)
    page = write_report(opened, out)
    best = opened.best_trial
    told = ", ".join(f"{key} = {value}" for key, value in best.params.items())
    typer.echo(f"{done} trials; best Dice {best.value:.3f} with {told}")
    typer.echo(f"Report {page}; best configuration {out / 'best.json'}")


def _use(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
