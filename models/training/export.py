"""Put trained weights into a package: half precision, and their digest into its manifest.

    python -m models.training.export --weights runs/liver-ct/average.pt \
        --package models/catalogue/liver-ct
"""

import argparse
import hashlib
import re
from pathlib import Path

import torch
from safetensors.torch import save

from models.networks import build
from models.spec import InvalidPackage, ModelSpec

_DIGEST = re.compile(r'^sha256 = "[0-9a-f]*"$', re.MULTILINE)


def export(weights: Path, package: Path) -> ModelSpec:
    """Write the weights of `weights` (a state dict) as float16 and their sha256 into `model.toml`.

    Raises:
        InvalidPackage: the manifest cannot be read, has no line `sha256 = "..."`, or names a
            network that these weights do not fit.
    """
    manifest = package / "model.toml"
    spec = ModelSpec.load(manifest)
    trained = torch.load(weights, map_location="cpu", weights_only=True)
    try:
        build(spec.network, classes=len(spec.labels) + 1).load_state_dict(trained)
    except RuntimeError as error:
        raise InvalidPackage(f"{weights}: does not fit the network: {error}") from error
    content: bytes = save({name: value.half().contiguous() for name, value in trained.items()})
    line = f'sha256 = "{hashlib.sha256(content).hexdigest()}"'
    text, changed = _DIGEST.subn(line, manifest.read_text(encoding="utf-8"))
    if changed != 1:
        raise InvalidPackage(f'{manifest}: there must be one line sha256 = "..."')
    spec.weights.write_bytes(content)
    manifest.write_text(text, encoding="utf-8")
    return ModelSpec.load(manifest)


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description="Put trained weights into a package.")
    parser.add_argument("--weights", type=Path, required=True, help="average.pt of a training run")
    parser.add_argument("--package", type=Path, required=True, help="folder with model.toml")
    options = parser.parse_args()
    export(options.weights, options.package)


if __name__ == "__main__":
    main()
