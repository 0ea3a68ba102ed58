"""Packages of training runs, TorchScript, ONNX and MONAI bundles give the same masks."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from torch import nn
from typer.testing import CliRunner

from models.inference.predictor import Predictor
from models.manifest import InvalidPackage, ModelSpec, NetworkSpec
from models.networks.registry import build
from models.packaging import PackageOptions, from_bundle, from_program, from_run
from models.phantom import abdomen
from models.training.config import TrainConfig
from models.training.config_file import load_config
from models.training.loop import RunOptions, train
from node.domain.errors import Misconfigured
from tests.support.dicom.labelled_cases import write_cases, write_config
from tests.support.whole_command_line import app

# torch deprecates TorchScript; these tests are about models in it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

_OPTIONS = PackageOptions("mine", "1.0.0", "Liver of ours", min_slices=5, min_extent_mm=20.0)
_MULTIPLE = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished training run."""
    folder = tmp_path_factory.mktemp("training")
    write_cases(folder)
    config = load_config(write_config(folder / "config.toml", steps=40, every=20))
    train(config, RunOptions(folder, folder / "run", "cpu"))
    return folder / "run"


@pytest.fixture(scope="module")
def trained(run: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return from_run(run, tmp_path_factory.mktemp("catalogue") / "mine", _OPTIONS)


@pytest.fixture(scope="module")
def config(run: Path) -> TrainConfig:
    return load_config(run / "config.json")


def _predicted(spec: ModelSpec) -> np.ndarray[Any, Any]:
    volume = abdomen(8, spacing_mm=(12.0, 8.0, 8.0), shape=(24, 36, 48)).volume
    return Predictor.load(spec, "cpu").predict(volume).volume.array


def test_a_training_run_becomes_a_package_with_a_model_card(run: Path, trained: ModelSpec) -> None:
    folder = trained.weights.parent
    assert ModelSpec.load(folder / "model.toml") == trained
    assert trained.weights.stat().st_size < 100_000
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    assert "not for diagnostic use" in card
    assert "Labelled cases: cases (layout pairs), 34% held out" in card
    assert "40 steps of 2 samples; AdamW" in card
    assert "Mean Dice of the held-out cases" in card
    assert _predicted(trained).any()
    assert (run / "best.pt").exists()


def test_an_existing_model_card_is_kept(run: Path, tmp_path: Path) -> None:
    (tmp_path / "MODEL_CARD.md").write_text("What I know of it.", encoding="utf-8")
    from_run(run, tmp_path, _OPTIONS)
    assert (tmp_path / "MODEL_CARD.md").read_text("utf-8") == "What I know of it."


def test_the_package_command_creates_a_package_that_loads(run: Path, tmp_path: Path) -> None:
    arguments = ["package", str(run), str(tmp_path / "own"), "--id", "own", "--version", "2.0.0"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "own 2.0.0, 1 labels" in result.output
    Predictor.load(ModelSpec.load(tmp_path / "own" / "model.toml"), "cpu")


def test_a_folder_without_a_training_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="is not a training run"):
        from_run(tmp_path, tmp_path / "out", _OPTIONS)


def test_modified_weights_are_refused(trained: ModelSpec, tmp_path: Path) -> None:
    changed = tmp_path / "weights.safetensors"
    content = bytearray(trained.weights.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    with pytest.raises(InvalidPackage, match="are not those of the manifest"):
        Predictor.load(replace(trained, weights=changed), "cpu")


def test_a_site_with_a_modified_package_does_not_start(trained: ModelSpec, tmp_path: Path) -> None:
    package = tmp_path / "catalogue" / "mine"
    copytree(trained.weights.parent, package)
    (tmp_path / "site.toml").write_text('catalogues = ["catalogue"]\n', encoding="utf-8")
    assert CliRunner().invoke(app, ["check", "-c", str(tmp_path / "site.toml")]).exit_code == 0
    weights = package / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    result = CliRunner().invoke(app, ["check", "-c", str(tmp_path / "site.toml")])
    assert isinstance(result.exception, Misconfigured)
    assert "site.toml:1: catalogues: " in str(result.exception)
    assert "are not those of the manifest" in str(result.exception)


def test_a_package_of_a_later_format_is_refused(trained: ModelSpec, tmp_path: Path) -> None:
    text = (trained.weights.parent / "model.toml").read_text("utf-8")
    (tmp_path / "model.toml").write_text(text.replace('needs = "1"', 'needs = "2"'), "utf-8")
    with pytest.raises(InvalidPackage, match=r"needs package format 2.*install a newer segnode"):
        ModelSpec.load(tmp_path / "model.toml")


def _network(trained: ModelSpec) -> nn.Module:
    return Predictor.load(trained, "cpu").network


def _trace(network: nn.Module, path: Path) -> None:
    """Save the network as TorchScript."""
    traced = torch.jit.trace(  # type: ignore[no-untyped-call] # torch's own
        network, torch.zeros(1, 1, 8, 8, 8)
    )
    traced.save(path)


def test_a_torchscript_package_gives_the_same_masks(
    trained: ModelSpec, config: TrainConfig, tmp_path: Path
) -> None:
    program = tmp_path / "network.ts"
    _trace(_network(trained), program)
    spec = from_program(program, tmp_path / "ts", _OPTIONS, config, {"multiple": _MULTIPLE})
    assert spec.network.kind == "torchscript"
    assert (_predicted(spec) == _predicted(trained)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the exporter
def test_an_onnx_package_gives_the_same_masks(
    trained: ModelSpec, config: TrainConfig, tmp_path: Path
) -> None:
    program = tmp_path / "network.onnx"
    axes = {0: "batch", 2: "z", 3: "y", 4: "x"}
    torch.onnx.export(
        _network(trained),
        (torch.zeros(1, 1, 8, 8, 8),),
        program,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": axes, "scores": axes},
        dynamo=False,
    )
    spec = from_program(program, tmp_path / "onnx", _OPTIONS, config, {"multiple": _MULTIPLE})
    assert spec.network.kind == "onnx"
    assert np.mean(_predicted(spec) != _predicted(trained)) < 1e-4


class _OtherConventions(nn.Module):
    """The network with axes x, y, z, an input range of -1..1 and a sigmoid output."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The organ's score over the background's."""
        scores = self.inner(((image + 1) / 2).permute(0, 1, 4, 3, 2))
        over: torch.Tensor = scores[:, 1:] - scores[:, :1]
        return over.permute(0, 1, 4, 3, 2)


def test_a_network_with_other_axes_range_and_classes_gives_the_same_masks(
    trained: ModelSpec, config: TrainConfig, tmp_path: Path
) -> None:
    program = tmp_path / "network.pt"
    _trace(_OtherConventions(_network(trained)), program)
    parameters = {
        "axes": "xyz",
        "input_range": [-1.0, 1.0],
        "output": "sigmoid",
        "multiple": _MULTIPLE,
    }
    spec = from_program(program, tmp_path / "ts", _OPTIONS, config, parameters)
    assert np.mean(_predicted(spec) != _predicted(trained)) < 1e-4
    with pytest.raises(InvalidPackage, match='axes must be "zyx" or "xyz"'):
        from_program(program, tmp_path / "no", _OPTIONS, config, {"axes": "yxz"})


def test_a_file_that_is_neither_torchscript_nor_onnx_is_refused(
    config: TrainConfig, tmp_path: Path
) -> None:
    for name in ("network.pt", "network.onnx"):
        (tmp_path / name).write_bytes(b"neither")
        with pytest.raises(InvalidPackage, match="it is no"):
            from_program(tmp_path / name, tmp_path / "out", _OPTIONS, config, {})
    assert not (tmp_path / "out").exists()


_UNET = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 1,
    "norm": "INSTANCE",
}


def _bundle(folder: Path, trained: ModelSpec, **changes: Any) -> Path:  # JSON
    """Writes a MONAI bundle of the trained network, with axes x, y, z."""
    z, y, x = trained.spacing_mm
    low, high = trained.hu_window
    config = {
        "network_def": {"_target_": "UNet", **_UNET},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [x, y, z]},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": low,
                    "a_max": high,
                    "b_min": 0.0,
                    "b_max": 1.0,
                    "clip": True,
                },
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 16], "overlap": 0.5},
    } | changes
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    network = UNet(**_UNET)
    network.load_state_dict(_with_axes_xyz(_network(trained)))
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


