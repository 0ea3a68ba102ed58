"""A montage of slices with outlined organs, and a preview image with volumes; no patient data.

Radiological convention: the patient's right is on the left of the image, the head is at the top.
"""

from collections.abc import Mapping
from io import BytesIO

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.manifest import Label
from models.mask import Mask
from models.measurement import Measurement
from models.slice_images import (
    DISPLAY_ORIENTATION,
    grey_plane,
    outline,
    pad_to_square,
    resize_mask,
    tint,
)
from node.dicom.results.pages.captions import Caption, caption_strip
from node.dicom.results.pages.fonts import font
from node.dicom.results.pages.organ_texts import volume_text

_AXIAL_TILES = 6
_COLUMNS = 4
_TILE_PX = 256
_GAP_PX = 4
_CAPTION_PX = 18
_FILL_OPACITY = 0.25
_TEXT_RGB = (230, 230, 230)


def overlay_png(volume: hd.Volume, mask: Mask, measurements: Mapping[str, Measurement]) -> bytes:
    """Returns a PNG of the montage with the volumes in mL below it.

    `volume` in HU and `mask` lie on one grid, of any orientation. `measurements` are by label name.
    """
    tiles = montage(volume, mask)
    captions = caption_strip(_captions(mask, measurements), tiles.width, _CAPTION_PX)
    sheet = Image.new("RGB", (tiles.width, tiles.height + captions.height))
    sheet.paste(tiles)
    sheet.paste(captions, (0, tiles.height))
    stream = BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()


def montage(volume: hd.Volume, mask: Mask) -> Image.Image:
    """Returns axial slices, a coronal and a sagittal slice with the organs outlined.

    `volume` in HU and `mask` lie on one grid, of any orientation.
    """
    shown = volume.to_patient_orientation(DISPLAY_ORIENTATION)
    labels = mask.volume.to_patient_orientation(DISPLAY_ORIENTATION).array
    counts = _labelled_by_axis(labels)
    is_empty = not counts[0].any()
    j, i = (
        length // 2 if is_empty else int(np.average(np.arange(length), weights=count))
        for length, count in zip(labels.shape[1:], counts[1:], strict=True)
    )
    low, high = (0, len(labels) - 1) if is_empty else np.flatnonzero(counts[0])[[0, -1]]
    # Evenly spaced over the organs' height without their extreme ends; from the head down.
    axial = np.rint(np.linspace(high, low, _AXIAL_TILES + 2)[1:-1]).astype(int)
    across, down, along = shown.spacing[2], shown.spacing[1], shown.spacing[0]
    tiles = [
        _tile(shown.array[k], labels[k], (down, across), mask.labels, left_side="R") for k in axial
    ]
    coronal = shown.array[::-1, j], labels[::-1, j]
    sagittal = shown.array[::-1, :, i], labels[::-1, :, i]
    tiles.append(_tile(*coronal, (along, across), mask.labels, "R"))
    tiles.append(_tile(*sagittal, (along, down), mask.labels, "A"))
    return _sheet(tiles)


def _labelled_by_axis(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
    """Returns how many voxels of each slice, row and column have a label.

    It counts slice by slice: a list of all these voxels would be larger than the volume.
    """
    slices, rows, columns = (np.zeros(length, dtype=np.int64) for length in labels.shape)
    for k, plane in enumerate(labels):
        inside = plane > 0
        slices[k] = np.count_nonzero(inside)
        if slices[k]:
            rows += np.count_nonzero(inside, axis=1)
            columns += np.count_nonzero(inside, axis=0)
    return slices, rows, columns


def _tile(
    hu: NDArray[np.generic],
    labels: NDArray[np.integer],
    spacing_mm: tuple[float, float],
    organs: tuple[Label, ...],
    left_side: str,
) -> Image.Image:
    """Draws one plane (row, column) in its true proportions, centred in a square tile."""
    colours = grey_plane(hu, spacing_mm, _TILE_PX)
    for label in organs:
        inside = resize_mask(labels == label.index, colours)
        tint(colours, inside, label.display_rgb, _FILL_OPACITY)
        outline(colours, inside, label.display_rgb)
    tile = pad_to_square(colours, _TILE_PX)
    ImageDraw.Draw(tile).text((4, _TILE_PX // 2 - 8), left_side, fill=_TEXT_RGB, font=font(14))
    return tile


def _captions(mask: Mask, measurements: Mapping[str, Measurement]) -> list[Caption]:
    """Returns each organ and its volume, then the warning."""
    organs = [
        Caption(f"{label.name} {volume_text(measurements[label.name])}", label.display_rgb)
        for label in mask.labels
    ]
    return [*organs, Caption("Not for diagnostic use")]


def _sheet(tiles: list[Image.Image]) -> Image.Image:
    rows = -(-len(tiles) // _COLUMNS)
    step = _TILE_PX + _GAP_PX
    sheet = Image.new("RGB", (_COLUMNS * step - _GAP_PX, rows * step - _GAP_PX))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % _COLUMNS * step, number // _COLUMNS * step))
    return sheet
