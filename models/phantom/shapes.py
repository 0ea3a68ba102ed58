"""Geometric shapes in patient coordinates (LPS, mm), evaluated at any number of points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Coordinates = NDArray[np.float32]
PointMask = NDArray[np.bool_]
Point = tuple[float, float, float]  # LPS, mm


@dataclass(frozen=True)
class Points:
    """Points to evaluate: LPS coordinates in mm, three arrays that broadcast to one shape."""

    x: Coordinates
    y: Coordinates
    z: Coordinates

    def bounding_box(self) -> tuple[Point, Point]:
        """Returns the lower and upper corner of the box around all points."""
        axes = (self.x, self.y, self.z)
        low = tuple(float(a.min()) for a in axes)
        high = tuple(float(a.max()) for a in axes)
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])


class Shape(Protocol):
    """A region of space."""

    @property
    def bounding_box(self) -> tuple[Point, Point]:
        """The lower and upper corner of a box around the shape."""
        ...

    def contains(self, at: Points) -> PointMask:
        """Returns whether each point lies in the shape."""
        ...


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid rotated by `tilt_degrees` about the front-back axis."""

    centre: Point
    half_axes: Point
    tilt_degrees: float = 0.0

    @property
    def bounding_box(self) -> tuple[Point, Point]:
        """The lower and upper corner of a box around the shape."""
        radius = max(self.half_axes) if self.tilt_degrees else 0.0
        half = [max(radius, h) for h in self.half_axes]
        return _around(self.centre, half)

    def contains(self, at: Points) -> PointMask:
        """Returns whether each point lies in the shape."""
        x, y, z = (
            axis - np.float32(c) for axis, c in zip((at.x, at.y, at.z), self.centre, strict=True)
        )
        if self.tilt_degrees:
            c, s = (np.float32(f(np.radians(self.tilt_degrees))) for f in (np.cos, np.sin))
            x, z = c * x + s * z, c * z - s * x
        a, b, d = (np.float32(1.0 / h) for h in self.half_axes)
        inside: PointMask = (x * a) ** 2 + (y * b) ** 2 + (z * d) ** 2 < 1
        return inside


@dataclass(frozen=True)
class Tube:
    """A capsule of `radius` mm around the line segment from `start` to `end`."""

    start: Point
    end: Point
    radius: float

    @property
    def bounding_box(self) -> tuple[Point, Point]:
        """The lower and upper corner of a box around the shape."""
        pairs = list(zip(self.start, self.end, strict=True))
        low = [min(p) - self.radius for p in pairs]
        high = [max(p) + self.radius for p in pairs]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def contains(self, at: Points) -> PointMask:
        """Returns whether each point lies in the shape."""
        x, y, z = (
            axis - np.float32(s) for axis, s in zip((at.x, at.y, at.z), self.start, strict=True)
        )
        ux, uy, uz = (np.float32(e - s) for s, e in zip(self.start, self.end, strict=True))
        along = np.clip((x * ux + y * uy + z * uz) / (ux**2 + uy**2 + uz**2), 0, 1)
        inside: PointMask = (
            (x - along * ux) ** 2 + (y - along * uy) ** 2 + (z - along * uz) ** 2
        ) < np.float32(self.radius**2)
        return inside


@dataclass(frozen=True)
class Column:
    """An infinite column along z whose cross-section is a superellipse.

    `exponent` 2 is an ellipse; larger exponents are squarer.
    """

    centre_xy: tuple[float, float]
    half_axes: tuple[float, float]
    exponent: float = 2.0

    @property
    def bounding_box(self) -> tuple[Point, Point]:
        """The lower and upper corner of a box around the shape."""
        (x, y), (a, b) = self.centre_xy, self.half_axes
        return (x - a, y - b, -np.inf), (x + a, y + b, np.inf)

    def contains(self, at: Points) -> PointMask:
        """Returns whether each point lies in the shape."""
        x = np.abs(at.x - np.float32(self.centre_xy[0])) * np.float32(1 / self.half_axes[0])
        y = np.abs(at.y - np.float32(self.centre_xy[1])) * np.float32(1 / self.half_axes[1])
        if self.exponent == 2.0:
            inside: PointMask = x * x + y * y < 1
        else:
            p = np.float32(self.exponent)
            inside = x**p + y**p < 1
        return inside

    def shrunk(self, by_mm: float) -> "Column":
        """Returns the column with half axes shorter by `by_mm`."""
        a, b = self.half_axes
        return Column(self.centre_xy, (a - by_mm, b - by_mm), self.exponent)


@dataclass(frozen=True)
class Displacement:
    """A smooth displacement of space, which makes organs differ from plain ellipsoids.

    `waves` holds for each axis sine waves of (amplitude mm, wave vector 1/mm, phase).
    """

    waves: tuple[tuple[tuple[float, Point, float], ...], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, amplitude_mm: float, waves: int = 2) -> "Displacement":
        """Draws a displacement with wavelengths of 70 to 160 mm."""
        axes = []
        for _ in range(3):
            sines = []
            for _ in range(waves):
                direction = rng.normal(size=3)
                vector = direction / np.linalg.norm(direction) * 2 * np.pi / rng.uniform(70, 160)
                amplitude = float(rng.uniform(0.5, 1.0)) * amplitude_mm / waves
                x, y, z = (float(v) for v in vector)
                sines.append((amplitude, (x, y, z), float(rng.uniform(0, 2 * np.pi))))
            axes.append(tuple(sines))
        return cls(tuple(axes))

    def displaced(self, at: Points) -> Points:
        """Returns the points, each displaced."""
        displaced = [
            axis + self._shift(at, sines)
            for axis, sines in zip((at.x, at.y, at.z), self.waves, strict=True)
        ]
        return Points(*displaced)

    @staticmethod
    def _shift(at: Points, sines: Sequence[tuple[float, Point, float]]) -> Coordinates:
        total = np.zeros_like(at.x)
        for amplitude, (u, v, w), phase in sines:
            total += np.float32(amplitude) * np.sin(
                np.float32(u) * at.x
                + np.float32(v) * at.y
                + np.float32(w) * at.z
                + np.float32(phase)
            )
        return total


def may_intersect(shape: Shape, box: tuple[Point, Point]) -> bool:
    """Returns whether the shape's bounding box intersects the box."""
    (low, high), (box_low, box_high) = shape.bounding_box, box
    return all(a <= d and c <= b for a, b, c, d in zip(low, high, box_low, box_high, strict=True))


def _around(centre: Point, half: Sequence[float]) -> tuple[Point, Point]:
    low = [c - h for c, h in zip(centre, half, strict=True)]
    high = [c + h for c, h in zip(centre, half, strict=True)]
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
