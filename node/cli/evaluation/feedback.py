"""`segnode feedback`: segmentations that people stored for series which the node segmented."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption

if TYPE_CHECKING:
    from node.domain.evaluation.feedback import Feedback

app = typer.Typer(no_args_is_help=True, help="Segmentations by people, compared with results.")


@app.command("list")
def list_feedback(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of segmentations.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the latest segmentations by people, and how the node's results compare.

    Example: segnode feedback list --limit 10
    """
    from node.cli.audit.operator_records import record_search

    with open_store(config) as store:
        record_search(store)
        found = store.feedback(limit=limit)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], default=str, indent=2))
        return
    for each in found:
        typer.echo("\n".join(_lines(each)))
    if not found:
        typer.echo("No segmentation has been received.")


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="New folder for the data sets.")],
    config: ConfigOption = None,
) -> None:
    """Write compared segmentations and their CT as data sets for training, without identities.

    Example: segnode feedback export corrected
    """
    from node.cli.audit.operator_records import record_export
    from node.configuration.active import active_settings
    from node.domain.audit.records import AuditObject, AuditObjectType
    from node.evaluation.feedback_export import export_feedback

    with open_store(config) as store:
        target = AuditObject(AuditObjectType.FOLDER, str(folder))
        record_export(store, target, "compared segmentations and their CT, without identities")
        exported = export_feedback(store, active_settings(config).rules, folder)
    for problem in exported.problems:
        typer.echo(f"Not exported: {problem}", err=True)
    for each in exported.data_sets:
        typer.echo(f"{each.folder}: {each.case_count} cases of {', '.join(each.organs)}")
        typer.echo(f'  [[cases]]\n  folder = "{each.folder.resolve()}"\n  layout = "nnunet"')
    if not exported.data_sets:
        typer.echo("There was nothing to export.")


def _lines(each: "Feedback") -> list[str]:
    source = each.source_series_instance_uid or "not known"
    lines = [
        f"{each.received_at:%Y-%m-%d %H:%M} UTC from {each.sender}, series {source}: {each.state}"
    ]
    if each.reason:
        lines.append(f"  {each.reason}")
    for comparison in each.comparisons:
        organs = ", ".join(
            f"{organ.organ} {'absent' if organ.dice is None else f'Dice {organ.dice:.3f}'}, "
            f"{organ.difference_ml:+.1f} mL"
            for organ in comparison.organs
        )
        lines.append(f"  {comparison.model}: {organs}")
    return lines
