"""Imports libraries quickly: without the optional ones that the node does not use.

The module imports the standard library alone.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

# structlog would use it for coloured tracebacks; those of the node are plain.
_UNUSED_BY_STRUCTLOG = ("rich",)
# pydicom would use them to download test files.
_UNUSED_BY_PYDICOM = ("requests", "tqdm")


def import_structlog() -> None:
    """Imports structlog without rich, which takes as long as structlog itself."""
    with _hidden(_UNUSED_BY_STRUCTLOG):
        import_module("structlog")


def import_pydicom() -> None:
    """Imports pydicom without requests and what that imports."""
    with _hidden(_UNUSED_BY_PYDICOM):
        import_module("pydicom")


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Imports in this context create objects that stay, and that no collection searches.

    To search them again and again for garbage takes up to a quarter of the time of imports.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Makes libraries appear not installed; afterwards, each can be imported as ever."""
    hidden = [name for name in names if name not in sys.modules]
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None hides
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
