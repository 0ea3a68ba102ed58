"""Lists the installed model packages, without importing torch."""

from collections.abc import Sequence
from pathlib import Path

from models.errors import ModelsError
from models.manifest import InvalidPackage, ModelSpec

_BUILT_IN = Path(__file__).parent / "catalogue"
_MANIFEST = "model.toml"


class UnknownModel(ModelsError):
    """No installed package has this name; the message says which are installed."""


def installed(catalogues: Sequence[Path] = ()) -> dict[str, ModelSpec]:
    """Returns every installed package by model_id: the built-in catalogue, then the site's.

    Raises:
        InvalidPackage: a manifest cannot be read, or two packages have the same name.
    """
    packages: dict[str, ModelSpec] = {}
    for catalogue in (_BUILT_IN, *catalogues):
        for manifest in sorted(catalogue.glob(f"*/{_MANIFEST}")):
            spec = ModelSpec.load(manifest)
            if spec.model_id in packages:
                raise InvalidPackage(f"{manifest}: there is another package {spec.model_id!r}")
            packages[spec.model_id] = spec
    return packages


def find(model_id: str, catalogues: Sequence[Path] = ()) -> ModelSpec:
    """Returns the package with this model_id.

    Raises:
        UnknownModel: it is not installed.
        InvalidPackage: a manifest cannot be read.
    """
    packages = installed(catalogues)
    if model_id not in packages:
        known = ", ".join(sorted(packages)) or "none"
        raise UnknownModel(f"there is no model {model_id!r}; installed: {known}")
    return packages[model_id]
