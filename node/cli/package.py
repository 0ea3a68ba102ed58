"""`segnode package`: makes a model package from a training run or an external network."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import json_object


def package(
    source: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="A training run's folder, a MONAI bundle's folder, or a .pt/.ts/.onnx file.",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder of the package, inside a catalogue.")],
    model_id: Annotated[str, typer.Option("--id", help="Model name, as rules refer to it.")],
    version: Annotated[str, typer.Option(help="Version; increase it whenever the weights change.")],
    title: Annotated[str, typer.Option(help="Title for display.")] = "",
    manufacturer: Annotated[str, typer.Option(help="Manufacturer of the model.")] = "segnode",
    like: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="For an external network: a training configuration with its labels and grid.",
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(help='For .pt/.ts/.onnx, such as {"axes": "xyz", "multiple": 16}.'),
    ] = "{}",
    min_slices: Annotated[
        int, typer.Option(min=2, help="Series with fewer slices are refused.")
    ] = 10,
    min_extent_mm: Annotated[
        float, typer.Option(min=0, help="Series with a smaller extent are refused.")
    ] = 30.0,
) -> None:
    """Make a model package from a training run, a MONAI bundle, TorchScript or ONNX.

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
        raise typer.BadParameter("an external network needs --like, which names its labels")
    elif source.is_dir():
        spec = from_bundle(source, out, load_config(like).organ_labels(), options)
    else:
        spec = from_program(
            source, out, options, load_config(like), json_object(network, "--network")
        )
    typer.echo(f"{out}: {spec.model_id} {spec.version}, {len(spec.labels)} labels")
