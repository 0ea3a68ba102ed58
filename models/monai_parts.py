"""The parts of MONAI that an inference process uses, imported without the rest of MONAI.

`import monai` imports each of its modules, and with them matplotlib, TensorBoard, parts of SciPy
and others, for functions that no model here uses. That takes two seconds of every start.
MONAI has no option against it. The unit test of this module reports when an upgrade changes it.
"""

import pkgutil
import sys
from importlib import import_module
from types import ModuleType

# MONAI imports without them, too, as where they are not installed.
_UNUSED_LIBRARIES = (
    "matplotlib",
    "nibabel",
    "requests",
    "scipy.signal",
    "scipy.sparse",
    "tensorboard",
    "tqdm",
)


def _import_monai() -> None:
    """Imports MONAI without its unused modules; they are imported when something asks for them."""
    if "monai" in sys.modules:
        return
    hidden = [name for name in _UNUSED_LIBRARIES if name not in sys.modules]
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None hides
    modules.update(dict.fromkeys(hidden))
    walk_packages = pkgutil.walk_packages
    pkgutil.walk_packages = lambda *_, **__: iter(())
    try:
        # MONAI's modules import each other in circles: this import has to be the first.
        import_module("monai.inferers")
        module = import_module("monai.utils.module")
    finally:
        pkgutil.walk_packages = walk_packages
        for name in hidden:
            del sys.modules[name]
    module.walk_packages = walk_packages  # type: ignore[attr-defined]  # it imported our stand-in


_import_monai()

import monai.networks.nets as networks  # noqa: E402 after the import above
from monai.inferers import sliding_window_inference  # noqa: E402 as above
from monai.networks.layers import AffineTransform  # noqa: E402 as above

__all__ = ["AffineTransform", "networks", "sliding_window_inference"]
