"""An evaluation to be read: a page in HTML that needs nothing else, and a picture of a case."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from models.data import LabelledVolume
from models.evaluation.evaluate import METRICS, CaseScores, Evaluation
from models.mask import Mask

_WINDOW_HU = (-160.0, 240.0)
_TRUTH_RGB, _FOUND_RGB = (80, 220, 120), (255, 110, 80)
_SLICES = 6
_WIDTH = 256
_WORST = 12
_TITLES = {
    "dice": "Dice",
    "surface_dice": "Surface Dice",
    "hd95_mm": "HD95, mm",
    "volume_error": "Volume error",
    "accuracy": "Voxel accuracy",
}


def html_report(evaluation: Evaluation, worst: int = _WORST) -> str:
    """The page, with the pictures of the `worst` cases, the worst first."""
    environment = Environment(
        loader=PackageLoader("models.evaluation"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["told"] = told
    ranked = sorted(evaluation.cases, key=lambda case: case.dice)
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        summary=evaluation.summary(),
        cases=ranked,
        pictures=[(c, _inline(c)) for c in ranked[:worst] if c.picture_png],
        titles=_TITLES,
        metrics=METRICS,
    )


def told(value: float | None, metric: str) -> str:
    """A figure as people read it; what was not measured says so."""
    if value is None:
        return "not measured"
    match metric:
        case "hd95_mm":
            return f"{value:.1f}"
        case "volume_error":
            return f"{value:+.1%}"
        case "accuracy":
            return f"{value:.4f}"
        case _:
            return f"{value:.3f}"


def picture(case: LabelledVolume, found: Mask) -> bytes:
    """Slices through the organs in PNG: the truth's edge green, the mask's orange."""
    truth = case.truth.volume.array
    low, high = _WINDOW_HU
    tiles = []
    for k in _slices((truth > 0) | (found.volume.array > 0)):
        grey = (case.volume.array[k].astype(np.float32).clip(low, high) - low) / (high - low)
        tile = np.repeat((grey * 255)[..., None], 3, axis=2).astype(np.uint8)
        tile = np.asarray(_fitted(tile, Image.Resampling.BILINEAR)).copy()
        for labels, colour in ((truth[k], _TRUTH_RGB), (found.volume.array[k], _FOUND_RGB)):
            shown = np.asarray(_fitted(labels, Image.Resampling.NEAREST))
            tile[_edges(shown)] = colour
        tiles.append(tile)
    stream = io.BytesIO()
    Image.fromarray(np.concatenate(tiles, axis=1)).save(stream, "PNG")
    return stream.getvalue()


def _slices(inside: NDArray[np.bool_]) -> Sequence[int]:
    """Evenly spread through where something is; through everything where nothing is."""
    where = np.flatnonzero(inside.any(axis=(1, 2)))
    first, last = (where[0], where[-1]) if len(where) else (0, len(inside) - 1)
    spread = np.linspace(first, last, _SLICES + 2)[1:-1]
    return [int(k) for k in np.rint(spread)]


def _fitted(array: NDArray[np.uint8], how: Image.Resampling) -> Image.Image:
    rows, columns = array.shape[:2]
    height = max(1, round(_WIDTH * rows / columns))
    return Image.fromarray(array).resize((_WIDTH, height), how)


def _edges(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The outermost pixels of each label."""
    lowest, highest = ndimage.minimum_filter(labels, 3), ndimage.maximum_filter(labels, 3)
    edges: NDArray[np.bool_] = (labels > 0) & (lowest != highest)
    return edges


def _inline(case: CaseScores) -> str:
    return "data:image/png;base64," + base64.b64encode(case.picture_png).decode("ascii")
