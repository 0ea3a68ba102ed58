"""`segnode convert` and `segnode dataset`: converts and inspects training data."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.progress import progress_bar

if TYPE_CHECKING:
    from models.data.dataset_check import CaseReport

LayoutOption = Annotated[
    str,
    typer.Option(help="Layout of the data set: pairs, msd, lits, chaos, nnunet or dicom-seg."),
]


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="A DICOM folder, a NIfTI or NRRD file, or a data set.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(help="NAME.nii.gz for a DICOM series, otherwise a folder."),
    ],
    layout: Annotated[
        str,
        typer.Option(help="Layout of an input data set; it becomes pairs of NIfTI files."),
    ] = "",
) -> None:
    """Convert between DICOM and NIfTI; every voxel keeps its value and position.

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
        with progress_bar() as bar:
            for name, problem in bar.track(pairs, len(dataset.cases), description="Converting"):
                typer.echo(problem or f"{name}: written", err=bool(problem))
                problems += bool(problem)
        raise typer.Exit(1 if problems else 0)
    if source.is_file() and is_volume(source):
        count = nifti_to_series(source, output)
        typer.echo(f"{output}: {count} CT images")
        return
    if not is_volume(output) or output.suffix == ".nrrd":
        raise typer.BadParameter(
            "a DICOM series becomes NIfTI: give a file name that ends in .nii.gz"
        )
    volume = series_to_nifti(source, output)
    size = " × ".join(map(str, volume.spatial_shape))
    typer.echo(f"{output}: {size} voxels (slice, row, column)")


def dataset(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The data set.")],
    layout: LayoutOption = "pairs",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the cases of a data set: spacing, size, HU range, label volumes and problems.

    The exit status is 1 if any case has a problem.

    Example: segnode dataset /data/Task03_Liver --layout msd
    """
    from models.data import find_cases
    from models.data.dataset_check import check_dataset
    from node.offline.convert import read_ct_folder

    found = find_cases(folder, layout)
    with progress_bar() as bar:
        checks = check_dataset(found, read_ct_folder)
        reports = list(bar.track(checks, len(found.cases), description="Reading"))
    if as_json:
        typer.echo(json.dumps([asdict(report) for report in reports], indent=1))
    else:
        _print_table(reports)
    raise typer.Exit(1 if any(report.problem for report in reports) else 0)


def _print_table(reports: "Sequence[CaseReport]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("Case", "Spacing, mm", "Size", "HU", "Labels, mL", "Problem")
    for report in reports:
        table.add_row(
            report.name,
            " × ".join(f"{mm:.3g}" for mm in report.spacing_mm),
            "×".join(map(str, report.size)),
            "" if report.hu is None else f"{report.hu[0]:g} to {report.hu[1]:g}",
            ", ".join(f"{name} {ml:.0f}" for name, ml in (report.labels or {}).items()),
            report.problem,
        )
    Console().print(table)
