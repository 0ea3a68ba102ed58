"""`segnode models`: installed model packages, and how candidates agree with active models."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption

if TYPE_CHECKING:
    from node.evaluation.installed_models import Agreement, InstalledModel

app = typer.Typer(no_args_is_help=True, help="Installed models and their shadow runs.")


@app.command("list")
def list_models(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the installed versions of models, the rules that use them, and their last run.

    Example: segnode models list
    """
    models = _installed(config)
    if as_json:
        typer.echo(json.dumps([_row(model) for model in models], default=str, indent=2))
        return
    for model in models:
        typer.echo(f"{model.spec.reference}: {model.spec.title}")
        typer.echo(f"  {_use(model)}")


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="Name, or name@version, as a rule writes it.")],
    config: ConfigOption = None,
) -> None:
    """Show one model: what it finds, its digest, its use, and its card.

    Example: segnode models show liver-ct@0.3.0
    """
    from node.configuration.active import active_settings
    from node.evaluation.installed_models import card_of, installed_packages

    spec = installed_packages(active_settings(config)).find(name)
    model = next(each for each in _installed(config) if each.spec == spec)
    card = card_of(spec)
    lines = [
        f"{spec.reference}: {spec.title}",
        spec.intended_use,
        f"Finds: {', '.join(label.name for label in spec.labels)}",
        f"Made by: {spec.manufacturer}",
        f"Licence: {card.licence.partition(chr(10))[0] or 'not stated'}",
        f"Folder: {spec.weights.parent}",
        f"SHA-256 of its weights: {spec.weights_sha256}",
        _use(model),
    ]
    typer.echo("\n".join(lines))
    if card.text:
        typer.echo(f"\n{card.text.strip()}")


@app.command("agreement")
def agreement(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how candidates agree with the active models, over all shadow runs and for each series.

    Example: segnode models agreement --json
    """
    from node.evaluation.installed_models import agreements

    with open_store(config) as store:
        found = agreements(store)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], default=str, indent=2))
        return
    for each in found:
        typer.echo("\n".join(_agreement_lines(each)))
    if not found:
        typer.echo("There are no shadow runs. Name a candidate in a rule, as shadow.")


def _installed(config: ConfigOption) -> "tuple[InstalledModel, ...]":
    from node.configuration.active import active_settings
    from node.evaluation.installed_models import installed_models

    with open_store(config) as store:
        return installed_models(active_settings(config), store)


def _row(model: "InstalledModel") -> dict[str, Any]:
    spec = model.spec
    return {
        "model_id": spec.model_id,
        "version": spec.version,
        "title": spec.title,
        "weights_sha256": spec.weights_sha256,
        "rules": model.rules,
        "shadow_rules": model.shadow_rules,
        "job_count": model.job_count,
        "last_result_at": model.last_result_at,
        "last_run_s": model.last_run_s,
    }


def _use(model: "InstalledModel") -> str:
    texts = [f"rules: {', '.join(model.rules) or 'none'}"]
    if model.shadow_rules:
        texts.append(f"candidate of: {', '.join(model.shadow_rules)}")
    texts.append(f"{model.job_count} jobs")
    if model.last_result_at is not None:
        took = "" if model.last_run_s is None else f", took {model.last_run_s:.1f} s"
        texts.append(f"last result {model.last_result_at:%Y-%m-%d %H:%M} UTC{took}")
    return "; ".join(texts)


def _agreement_lines(each: "Agreement") -> list[str]:
    counts = ", ".join(f"{count} {state}" for state, count in each.counts.items() if count)
    lines = [f"{each.candidate} compared with {each.active}: {counts}"]
    if each.active_s is not None and each.candidate_s is not None:
        lines.append(f"  {each.candidate_s:.1f} s on average, active {each.active_s:.1f} s")
    lines += [
        f"  {organ.organ}: Dice mean {organ.mean_dice:.3f}, worst {organ.min_dice:.3f}, volume "
        f"{organ.mean_difference_ml:+.1f} mL on average, {organ.count} series"
        for organ in each.organs
    ]
    for run in each.runs:
        organs = ", ".join(
            f"{organ.organ} {'absent' if organ.dice is None else f'{organ.dice:.3f}'}"
            for organ in run.organs
        )
        lines.append(f"  series {run.series_instance_uid}: {run.state} {organs}{run.reason}")
    return lines
