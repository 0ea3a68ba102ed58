"""Writes the model card: what a model was trained on, how it was tested, where it may fail."""

import json
from pathlib import Path

from models.manifest import ModelSpec
from models.training.config import TrainConfig
from models.training.history import read_history

_TO_DO = "*To be written by the model's author.*"


def card_of_run(run: Path, config: TrainConfig, title: str, intended_use: str, weights: str) -> str:
    """Returns the card of a training run, filled as far as its folder has the facts."""
    history = read_history(run)
    validations = [event for event in history if event["kind"] == "validation"]
    steps = max((int(event["step"]) for event in history), default=0)
    lines = [
        f"# {title}",
        "",
        intended_use,
        "",
        "## What it does",
        "Labels " + ", ".join(label.name for label in config.labels) + " in CT.",
        f"Network: {config.network.kind} {json.dumps(config.network.parameters)}, voxels of "
        f"{' × '.join(f'{mm:g}' for mm in config.grid.spacing_mm)} mm (head-foot first), window "
        f"{config.grid.hu_window[0]:g} to {config.grid.hu_window[1]:g} HU.",
        "",
        "## What it was trained on",
        *_sources(config),
        "",
        f"{steps} steps of {config.batch} samples; {config.optimiser.name} "
        f"{json.dumps(config.optimiser.arguments)}; seed {config.seed}; weights of `{weights}`.",
        "",
        "## How it was tested",
        *_validation(validations),
        "",
        "## Where it fails, or may fail",
        _TO_DO,
    ]
    return "\n".join(lines) + "\n"


def card_of_import(spec: ModelSpec, origin: str) -> str:
    """Returns the card of a network that was trained elsewhere."""
    return "\n".join(
        [
            f"# {spec.title}",
            "",
            spec.intended_use,
            "",
            "## What it does",
            "Labels " + ", ".join(label.name for label in spec.labels) + f" in CT ({origin}).",
            "",
            "## What it was trained on",
            _TO_DO,
            "",
            "## How it was tested",
            _TO_DO,
            "",
            "## Where it fails, or may fail",
            _TO_DO,
            "",
        ]
    )


def _sources(config: TrainConfig) -> list[str]:
    lines = [
        f"- Labelled cases: {cases.folder} (layout {cases.layout}), {cases.validation:.0%} held out"
        for cases in config.cases
    ]
    if config.bodies is not None:
        own = config.bodies
        lines.append(
            "- Synthetic scans, painted again for every sample: one labelled CT under "
            f"{own.chests} chests, and {own.phantoms} phantoms "
            f"({own.phantom_share:.0%} of the samples)"
        )
    return lines


def _validation(events: list[dict[str, float | str]]) -> list[str]:
    if not events:
        return ["The model was not validated during training. " + _TO_DO]
    best = max(events, key=lambda event: float(event["dice"]))
    names = [name for name in best if name not in ("step", "kind", "dice")]
    return [
        f"Mean Dice of the held-out cases {float(best['dice']):.3f} at step {best['step']}, the "
        "best of all validations:",
        "",
        "| label | Dice |",
        "|---|---|",
        *(f"| {name} | {float(best[name]):.3f} |" for name in names),
    ]
