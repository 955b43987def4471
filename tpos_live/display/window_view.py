"""How a window shows the frame: crop, mirror, rotation, corner pin, soft edges."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from tpos_live.core.output_view import OutputView
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.parameters import CORNERS, WALLS

SIDES = ("left", "top", "right", "bottom")
TURNED = {"off": 0, "right": 90, "half": 180, "left": 270}
_UNIT = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
"""The corners of a square, in the order of CORNERS."""
_SMALLEST = 0.01
"""Smallest share of an image that a crop leaves."""
PLAIN = OutputView()


@lru_cache(maxsize=2)
def window_view(snapshot: Snapshot) -> OutputView:
    """The view of the output window, from the parameters `out.window.*`."""
    cut = [float(snapshot[f"out.window.crop.{side}"]) for side in SIDES]
    left, right = _kept(cut[0], cut[2])
    top, bottom = _kept(cut[1], cut[3])
    turned = TURNED[snapshot["out.window.rotate"]]
    view = OutputView((left, top, right, bottom), snapshot["out.window.mirror"], turned)
    return _adjusted(view, snapshot, "out.window")


@lru_cache(maxsize=32)
def wall_view(view: OutputView, snapshot: Snapshot, number: int) -> OutputView:
    """The view of a screen: that of its output's name, adjusted by `out.wall.NUMBER.*`, which end at WALLS."""
    return _adjusted(view, snapshot, f"out.wall.{number}") if number <= WALLS else view


def _adjusted(view: OutputView, snapshot: Snapshot, name: str) -> OutputView:
    """`view` with the parameters under `name`: offsets of corners are added, gammas multiplied; of edges and of black
    levels the larger one is used."""
    return replace(
        view,
        gamma=view.gamma * float(snapshot[f"{name}.gamma"]),
        black=max(view.black, float(snapshot[f"{name}.black"])),
        corners=tuple(
            (x + float(snapshot[f"{name}.corner.{corner}.x"]), y + float(snapshot[f"{name}.corner.{corner}.y"]))
            for corner, (x, y) in zip(CORNERS, view.corners, strict=True)
        ),
        edges=tuple(
            max(edge, float(snapshot[f"{name}.edge.{side}"])) for side, edge in zip(SIDES, view.edges, strict=True)
        ),
    )


def place(view: OutputView, window: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
    """float [3, 3]: homography from a point of the window (0 to 1, to the right and down) to a point of the shown
    image, after mirror and rotation. The third coordinate is positive where the image can be.

    The image keeps its aspect and is as large as fits; then its corners are moved. Corners on one line, or crossed,
    are not moved.
    """
    width, height = view.size(frame)
    scale = min(window[0] / width, window[1] / height)
    extent = np.array([width, height]) * scale / np.array(window)
    rectangle = (1 - extent) / 2 + _UNIT * extent
    moved = rectangle + np.array(view.corners)
    return _homography(moved if _is_convex(moved) else rectangle)


def turn(view: OutputView) -> np.ndarray:
    """float [3, 3]: from a point of the shown image (0 to 1) to a point of the crop before mirror and rotation."""
    x, y = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    one = np.array([0.0, 0.0, 1.0])
    for _ in range(view.rotate // 90):
        x, y = y, one - x
    if view.mirror in ("horizontal", "both"):
        x = one - x
    if view.mirror in ("vertical", "both"):
        y = one - y
    return np.array([x, y, one])


def _kept(first: float, last: float) -> tuple[float, float]:
    """Begin and end of the rest, if these shares are cut off at both ends; at least _SMALLEST wide."""
    begin = min(first, 1 - _SMALLEST)
    return begin, max(1 - last, begin + _SMALLEST)


def _is_convex(corners: np.ndarray) -> bool:
    sides = np.roll(corners, -1, 0) - corners
    after = np.roll(sides, -1, 0)
    return bool((sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0] > 1e-4).all())


def _homography(corners: np.ndarray) -> np.ndarray:
    """float [3, 3]: from these four points to the corners of a square (direct linear transform; Hartley and Zisserman,
    Multiple View Geometry, 4.1). Solved from the square to the points, and inverted: the method sets the last element
    to 1, but from the points it is 0 where the window's top left lies on the horizon of a strongly tilted image."""
    rows = []
    for (x, y), (u, v) in zip(corners, _UNIT, strict=True):
        rows.append([u, v, 1, 0, 0, 0, -x * u, -x * v])
        rows.append([0, 0, 0, u, v, 1, -y * u, -y * v])
    matrix = np.linalg.inv(np.append(np.linalg.solve(np.array(rows), corners.ravel()), 1.0).reshape(3, 3))
    middle = matrix[2] @ np.append(corners.mean(0), 1.0)
    return np.asarray(matrix * np.sign(middle))
