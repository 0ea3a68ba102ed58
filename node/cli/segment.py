"""`segnode segment`: runs the pipeline on files, without a PACS."""

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import ConfigOption
from node.cli.progress import progress_bar


def segment(
    source: Annotated[Path, typer.Argument(exists=True, help="A DICOM folder or a NIfTI file.")],
    output: Annotated[
        Path,
        typer.Argument(
            help="The result: .dcm (DICOM SEG), .nii.gz (NIfTI, with labels in NAME.json) or "
            ".seg.nrrd (Slicer)."
        ),
    ],
    model: Annotated[str, typer.Option(help="The model package to run.")] = "liver-ct",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    series: Annotated[
        str | None, typer.Option(help="SeriesInstanceUID, if the folder holds several series.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Segment one CT series from disk.

    Example: segnode segment /data/ct/abdomen liver.seg.nrrd
    """
    from models.installed_packages import find
    from node.configuration.active import active_settings
    from node.runtime.lean_imports import import_pydicom, without_garbage_collection

    settings = active_settings(config)
    spec = find(model, settings.catalogues)
    with progress_bar() as bar:
        task = bar.add_task(f"Segmenting with {model}", total=1.0)
        with without_garbage_collection():
            import_pydicom()
            # Imported here: they take seconds, and a wrong option ends the command before.
            from models.inference.predictor import Predictor
            from node.inference.configured_models import coloured, result_texts
            from node.offline.segment import segment_file

            predictor = Predictor.load(coloured(settings, spec), device)
        summary = segment_file(
            source,
            output,
            predictor,
            texts=result_texts(settings),
            series=series,
            progress=lambda fraction: bar.update(task, completed=fraction),
        )
    typer.echo(summary)
