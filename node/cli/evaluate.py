"""`segnode evaluate`: scores a model package on labelled CT."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.convert import LayoutOption
from node.cli.options import ConfigOption, json_object
from node.cli.progress import progress_bar
from node.cli.train import DeviceOption

if TYPE_CHECKING:
    from models.data import LabelledVolume
    from models.evaluation import Evaluation
    from models.manifest import Label, ModelSpec


def evaluate(
    model: Annotated[str, typer.Argument(help="Name or folder of a model package.")],
    folder: Annotated[
        Path | None, typer.Argument(exists=True, file_okay=False, help="The data set.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for scores.json and report.html.")] = Path(),
    layout: LayoutOption = "pairs",
    labels: Annotated[
        str,
        typer.Option(help="Values or names in the data, by label: '{\"Liver\": [1, 2]}'."),
    ] = "",
    phantoms: Annotated[
        str,
        typer.Option(help="Instead of a data set, phantoms of these seeds, such as 100-119."),
    ] = "",
    tolerance_mm: Annotated[
        float, typer.Option(min=0, help="Tolerance of the surface Dice, in mm.")
    ] = 3.0,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
) -> None:
    """Score a model package on labelled CT, case by case.

    Example: segnode evaluate liver-ct /data/liver --layout pairs --out scores
    """
    from models.evaluation import evaluate as run
    from models.evaluation.case_images import picture
    from models.evaluation.report import render_report
    from models.inference.predictor import Predictor
    from node.offline.evaluate import NodeSegmenter

    predictor = Predictor.load(_find_package(model, config), device)
    failures: dict[str, str] = {}
    if phantoms:
        cases, count = _phantom_cases(phantoms, predictor.spec.labels)
    elif folder is None:
        raise typer.BadParameter("give the folder of a data set or --phantoms")
    else:
        cases, count = _labelled_cases(folder, layout, labels, predictor.spec.labels, failures)
    with progress_bar() as bar:
        task = bar.add_task(f"Evaluating {predictor.spec.model_id}", total=count)
        evaluation = run(
            NodeSegmenter(predictor),
            cases,
            tolerance_mm=tolerance_mm,
            picture=picture,
            failures=failures,
            after_each=lambda: bar.advance(task),
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "scores.json").write_text(json.dumps(evaluation.to_json(), indent=1) + "\n", "utf-8")
    (out / "report.html").write_text(render_report(evaluation), "utf-8")
    _print_scores(evaluation)
    typer.echo(f"Scores {out / 'scores.json'}, report {out / 'report.html'}")
    scored = evaluation.cases or evaluation.refused
    raise typer.Exit(1 if failures or not scored else 0)


def _find_package(model: str, config: Path | None) -> "ModelSpec":
    """Returns the package with that name, or in that folder."""
    from models.installed_packages import find
    from models.manifest import ModelSpec
    from node.settings import load_location_only

    folder = Path(model)
    if (folder / "model.toml").is_file():
        return ModelSpec.load(folder / "model.toml")
    return find(model, load_location_only(config).catalogues)


def _labelled_cases(
    folder: Path,
    layout: str,
    labels: str,
    model_labels: "tuple[Label, ...]",
    failures: dict[str, str],
) -> "tuple[Iterator[LabelledVolume], int]":
    """Returns the labelled cases and their number; `failures` receives the unreadable ones."""
    from models.data import InvalidDataset, find_cases, load_case
    from node.offline.convert import read_ct_folder

    mapping: dict[str, Any] | None = json_object(labels, "--labels") if labels else None
    found = [case for case in find_cases(folder, layout).cases if case.truth is not None]

    def read() -> "Iterator[LabelledVolume]":
        for case in found:
            try:
                yield load_case(case, model_labels, mapping, read_ct_folder)
            except InvalidDataset as error:
                failures[case.name] = str(error)

    return read(), len(found)


def _phantom_cases(
    seeds: str, model_labels: "tuple[Label, ...]"
) -> "tuple[Iterator[LabelledVolume], int]":
    """Returns scans of random phantoms with their ground truth, and the number of scans."""
    from models.phantom import labelled_scan

    first, _, last = seeds.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise typer.BadParameter("seeds are one number, such as 7, or a range, such as 100-119")
    numbers = range(int(first), int(last or first) + 1)
    return (labelled_scan(seed, model_labels) for seed in numbers), len(numbers)


def _print_scores(evaluation: "Evaluation") -> None:
    from rich.console import Console
    from rich.table import Table

    from models.evaluation.evaluate import METRICS
    from models.evaluation.report import format_score

    table = Table("Case", "Label", "Dice", "Surface Dice", "HD95, mm", "Volume error", "Accuracy")
    for case in evaluation.cases:
        for label in case.labels:
            scores = [format_score(getattr(label.scores, metric), metric) for metric in METRICS]
            table.add_row(case.name, label.label, *scores)
    for label_name, summary in evaluation.summary().items():
        for statistic in ("mean", "median", "worst"):
            scores = [format_score(summary[metric][statistic], metric) for metric in METRICS]
            table.add_row(statistic, label_name, *scores, style="bold")
    Console().print(table)
    for name, refusal in evaluation.refused.items():
        typer.echo(f"refused: {name}: {refusal}", err=True)
    for reason in evaluation.failures.values():
        typer.echo(f"not scored: {reason}", err=True)
