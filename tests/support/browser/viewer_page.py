"""OHIF in a browser: what a radiologist does there, and what is on the screen then."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

# A software-rendered viewer beside other work needs patience.
PATIENCE_MS = 180_000

# How far a pixel's hue may lie from the display colour, as 1 − cosine between the two colours
# without their grey part: the overlay is blended with grey and smoothed at its border.
_HUE_TOLERANCE = 0.05
# Colour a grey CT never has: the least difference between the strongest and weakest channel.
_LEAST_COLOUR = 24

_CORNERS = """([origin, right, down]) => {
    const viewport = window.cornerstone.getEnabledElements()[0].viewport;
    return [origin, right, down].map(point => [...viewport.worldToCanvas(point)]);
}"""
_PLACE = """() => {
    const canvas = window.cornerstone.getEnabledElements()[0].viewport.canvas;
    const place = canvas.getBoundingClientRect();
    return { x: place.x, y: place.y, width: place.width, height: place.height };
}"""
_CURRENT = "() => window.cornerstone.getEnabledElements()[0]?.viewport.getCurrentImageId() ?? ''"
# Whether the slice is shown; scrolls to it where not. Asked again and again, because OHIF may
# still be building the viewport and then begins at its first slice once more.
_SHOWN = """async uid => {
    const viewport = window.cornerstone.getEnabledElements()[0]?.viewport;
    if (!viewport) return false;
    if (viewport.getCurrentImageId()?.includes(uid)) return true;
    const index = viewport.getImageIds().findIndex(id => id.includes(uid));
    await window.cornerstone.utilities.jumpToSlice(viewport.element, { imageIndex: index });
    return false;
}"""
_ASK_AGAIN_MS = 500


@dataclass(frozen=True)
class ImagePlane:
    """Where a slice lies: position of its first pixel, and the steps of a column and a row, mm."""

    origin: NDArray[np.float64]
    column_step: NDArray[np.float64]
    row_step: NDArray[np.float64]


class ViewerPage:
    """The basic viewer with one study open."""

    def __init__(self, page: Page, site_url: str, study_instance_uid: str) -> None:
        self._page = page
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{site_url}/viewer?StudyInstanceUIDs={study_instance_uid}")
        page.locator(".cornerstone-canvas").first.wait_for()
        page.wait_for_function(f"({_CURRENT})() !== ''", timeout=PATIENCE_MS)
        page.get_by_text("Skip all").click()
        page.get_by_text("Confirm and hide").click()

    def open_segmentation(self, description: str) -> None:
        """Double-click the series of that description and answer Yes."""
        series = self._page.locator("[data-cy^=study-browser-thumbnail]")
        series.filter(has_text=description).dblclick()
        self._page.get_by_role("button", name="Yes", exact=True).click()
        expect(self._page.get_by_text("Do you want to open this Segmentation?")).to_be_hidden()

    def show(self, sop_instance_uid: str) -> None:
        """Scroll to the slice and return when it is displayed."""
        self._page.wait_for_function(
            _SHOWN, arg=f"/{sop_instance_uid}/", polling=_ASK_AGAIN_MS, timeout=PATIENCE_MS
        )

    def picture(self) -> NDArray[np.uint8]:
        """The viewport as it is on the screen: (y, x, RGB)."""
        # By place, not by element: OHIF replaces the viewport when it takes a segmentation in.
        self._page.wait_for_function(f"({_CURRENT})() !== ''", timeout=PATIENCE_MS)
        png = self._page.screenshot(clip=self._page.evaluate(_PLACE))
        with Image.open(io.BytesIO(png)) as image:
            return np.asarray(image.convert("RGB"))

    def on_screen(self, mask: NDArray[np.bool_], plane: ImagePlane) -> NDArray[np.bool_]:
        """The pixels of `picture()` that OHIF's own geometry gives to a mask (row, column)."""
        points: list[Any] = [plane.origin, plane.origin + plane.column_step]
        points.append(plane.origin + plane.row_step)
        origin, right, down = np.array(
            self._page.evaluate(_CORNERS, [list(point) for point in points])
        )
        height, width, _ = self.picture().shape
        y, x = np.mgrid[0:height, 0:width] + 0.5  # pixel centres
        steps = np.linalg.inv(np.stack([right - origin, down - origin], axis=1))
        column, row = np.rint(
            np.einsum("ij,jyx->iyx", steps, np.stack([x, y]) - origin[:, None, None])
        )
        rows, columns = mask.shape
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        shown: NDArray[np.bool_] = np.zeros((height, width), dtype=bool)
        shown[inside] = mask[row[inside].astype(int), column[inside].astype(int)]
        return shown


def coloured(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """The pixels whose hue is that of `colour`: (y, x)."""
    pixels = picture.astype(np.float64)
    chroma = pixels - pixels.min(axis=2, keepdims=True)
    wanted = np.array(colour, dtype=np.float64) - min(colour)
    length = np.linalg.norm(chroma, axis=2)
    cosine = (chroma @ wanted) / np.maximum(length * np.linalg.norm(wanted), 1e-9)
    found: NDArray[np.bool_] = (chroma.max(axis=2) >= _LEAST_COLOUR) & (cosine > 1 - _HUE_TOLERANCE)
    return found
