"""Lists the installed model packages, without importing torch."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from models.errors import ModelsError
from models.manifest import InvalidPackage, ModelSpec

_BUILT_IN = Path(__file__).parent / "catalogue"
_MANIFEST = "model.toml"
# Weights files that were those of their manifest: path, digest and state. A process checks them
# with each configuration that it reads, in the console with each change of a form.
_CHECKED: set[tuple[Path, str, tuple[int, ...]]] = set()


class UnknownModel(ModelsError):
    """No single installed package has this name; the message says which are installed."""


class InstalledPackages(Mapping[str, ModelSpec]):
    """Model packages by name: `model_id`, or `model_id@version` for one of several versions.

    A lookup by `model_id@version` always works. One by `model_id` works while a single version is
    installed: another package in a catalogue never changes which version a rule runs.

    Raises:
        InvalidPackage: two packages have the same name and version.
    """

    def __init__(self, specs: Iterable[ModelSpec]) -> None:
        self._by_reference: dict[str, ModelSpec] = {}
        for spec in specs:
            if spec.reference in self._by_reference:
                raise InvalidPackage(
                    f"{spec.weights.parent / _MANIFEST}: there is another package "
                    f"{spec.model_id!r} of version {spec.version}"
                )
            self._by_reference[spec.reference] = spec
        counts = Counter(spec.model_id for spec in self._by_reference.values())
        ordered = sorted(self._by_reference.values(), key=_order)
        self._by_name = {
            spec.model_id if counts[spec.model_id] == 1 else spec.reference: spec
            for spec in ordered
        }

    def __getitem__(self, name: str) -> ModelSpec:
        """Returns the package of a name or reference; raises KeyError if there is no single one."""
        found = self._by_name.get(name)
        return self._by_reference[name] if found is None else found

    def __iter__(self) -> Iterator[str]:
        """Yields the name of each package, and of several versions the oldest first."""
        return iter(self._by_name)

    def __len__(self) -> int:
        """Returns the number of packages."""
        return len(self._by_name)

    def versions_of(self, model_id: str) -> tuple[ModelSpec, ...]:
        """Returns the installed versions of a model, oldest first."""
        return tuple(spec for spec in self._by_name.values() if spec.model_id == model_id)

    def find(self, name: str) -> ModelSpec:
        """Returns the package of a name or reference.

        Raises:
            UnknownModel: it is not installed, or the name does not say which version is meant.
        """
        if name in self:
            return self[name]
        raise UnknownModel(self.why_unknown(name))

    def why_unknown(self, name: str) -> str:
        """Says why no single package has this name, and which are installed."""
        versions = ", ".join(spec.reference for spec in self.versions_of(name))
        if versions:
            return f"there are several versions of model {name!r}: name one of {versions}"
        return f"there is no model {name!r}; installed: {', '.join(sorted(self)) or 'none'}"

    def check_weights(self) -> None:
        """Checks the weights files of all packages; one that has not changed is read only once.

        Raises:
            InvalidPackage: a file is missing, or is not that of its manifest.
        """
        for spec in self.values():
            checked = spec.weights, spec.weights_sha256, _state_of(spec.weights)
            if checked not in _CHECKED:
                spec.read_weights()
                _CHECKED.add(checked)

    def name_of(self, name: str) -> str:
        """Returns the name under which the package is listed, the same for all its references."""
        spec = self[name]
        return spec.model_id if spec.model_id in self._by_name else spec.reference


def installed(catalogues: Sequence[Path] = ()) -> InstalledPackages:
    """Returns every installed package: the built-in catalogue, then the site's.

    Raises:
        InvalidPackage: a manifest cannot be read, or two packages have the same name and version.
    """
    return InstalledPackages(
        ModelSpec.load(manifest)
        for catalogue in (_BUILT_IN, *catalogues)
        for manifest in sorted(catalogue.glob(f"*/{_MANIFEST}"))
    )


def find(name: str, catalogues: Sequence[Path] = ()) -> ModelSpec:
    """Returns the package of a name, `model_id` or `model_id@version`.

    Raises:
        UnknownModel: it is not installed, or the name does not say which version is meant.
        InvalidPackage: a manifest cannot be read.
    """
    return installed(catalogues).find(name)


def _state_of(weights: Path) -> tuple[int, ...]:
    """Returns what differs once a file has been written or replaced; empty if it cannot be read."""
    try:
        found = weights.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _order(spec: ModelSpec) -> tuple[str, list[tuple[int, int | str]]]:
    """Sorts by name, then by version: 0.9.0 comes before 0.10.0."""
    parts = re.findall(r"\d+|[^\d.]+", spec.version)
    # Numbers after texts, so that 1.0.0rc1 and 1.0.0 compare at all.
    return spec.model_id, [(1, int(p)) if p.isdecimal() else (0, p) for p in parts]
