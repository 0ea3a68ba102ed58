"""Writes packages: folders with `model.toml`, the weights and their digest, and a model card."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from models.manifest import (
    FORMAT,
    MIN_WINDOW_AGREEMENT,
    Code,
    InvalidPackage,
    Label,
    ModelSpec,
    NetworkSpec,
)
from models.networks.registry import load_network
from models.packaging.card import card_of_import, card_of_run
from models.training.config import InvalidConfig, TrainConfig
from models.training.config_file import parse_config
from models.training.loop import BEST, CONFIG, LAST
from models.training.validation import training_spec

MANIFEST, CARD = "model.toml", "MODEL_CARD.md"
RESEARCH_ONLY = "Research and evaluation only; not for diagnostic use."


@dataclass(frozen=True)
class PackageOptions:
    """The manifest values that the author of a package chooses; lengths in mm."""

    model_id: str
    version: str
    title: str
    manufacturer: str = "segnode"
    intended_use: str = RESEARCH_ONLY
    min_slices: int = 10
    min_extent_mm: float = 30.0


def from_run(run: Path, out: Path, options: PackageOptions) -> ModelSpec:
    """Creates a package from the best weights of a training run; the last ones without validation.

    Raises:
        InvalidPackage: the folder holds no training run with weights, or the weights do not fit.
    """
    if not (run / CONFIG).is_file():
        raise InvalidPackage(f"{run} is not a training run: it has no {CONFIG}")
    try:
        values = json.loads((run / CONFIG).read_text("utf-8"))
        config = parse_config(values, str(run / CONFIG))
    except (OSError, ValueError, InvalidConfig) as error:
        raise InvalidPackage(f"{run} is not a training run: {error}") from error
    weights = next((run / name for name in (BEST, LAST) if (run / name).exists()), None)
    if weights is None:
        raise InvalidPackage(f"{run} holds no weights yet; continue the training")
    trained: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    content = half_precision(trained)
    spec = described(training_spec(config), options)
    card = card_of_run(run, config, options.title, options.intended_use, weights.name)
    return write_package(out, spec, content, "weights.safetensors", card)


def from_program(
    program: Path,
    out: Path,
    options: PackageOptions,
    config: TrainConfig,
    parameters: Mapping[str, Any],
) -> ModelSpec:
    """Creates a package from a network in TorchScript (`.pt`, `.ts`) or ONNX (`.onnx`).

    `config` gives the preprocessing and the labels; `parameters` are those of
    `models.networks.imported`: axes, input_range, output, multiple.

    Raises:
        InvalidPackage: the file cannot be read or has another format.
    """
    kind = "onnx" if program.suffix == ".onnx" else "torchscript"
    try:
        content = program.read_bytes()
    except OSError as error:
        raise InvalidPackage(f"{program}: {error.strerror}") from error
    spec = described(training_spec(config), options)
    spec = replace(spec, network=NetworkSpec(kind, dict(parameters)))
    card = card_of_import(spec, f"{program.name}, {kind}")
    return write_package(out, spec, content, f"weights{program.suffix}", card)


def described(spec: ModelSpec, options: PackageOptions) -> ModelSpec:
    """Returns the model with the values that its author chooses."""
    return replace(
        spec,
        model_id=options.model_id,
        version=options.version,
        title=options.title,
        manufacturer=options.manufacturer,
        intended_use=options.intended_use,
        min_slices=options.min_slices,
        min_extent_mm=options.min_extent_mm,
    )


def half_precision(weights: Mapping[str, Tensor]) -> bytes:
    """Returns the weights as a safetensors file, floating-point values in 16 bits."""
    halves = {
        name: (value.half() if value.dtype.is_floating_point else value).contiguous()
        for name, value in weights.items()
    }
    content: bytes = save_safetensors(halves)
    return content


def write_package(
    out: Path, spec: ModelSpec, content: bytes, file: str, card: str | None
) -> ModelSpec:
    """Writes a package after checking that its file loads; keeps an existing card.

    Raises:
        InvalidPackage: the file does not fit the network, or the manifest is invalid.
    """
    load_network(spec.network, len(spec.labels) + 1, content)
    out.mkdir(parents=True, exist_ok=True)
    (out / file).write_bytes(content)
    manifest = out / MANIFEST
    manifest.write_text(manifest_text(spec, file, hashlib.sha256(content).hexdigest()), "utf-8")
    if card is not None and not (out / CARD).exists():
        (out / CARD).write_text(card, "utf-8")
    return ModelSpec.load(manifest)


def manifest_text(spec: ModelSpec, file: str, sha256: str) -> str:
    """Returns the content of `model.toml`."""
    lines = [
        f"# See {CARD} beside this file.",
        f"needs = {_toml(FORMAT)}",
        *(
            f"{key} = {_toml(getattr(spec, key))}"
            for key in ("model_id", "version", "title", "manufacturer", "intended_use")
        ),
        "",
        "# Axes: foot to head, back to front, left to right.",
        f"spacing_mm = {_toml(spec.spacing_mm)}",
        f"hu_window = {_toml(spec.hu_window)}",
        "# 0 is the whole axis.",
        f"patch = {_toml(spec.patch)}",
        f"overlap = {_toml(spec.overlap)}",
        f"keep_largest = {_toml(spec.keep_largest)}",
        "",
        f"min_slices = {_toml(spec.min_slices)}",
        f"min_extent_mm = {_toml(spec.min_extent_mm)}",
        "",
        "[network]",
        f"kind = {_toml(spec.network.kind)}",
        f"parameters = {_toml(spec.network.parameters)}",
        "",
        "[weights]",
        f"file = {_toml(file)}",
        f"sha256 = {_toml(sha256)}",
    ]
    for label in spec.labels:
        lines += _label_lines(label)
    return "\n".join(lines) + "\n"


def _label_lines(label: Label) -> list[str]:
    optional = ["min_volume_ml", "max_volume_ml", "mean_hu", "usual_volume_ml", "usual_hu"]
    if label.min_window_agreement != MIN_WINDOW_AGREEMENT:  # a key that earlier versions refuse
        optional.append("min_window_agreement")
    return [
        "",
        "[[labels]]",
        f"index = {label.index}",
        f"name = {_toml(label.name)}",
        f"category = {_toml(_texts(label.category))}",
        f"type = {_toml(_texts(label.type))}",
        f"display_rgb = {_toml(label.display_rgb)}",
        *(f"{k} = {_toml(getattr(label, k))}" for k in optional if getattr(label, k) is not None),
    ]


def _texts(code: Code) -> tuple[str, str, str]:
    return code.value, code.scheme, code.meaning


def _toml(value: object) -> str:
    """Formats a value as TOML on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "{ " + ", ".join(f"{key} = {_toml(v)}" for key, v in value.items()) + " }"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return repr(value)
        case Sequence():
            return "[" + ", ".join(_toml(part) for part in value) + "]"
        case _:
            raise TypeError(f"{value!r} cannot be written to a manifest")