def _with_axes_xyz(network: nn.Module) -> dict[str, torch.Tensor]:
    """Returns the weights for input with axes x, y, z."""
    return {
        name: value.permute(0, 1, 4, 3, 2).contiguous() if value.ndim == 5 else value
        for name, value in network.state_dict().items()
    }


def test_a_monai_bundle_gives_the_same_masks(trained: ModelSpec, tmp_path: Path) -> None:
    bundle = _bundle(tmp_path / "bundle", trained)
    spec = from_bundle(bundle, tmp_path / "package", trained.labels, _OPTIONS)
    assert (spec.spacing_mm, spec.hu_window) == (trained.spacing_mm, trained.hu_window)
    assert spec.patch == (16, 32, 32)
    same_window = replace(trained, patch=spec.patch, overlap=spec.overlap)
    assert np.mean(_predicted(spec) != _predicted(same_window)) < 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_def": {"_target_": "os.system", "command": "true"}}, "system is not run here"),
        ({"network_def": {"_target_": "UNet", "channels": "$import os"}}, "is an expression"),
        (
            {"preprocessing": {"transforms": [{"_target_": "NormalizeIntensityd"}]}},
            "NormalizeIntensity .* which the node does not do",
        ),
        (
            {"preprocessing": {"transforms": [{"_target_": "Orientationd", "axcodes": "LPS"}]}},
            "Orientation",
        ),
        ({"preprocessing": {"transforms": []}}, "must give its spacing"),
    ],
)
def test_a_bundle_with_unsupported_preprocessing_is_refused(
    trained: ModelSpec, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    bundle = _bundle(tmp_path / "bundle", trained, **changes)
    with pytest.raises(InvalidPackage, match=message):
        from_bundle(bundle, tmp_path / "package", trained.labels, _OPTIONS)
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("unet", {"channels": [4, 8]}, "network 'unet'"),
        ("perceptron", {}, "there is no network 'perceptron'; known: attention-unet"),
        ("swin-unetr", {"feature_size": 7}, "swin-unetr"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_by_name(
    kind: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidPackage, match=message):
        build(NetworkSpec(kind, parameters), classes=2)
