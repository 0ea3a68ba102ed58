"""Outlines follow pixel edges: filling them gives back the pixels, also of odd shapes."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray

from node.dicom.results.contours.outlines import outline, regions_of
from tests.support.dicom.rasterised import filled

SHAPES = {
    "one pixel": "#",
    "rectangle": "###/###",
    "pixels that touch at a corner": "#./.#",
    "four such pixels": "#.#/.../#.#",
    "ring": "###/#.#/###",
    "ring that a corner of its hole opens": "###/#.#/##.",
    "two holes": "#####/#.#.#/#####",
    "two holes, one below the other": "###/#.#/###/#.#/###",
    "holes side by side with the same row": "#######/#.##..#/#######",
    "hole that turns": "#####/#...#/#.###/#####",
    "island in a hole": "#####/#...#/#.#.#/#...#/#####",
    "islands in holes in islands": (
        "#########/#.......#/#.#####.#/#.#...#.#/#.#.#.#.#/#.#...#.#/#.#####.#/#.......#/#########"
    ),
    "holes that touch at a corner": "####/#.##/##.#/####",
    "comb": "#.#.#.#/#######/#.#.#.#",
    "border of the image": "##.##/#...#/..#../#...#/##.##",
}


def pixels(text: str) -> NDArray[np.bool_]:
    return np.array([[character == "#" for character in row] for row in text.split("/")])


def by_matplotlib(corners: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    closed = np.concatenate([corners, corners[:1]])
    return np.asarray(Polygon(closed).contains_points(centres)).reshape(shape)


@pytest.mark.parametrize("name", SHAPES)
def test_filling_the_outlines_gives_the_pixels(name: str) -> None:
    inside = pixels(SHAPES[name])
    outlines = [outline(region) for region in regions_of(inside)]
    for fill in (filled, by_matplotlib):
        parts = [fill(corners.astype(float), inside.shape) for corners in outlines]
        np.testing.assert_array_equal(np.sum(parts, axis=0), inside)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("ring", 1),
        ("pixels that touch at a corner", 2),
        ("island in a hole", 2),
        ("islands in holes in islands", 3),
        ("two holes", 1),
    ],
)
def test_each_connected_region_is_one_outline(name: str, count: int) -> None:
    assert len(list(regions_of(pixels(SHAPES[name])))) == count


def test_an_outline_has_corners_only() -> None:
    (region,) = regions_of(pixels("####/####/####"))
    assert sorted(outline(region).tolist()) == [[0, 0], [0, 3], [4, 0], [4, 3]]


def test_a_hole_is_connected_by_a_channel_that_is_walked_twice() -> None:
    (region,) = regions_of(pixels("####/##.#/####"))
    corners = outline(region).tolist()
    start = corners.index([0, 1])  # on the outer edge, left of the hole
    # The way back continues the upper edge of the hole, so there is no turn at the hole's corner.
    channel_and_hole = [[0, 1], [2, 1], [2, 2], [3, 2], [3, 1], [0, 1]]
    assert corners[start : start + 6] in (channel_and_hole, channel_and_hole[::-1])
    assert len(corners) == 4 + 6


def test_an_outline_lies_where_its_region_is_in_the_slice() -> None:
    inside = np.zeros((9, 12), dtype=bool)
    inside[4:6, 7:10] = True
    (region,) = regions_of(inside)
    assert outline(region).min(axis=0).tolist() == [7, 4]
    assert outline(region).max(axis=0).tolist() == [10, 6]


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (1, 2), (5, 5)])
def test_halves_cover_a_region_without_overlap(shape: tuple[int, int]) -> None:
    inside = np.zeros((12, 12), dtype=bool)
    inside[3 : 3 + shape[0], 2 : 2 + shape[1]] = True
    (region,) = regions_of(inside)
    halves = [filled(outline(half).astype(float), inside.shape) for half in region.halves()]
    assert len(halves) == 2
    np.testing.assert_array_equal(np.sum(halves, axis=0), inside)
