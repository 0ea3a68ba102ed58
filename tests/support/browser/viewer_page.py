"""OHIF in a browser: the actions of a radiologist and the pixels on the screen."""

import io
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

# Software rendering is slow while other tests run.
TIMEOUT_MS = 180_000
# A screenshot takes processor time from the picture that a test waits for.
PICTURE_POLL_S = 0.5

# Tolerance between a pixel's hue and the display colour: 1 − cosine between the two colours
# without their grey part. The overlay is blended with grey and smoothed at its border.
_HUE_TOLERANCE = 0.05
# The minimum difference between the strongest and the weakest channel, which a grey CT never has.
_MIN_CHROMA = 24

_CORNERS = """([origin, right, down]) => {
    const viewport = window.cornerstone.getEnabledElements()[0].viewport;
    return [origin, right, down].map(point => [...viewport.worldToCanvas(point)]);
}"""
_CANVAS_RECT = """() => {
    const canvas = window.cornerstone.getEnabledElements()[0].viewport.canvas;
    const rect = canvas.getBoundingClientRect();
    return { x: rect.x, y: rect.y, width: rect.width, height: rect.height };
}"""
# The canvas positions of the centres of pixel (0, 0) and of its neighbours to the right and below.
_PIXEL_CORNERS = """() => {
    const viewport = window.cornerstone.getEnabledElements()[0].viewport;
    const image = viewport.getImageData().imageData;
    return [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
        .map(index => [...viewport.worldToCanvas(image.indexToWorld(index))]);
}"""
_CURRENT = "() => window.cornerstone.getEnabledElements()[0]?.viewport.getCurrentImageId() ?? ''"
# Whether the slice is shown; scrolls to it if not. Polled, because OHIF may still be building the
# viewport and then returns to its first slice.
_SHOWN = """async uid => {
    const viewport = window.cornerstone.getEnabledElements()[0]?.viewport;
    if (!viewport) return false;
    if (viewport.getCurrentImageId()?.includes(uid)) return true;
    const index = viewport.getImageIds().findIndex(id => id.includes(uid));
    await window.cornerstone.utilities.jumpToSlice(viewport.element, { imageIndex: index });
    return false;
}"""
_SHOWN_IN = """number =>
    window.cornerstone.getEnabledElements()[number]?.viewport.getCurrentImageId() ?? ''"""
_POLL_MS = 500
_CONTROLS_PX = 90
_Pixel = TypeVar("_Pixel", bound=np.generic)


@dataclass(frozen=True)
class ImagePlane:
    """The plane of a slice: position of its first pixel, column step and row step; LPS, mm."""

    origin: NDArray[np.float64]
    column_step: NDArray[np.float64]
    row_step: NDArray[np.float64]


