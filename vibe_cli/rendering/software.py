"""OpenCV's software rasteriser: always there, no display, no driver."""

from __future__ import annotations

import cv2
import numpy as np

from vibe_cli.errors import VibeError
from vibe_cli.rendering.place import VEIL, Placed

SAMPLES = 2  # a side: drawn at twice the size and averaged
NEAREST = 1.0  # distances between which a region's depths lie
FARTHEST = 2.0
FIELD_OF_VIEW = 1.0  # radians, vertical; any would do, see `_perspective`


class SoftwareRasteriser:
    """Draws with cv2.triangleRasterize (OpenCV 5 or newer)."""

    name = "software"

    def __init__(self) -> None:
        if not hasattr(cv2, "triangleRasterize"):
            raise VibeError(
                f"OpenCV {cv2.__version__} has no software rasteriser",
                hint="upgrade with: pip install -U 'opencv-python>=5'",
            )
        self.device = f"OpenCV {cv2.__version__}"
        self._settings = cv2.TriangleRasterizeSettings()
        self._settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
        self._settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)

    def draw(self, placed: Placed, width: int, height: int, line: float = 0) -> tuple[np.ndarray, np.ndarray]:
        """Triangles → colour (height, width, 3) times cover, and cover (height, width), both uint8.

        `line` > 0 draws the edges alone, that many pixels wide.
        """
        size = (height * SAMPLES, width * SAMPLES)
        points = _perspective(placed.points, width, height)
        colours, depth = self._rasterise(points, placed.faces, placed.colours, size)
        cover = np.multiply(depth < FARTHEST * 2, 255, dtype=np.uint8)
        if line:
            scale = np.float32(max(width, height))
            across, _ = self._rasterise(points, placed.faces, placed.edges / scale, size)
            nearest = np.minimum(np.minimum(across[..., 0], across[..., 1]), across[..., 2]) * scale
            edge = np.clip(line / 2 + 0.5 - nearest, 0, 1)
            colours *= edge[..., None]
            cover = np.rint(cover * np.maximum(edge, VEIL)).astype(np.uint8)
        colours = cv2.convertScaleAbs(colours, alpha=255)
        return (
            cv2.resize(colours, (width, height), interpolation=cv2.INTER_AREA),
            cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA),
        )

    def close(self) -> None:
        """Nothing to give back."""

    def _rasterise(
        self, points: np.ndarray, faces: np.ndarray, colours: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        image = np.zeros((*size, 3), np.float32)
        depth = np.full(size, FARTHEST * 2, np.float32)
        return cv2.triangleRasterize(
            points,
            faces,
            colours,
            image,
            depth,
            np.eye(4, dtype=np.float32),
            FIELD_OF_VIEW,
            NEAREST / 2,
            FARTHEST * 2,
            self._settings,
        )


def _perspective(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels and depth (N, 3) → points (N, 3) that the perspective camera of OpenCV sees at those pixels.

    A perspective rasteriser interpolates 1/distance linearly over the image. Distances whose inverse is
    linear in the orthographic depth therefore order every pixel exactly as an orthographic camera does.
    """
    x, y, z = points.T
    nearest, extent = z.min(), max(float(np.ptp(z)), 1e-6)
    inverse = 1 / NEAREST + (1 / FARTHEST - 1 / NEAREST) * (z - nearest) / extent
    distance = 1 / inverse
    focal = height / 2 / np.tan(FIELD_OF_VIEW / 2)
    return np.stack(
        [(x - width / 2) * distance / focal, (height / 2 - y) * distance / focal, -distance], axis=1
    ).astype(np.float32)
