"""`segnode convert` and `segnode dataset`: data for training, and what is in it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

LayoutOption = Annotated[
    str,
    typer.Option(help="How the data set is laid out: pairs, msd, lits, chaos, nnunet, dicom-seg."),
]


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            exists=True,
            help="A DICOM folder, NIfTI or NRRD, or a data set.",
        ),
    ],
    output: Annotated[
        Path, typer.Argument(help="NAME.nii.gz for a DICOM series, else a folder to write into.")
    ],
    layout: Annotated[
        str, typer.Option(help="The input is a data set laid out so; write pairs of NIfTI.")
    ] = "",
) -> None:
    """Convert between DICOM and NIfTI; every voxel keeps its value and its place.

    Example: segnode convert /data/ct/abdomen abdomen.nii.gz
    """
    from models.data import find_cases
    from models.data.images import is_volume
    from node.offline.convert import (
        dataset_to_pairs,
        nifti_to_series,
        read_ct_folder,
        series_to_nifti,
    )

    if layout:
        problems = 0
        dataset = find_cases(source, layout)
        pairs = dataset_to_pairs(dataset, output, read_ct_folder)
        for name, problem in track(pairs, "Converting", total=len(dataset.cases), transient=True):
            typer.echo(problem or f"{name}: written", err=bool(problem))
            problems += bool(problem)
        raise typer.Exit(1 if problems else 0)
    if source.is_file() and is_volume(source):
        count = nifti_to_series(source, output)
        typer.echo(f"{output}: {count} CT images")
        return
    if not is_volume(output) or output.suffix == ".nrrd":
        raise typer.BadParameter("a DICOM series becomes NIfTI: give a name that ends in .nii.gz")
    volume = series_to_nifti(source, output)
    size = " × ".join(map(str, volume.spatial_shape))
    typer.echo(f"{output}: {size} voxels (slice, row, column)")


def dataset(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The data set.")],
    layout: LayoutOption = "pairs",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
) -> None:
    """List a data set's cases: spacing, size, HU, labels with their volumes, and what is wrong.

    Ends with status 1 when something is wrong with any of them.

    Example: segnode dataset /data/Task03_Liver --layout msd
    """
    from models.data import find_cases
    from models.data.dataset_check import check_dataset
    from node.offline.convert import read_ct_folder

    found = find_cases(folder, layout)
    facts = list(
        track(
            check_dataset(found, read_ct_folder),
            "Reading",
            total=len(found.cases),
            transient=True,
            console=Console(stderr=True),
        )
    )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in facts], indent=1))
    else:
        table = Table("Case", "Spacing, mm", "Size", "HU", "Labels, mL", "Problem")
        for one in facts:
            table.add_row(
                one.name,
                " × ".join(f"{mm:.3g}" for mm in one.spacing_mm),
                "×".join(map(str, one.size)),
                "" if one.hu is None else f"{one.hu[0]:g} to {one.hu[1]:g}",
                ", ".join(f"{name} {ml:.0f}" for name, ml in (one.labels or {}).items()),
                one.problem,
            )
        Console().print(table)
    raise typer.Exit(1 if any(one.problem for one in facts) else 0)
