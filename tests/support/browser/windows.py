"""The windows and colour schemes in which the pages of the console are checked."""

import os
from itertools import product
from typing import Literal

from playwright.sync_api import ViewportSize

Scheme = Literal["light", "dark"]
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
_SCHEMES: tuple[Scheme, ...] = ("light", "dark")
# Colours depend on the scheme alone, and the layout on the window alone.
_EACH_ONCE: list[tuple[ViewportSize, Scheme]] = [(DESKTOP, "light"), (PHONE, "dark")]
_ALL = list(product((DESKTOP, PHONE), _SCHEMES))


def windows_and_schemes() -> list[tuple[ViewportSize, Scheme]]:
    """Returns each window and each scheme once; `make soak` wants all their combinations."""
    return _ALL if "SEGNODE_ALL_WINDOWS" in os.environ else _EACH_ONCE
