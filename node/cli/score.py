"""`segnode package` and `segnode evaluate`: from a trained network to a package and its scores."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from node.cli.convert import LayoutOption
from node.cli.learn import DeviceOption
from node.cli.options import ConfigOption

if TYPE_CHECKING:
    from models.data import LabelledVolume
    from models.evaluation import Evaluation
    from models.spec import Label, ModelSpec


def evaluate(
    model: Annotated[str, typer.Argument(help="A package's name, or its folder.")],
    folder: Annotated[
        Path | None, typer.Argument(exists=True, file_okay=False, help="The data set.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for scores.json and report.html.")] = Path(),
    layout: LayoutOption = "pairs",
    labels: Annotated[
        str, typer.Option(help="Values or names of the data by label: '{\"Liver\": [1, 2]}'.")
    ] = "",
    phantoms: Annotated[
        str, typer.Option(help="Instead of a data set: phantoms of these seeds, as 100-119.")
    ] = "",
    tolerance_mm: Annotated[float, typer.Option(min=0, help="Of the surface Dice.")] = 3.0,
    device: DeviceOption = "auto",
    config: ConfigOption = None,
) -> None:
    """Score a model package on labelled CT, case by case.

    Example: segnode evaluate liver-ct /data/liver --layout pairs --out scores
    """
    from models.evaluation import evaluate as run
    from models.evaluation.picture import picture
    from models.evaluation.report import html_report
    from models.predict import Predictor
    from node.evaluation import AsTheNode

    predictor = Predictor.load(_package(model, config), device)
    failures: dict[str, str] = {}
    if phantoms:
        cases, count = _phantoms(phantoms, predictor.spec.labels)
    elif folder is None:
        raise typer.BadParameter("give the folder of a data set, or --phantoms")
    else:
        cases, count = _labelled(folder, layout, labels, predictor.spec.labels, failures)
    with Progress(transient=True) as bar:
        task = bar.add_task(f"Evaluating {predictor.spec.model_id}", total=count)
        evaluation = run(
            AsTheNode(predictor),
            cases,
            tolerance_mm=tolerance_mm,
            picture=picture,
            failures=failures,
            after_each=lambda: bar.advance(task),
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "scores.json").write_text(json.dumps(evaluation.to_json(), indent=1) + "\n", "utf-8")
    (out / "report.html").write_text(html_report(evaluation), "utf-8")
    _print(evaluation)
    typer.echo(f"Scores {out / 'scores.json'}, report {out / 'report.html'}")
    scored = evaluation.cases or evaluation.refused
    raise typer.Exit(1 if failures or not scored else 0)


def package(
    source: Annotated[
        Path,
        typer.Argument(
            exists=True,
            metavar="RUN",
            help="A training's folder, a MONAI bundle's folder, or a .pt/.ts/.onnx file.",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The package's folder; in a catalogue, to be found.")],
    model_id: Annotated[str, typer.Option("--id", help="The model's name in rules.")],
    version: Annotated[str, typer.Option(help="Grows with every change of the weights.")],
    title: Annotated[str, typer.Option(help="What people read.")] = "",
    manufacturer: Annotated[str, typer.Option(help="Who stands behind the model.")] = "segnode",
    like: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="For a network from elsewhere: a training configuration with labels and grid.",
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(help='For .pt/.ts/.onnx, as {"axes": "xyz", "multiple": 16}.'),
    ] = "{}",
    min_slices: Annotated[int, typer.Option(min=2, help="Fewer are refused.")] = 10,
    min_extent_mm: Annotated[float, typer.Option(min=0, help="Less is refused.")] = 30.0,
) -> None:
    """Make a model package of a training, a MONAI bundle, TorchScript or ONNX.

    Example: segnode package runs/liver catalogue/liver-site --id liver-site --version 1.0.0
    """
    from models.packaging import PackageOptions, from_bundle, from_program, from_run
    from models.training.config_file import load_config

    options = PackageOptions(
        model_id=model_id,
        version=version,
        title=title or model_id,
        manufacturer=manufacturer,
        min_slices=min_slices,
        min_extent_mm=min_extent_mm,
    )
    if source.is_dir() and not (source / "configs").is_dir():
        spec = from_run(source, out, options)
    elif like is None:
        raise typer.BadParameter("a network from elsewhere needs --like, which tells its labels")
    elif source.is_dir():
        spec = from_bundle(source, out, load_config(like).organ_labels(), options)
    else:
        spec = from_program(source, out, options, load_config(like), _json(network, "--network"))
    typer.echo(f"{out}: {spec.model_id} {spec.version}, {len(spec.labels)} labels")


def _package(model: str, config: Path | None) -> "ModelSpec":
    """The package of that name, or in that folder."""
    from models.registry import find
    from models.spec import ModelSpec
    from node.settings import load_settings

    folder = Path(model)
    if (folder / "model.toml").is_file():
        return ModelSpec.load(folder / "model.toml")
    return find(model, load_settings(config).catalogues)


def _labelled(
    folder: Path,
    layout: str,
    labels: str,
    wanted: "tuple[Label, ...]",
    failures: dict[str, str],
) -> "tuple[Iterator[LabelledVolume], int]":
    """The cases of a data set; what cannot be read goes into `failures`."""
    from models.data import InvalidDataset, find_cases, load_case
    from node.convert import read_ct

    mapping: dict[str, Any] | None = _json(labels, "--labels") if labels else None
    found = [case for case in find_cases(folder, layout).cases if case.truth is not None]

    def read() -> "Iterator[LabelledVolume]":
        for case in found:
            try:
                yield load_case(case, wanted, mapping, read_ct)
            except InvalidDataset as error:
                failures[case.name] = str(error)

    return read(), len(found)


def _phantoms(seeds: str, wanted: "tuple[Label, ...]") -> "tuple[Iterator[LabelledVolume], int]":
    """Random scans of phantoms, the truth in the model's own labels."""
    from models.phantom import labelled_scan

    first, _, last = seeds.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise typer.BadParameter("seeds are given as 7, or as 100-119")
    numbers = range(int(first), int(last or first) + 1)
    return (labelled_scan(seed, wanted) for seed in numbers), len(numbers)


def _print(evaluation: "Evaluation") -> None:
    from models.evaluation.evaluate import METRICS
    from models.evaluation.report import told

    table = Table("Case", "Label", "Dice", "Surface Dice", "HD95, mm", "Volume error", "Accuracy")
    for case in evaluation.cases:
        for own in case.labels:
            scores = [told(getattr(own.scores, metric), metric) for metric in METRICS]
            table.add_row(case.name, own.label, *scores)
    for label, summary in evaluation.summary().items():
        for kind in ("mean", "median", "worst"):
            figures = [told(summary[metric][kind], metric) for metric in METRICS]
            table.add_row(kind, label, *figures, style="bold")
    Console().print(table)
    for name, refusal in evaluation.refused.items():
        typer.echo(f"refused: {name}: {refusal}", err=True)
    for reason in evaluation.failures.values():
        typer.echo(f"not scored: {reason}", err=True)


def _json(text: str, option: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{option} must be a JSON object")
    return value
