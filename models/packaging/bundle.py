"""Creates a package from a MONAI bundle whose preprocessing equals the node's.

No code of the bundle runs: the network is a MONAI class found by name, and the transforms are read
as data. A transform that the node does not perform is refused.
https://docs.monai.io, "MONAI Bundle".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.manifest import InvalidPackage, Label, ModelSpec, NetworkSpec
from models.networks.imported import MONAI_NETWORKS
from models.packaging.card import card_of_import
from models.packaging.package import PackageOptions, described, half_precision, write_package

_CONFIGS = ("configs/inference.json", "configs/evaluate.json")
_WEIGHTS = "models/model.pt"
# Transforms without effect on the voxels, or that the node performs anyway.
_IGNORED_TRANSFORMS = (
    "LoadImage",
    "EnsureChannelFirst",
    "EnsureType",
    "CastToType",
    "ToTensor",
    "ToDevice",
)
# The argument that has the stride of each level, by network.
_STRIDE_ARGUMENTS = {"UNet": "strides", "AttentionUnet": "strides", "DynUNet": "strides"}
_DEFAULT_MULTIPLE = 32  # for networks without strides in the bundle


@dataclass(frozen=True)
class _Preprocessing:
    spacing_mm: tuple[float, float, float]
    hu_window: tuple[float, float]
    input_range: tuple[float, float]


def from_bundle(
    bundle: Path, out: Path, labels: tuple[Label, ...], options: PackageOptions
) -> ModelSpec:
    """Creates a package from a bundle.

    Raises:
        InvalidPackage: it is not a bundle, or it needs what the node lacks; the message says what.
    """
    config = _read(bundle)
    network = _network(config)
    preprocessing = _preprocessing(bundle, config)
    depth, height, width = _patch(config)
    spec = ModelSpec(
        model_id=options.model_id,
        version=options.version,
        title=options.title,
        manufacturer=options.manufacturer,
        intended_use=options.intended_use,
        network=replace(
            network,
            parameters={
                **network.parameters,
                "axes": "xyz",
                "input_range": list(preprocessing.input_range),
                "output": _output(network, len(labels)),
            },
        ),
        labels=labels,
        spacing_mm=preprocessing.spacing_mm,
        hu_window=preprocessing.hu_window,
        patch=(depth, height, width),
        overlap=float(_inferer(config).get("overlap", 0.25)),
        keep_largest=True,
        min_slices=options.min_slices,
        min_extent_mm=options.min_extent_mm,
        weights=Path(),
        weights_sha256="",
    )
    spec = described(spec, options)
    content = half_precision(_weights(bundle))
    card = card_of_import(spec, f"the MONAI bundle {bundle.name}")
    return write_package(out, spec, content, "weights.safetensors", card)


def _read(bundle: Path) -> dict[str, Any]:
    for name in _CONFIGS:
        path = bundle / name
        if path.exists():
            try:
                config: dict[str, Any] = json.loads(path.read_text("utf-8"))
            except ValueError as error:
                raise InvalidPackage(f"{path}: {error}") from error
            return config
    raise InvalidPackage(f"{bundle} is not a MONAI bundle: it has no {_CONFIGS[0]}")


def _plain(value: Any, where: str) -> Any:  # JSON has no narrower type
    """Returns the value after checking that it is data: no expression and no reference."""
    match value:
        case str() if value.startswith(("$", "@", "%")):
            raise InvalidPackage(
                f"{where} is an expression ({value}), which is not run here; write its value there"
            )
        case list():
            return [_plain(part, where) for part in value]
        case dict():
            return {key: _plain(part, f"{where}.{key}") for key, part in value.items()}
        case _:
            return value


def _network(config: Mapping[str, Any]) -> NetworkSpec:
    definition = config.get("network_def")
    if not isinstance(definition, dict) or "_target_" not in definition:
        raise InvalidPackage("the bundle names no network_def")
    plain = _plain(definition, "network_def")
    name = str(plain.pop("_target_")).rpartition(".")[2]
    if name not in MONAI_NETWORKS:
        known = ", ".join(MONAI_NETWORKS)
        raise InvalidPackage(f"the bundle's network {name} is not run here; known: {known}")
    if plain.get("in_channels", 1) != 1 or plain.get("spatial_dims", 3) != 3:
        raise InvalidPackage("the bundle's network does not take one CT volume")
    multiple = _DEFAULT_MULTIPLE
    strides = plain.get(_STRIDE_ARGUMENTS.get(name, ""))
    if strides:
        multiple = 1
        for stride in strides:
            multiple *= max(stride) if isinstance(stride, list) else stride
    return NetworkSpec("monai", {"name": name, "arguments": plain, "multiple": multiple})


def _output(network: NetworkSpec, labels: int) -> str:
    outputs = network.parameters["arguments"].get("out_channels")
    if outputs == labels + 1:
        return "softmax"
    if outputs == labels:
        return "sigmoid"
    raise InvalidPackage(
        f"the bundle's network gives {outputs} scores, which is neither one for each of the "
        f"{labels} labels nor one more for the background"
    )


def _preprocessing(bundle: Path, config: Mapping[str, Any]) -> _Preprocessing:
    """Reads how the bundle prepares a CT for its network."""
    section = config.get("preprocessing", {})
    transforms = section.get("transforms") if isinstance(section, dict) else None
    if not isinstance(transforms, list):
        raise InvalidPackage(f"{bundle}: the bundle has no preprocessing.transforms")
    spacing: list[float] | None = None
    intensity: dict[str, Any] | None = None
    for step in transforms:
        name = str(step.get("_target_", "")).rpartition(".")[2].removesuffix("d")
        # Device and keys do not affect the voxels.
        own = {k: v for k, v in step.items() if k not in ("_target_", "keys", "device")}
        if name in _IGNORED_TRANSFORMS:
            continue
        values = _plain(own, f"preprocessing {name}")
        match name:
            case "Orientation" if values.get("axcodes") == "RAS":
                pass
            case "Spacing":
                spacing = [float(mm) for mm in values["pixdim"]]
            case "ScaleIntensityRange" if values.get("clip") is True:
                intensity = values
            case _:
                raise InvalidPackage(
                    f"the bundle prepares its input by {name} {json.dumps(values)}, which the node "
                    "does not do"
                )
    if spacing is None or intensity is None:
        raise InvalidPackage(
            "the bundle must give its spacing (Spacingd) and its window (ScaleIntensityRanged)"
        )
    x, y, z = spacing
    return _Preprocessing(
        (z, y, x),
        (float(intensity["a_min"]), float(intensity["a_max"])),
        (float(intensity.get("b_min", 0.0)), float(intensity.get("b_max", 1.0))),
    )


def _inferer(config: Mapping[str, Any]) -> dict[str, Any]:
    section = config.get("inferer", {})
    return {k: v for k, v in section.items() if isinstance(v, list | int | float)}


def _patch(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Returns the sliding window (bundles have x, y, z); zeros, the whole volume, without one."""
    roi = _inferer(config).get("roi_size")
    if roi is None:
        return (0, 0, 0)
    x, y, z = (int(length) for length in _plain(roi, "inferer.roi_size"))
    return (z, y, x)


def _weights(bundle: Path) -> dict[str, Tensor]:
    path = bundle / _WEIGHTS
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many exception types for an invalid file
        raise InvalidPackage(f"{path} cannot be read as weights: {error}") from error
    weights: dict[str, Tensor] = loaded.get("model", loaded.get("state_dict", loaded))
    return weights