class ViewerPage:
    """The basic viewer with one study open."""

    def __init__(self, page: Page, site_url: str, study_instance_uid: str) -> None:
        self.page = page
        self._site_url = site_url
        page.set_default_timeout(TIMEOUT_MS)
        self.open_study(study_instance_uid)
        # Only on the first visit.
        page.get_by_text("Skip all").click()
        page.get_by_text("Confirm and hide").click()

    def open_study(self, study_instance_uid: str) -> None:
        """Opens a study instead of the present one; the browser has the program already."""
        self.page.goto(f"{self._site_url}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self._wait_for_image()

    @classmethod
    def opened(cls, page: Page) -> Self:
        """Returns the viewer that a link has opened, when it shows an image."""
        viewer = cls.__new__(cls)
        viewer.page = page
        viewer._wait_for_image()
        return viewer

    def _wait_for_image(self) -> None:
        self.page.locator(".cornerstone-canvas").first.wait_for()
        self.page.wait_for_function(f"({_CURRENT})() !== ''", timeout=TIMEOUT_MS)

    def open_series(self, description: str) -> None:
        """Double-clicks the series with that description: it takes the active viewport."""
        series = self.page.locator("[data-cy^=study-browser-thumbnail]")
        series.filter(has_text=description).dblclick()

    def add_viewport(self) -> None:
        """Shows two viewports, of which the second is the active one."""
        self.page.locator("[data-cy=Layout]").click()
        self.page.locator("[data-cy=Layout-0-1]").click()
        panes = self.page.locator("[data-cy=viewport-pane]")
        expect(panes).to_have_count(2)
        panes.nth(1).click()

    def link_slices(self) -> None:
        """Turns on that all viewports show the slice nearest to that of the others."""
        self.page.locator("[data-cy=MoreTools-split-button-secondary]").click()
        self.page.locator("[data-cy=ImageSliceSync]").first.click()

    def shown_in(self, number: int) -> str:
        """Returns the address of the image in viewport `number`, from 0; empty if there is none."""
        return str(self.page.evaluate(_SHOWN_IN, number))

    def texts(self) -> str:
        """Returns the texts in the viewports."""
        return self.page.locator("[data-cy=viewport-grid]").inner_text()

    def open_segmentation(self, description: str) -> None:
        """Opens the series with that description and answers Yes."""
        self.open_series(description)
        self.page.get_by_role("button", name="Yes", exact=True).click()
        expect(self.page.get_by_text("Do you want to open this Segmentation?")).to_be_hidden()

    def show(self, sop_instance_uid: str) -> None:
        """Scrolls to the slice and returns when it is displayed."""
        self.page.wait_for_function(
            _SHOWN, arg=f"/{sop_instance_uid}/", polling=_POLL_MS, timeout=TIMEOUT_MS
        )

    def picture(self) -> NDArray[np.uint8]:
        """Returns the viewport as it is on the screen: (y, x, RGB)."""
        # By coordinates, not by element: OHIF replaces the viewport when it loads a segmentation.
        self.page.wait_for_function(f"({_CURRENT})() !== ''", timeout=TIMEOUT_MS)
        png = self.page.screenshot(clip=self.page.evaluate(_CANVAS_RECT))
        with Image.open(io.BytesIO(png)) as image:
            return np.asarray(image.convert("RGB"))

    def on_screen(self, mask: NDArray[np.bool_], plane: ImagePlane) -> NDArray[np.bool_]:
        """Returns the pixels of `picture()` at which OHIF's geometry shows a mask (row, column)."""
        points: list[Any] = [plane.origin, plane.origin + plane.column_step]
        points.append(plane.origin + plane.row_step)
        corners = self.page.evaluate(_CORNERS, [list(point) for point in points])
        shown, inside = _sampled(mask, corners, self.picture().shape)
        return shown & inside

    def agreement(self, pixels: NDArray[np.uint8]) -> float:
        """Returns the correlation of `picture()` with the image's pixels (row, column, RGB).

        The strips at the top and bottom, where OHIF's own texts and controls are, do not count.
        """
        picture = self.picture()
        shown, inside = _sampled(pixels, self.page.evaluate(_PIXEL_CORNERS), picture.shape)
        inside[:_CONTROLS_PX] = inside[-_CONTROLS_PX:] = False
        return float(np.corrcoef(shown[inside].ravel(), picture[inside].ravel())[0, 1])


def _sampled(
    image: NDArray[_Pixel], corners: list[list[float]], picture_shape: tuple[int, ...]
) -> tuple[NDArray[_Pixel], NDArray[np.bool_]]:
    """Returns the nearest pixel of `image` at each (y, x) of a picture, and where it has one.

    `corners` are the positions of its first pixel and of that one's right and lower neighbours.
    """
    origin, right, down = np.array(corners)
    height, width = picture_shape[:2]
    y, x = np.mgrid[0:height, 0:width] + 0.5  # pixel centres
    steps = np.linalg.inv(np.stack([right - origin, down - origin], axis=1))
    column, row = np.rint(
        np.einsum("ij,jyx->iyx", steps, np.stack([x, y]) - origin[:, None, None])
    ).astype(int)
    rows, columns = image.shape[:2]
    inside: NDArray[np.bool_] = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return image[row.clip(0, rows - 1), column.clip(0, columns - 1)], inside


def coloured(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Returns the pixels that have the hue of `colour`: (y, x)."""
    pixels = picture.astype(np.float64)
    chroma = pixels - pixels.min(axis=2, keepdims=True)
    wanted = np.array(colour, dtype=np.float64) - min(colour)
    length = np.linalg.norm(chroma, axis=2)
    cosine = (chroma @ wanted) / np.maximum(length * np.linalg.norm(wanted), 1e-9)
    found: NDArray[np.bool_] = (chroma.max(axis=2) >= _MIN_CHROMA) & (cosine > 1 - _HUE_TOLERANCE)
    return found
