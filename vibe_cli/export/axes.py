"""Where x, y and z point in other programs; metres everywhere, the camera at the origin.

opencv   x right, y down, z into the image: the camera's own, right-handed
opengl   x right, y up, z towards the camera: glTF's and most motion files', right-handed
blender  x right, y into the image, z up; right-handed
unity    x right, y up, z into the image; left-handed
unreal   x into the image, y right, z up; left-handed (in metres: Unreal's own unit is the centimetre)
"""

from __future__ import annotations

import numpy as np

# name → rows that turn camera axes into it, and the same in words
_TURNS: dict[str, tuple[tuple[tuple[int, int, int], ...], str]] = {
    "opencv": (((1, 0, 0), (0, 1, 0), (0, 0, 1)), "x right, y down, z into the image"),
    "opengl": (((1, 0, 0), (0, -1, 0), (0, 0, -1)), "x right, y up, z towards the camera"),
    "blender": (((1, 0, 0), (0, 0, 1), (0, -1, 0)), "x right, y into the image, z up"),
    "unity": (((1, 0, 0), (0, -1, 0), (0, 0, 1)), "x right, y up, z into the image (left-handed)"),
    "unreal": (((0, 0, 1), (1, 0, 0), (0, -1, 0)), "x into the image, y right, z up (left-handed)"),
}


def from_camera(name: str) -> np.ndarray:
    """(3, 3) that turns a point in camera axes into axes of that name; its determinant is −1 for left-handed ones."""
    return np.array(_TURNS[name][0], float)


def from_rest(name: str) -> np.ndarray:
    """(3, 3) that turns a body's rest pose, y up and facing +z, into axes of that name: upright, facing the camera."""
    return from_camera(name) @ from_camera("opengl")


def where(name: str) -> str:
    """Where the axes point, in words."""
    return _TURNS[name][1]


def in_words(name: str) -> str:
    """Where the axes point, the unit, and the origin."""
    return f"{where(name)}; metres; origin at the camera"
