"""Foreign keypoint networks in ONNX files: RTMPose, ViTPose and their like on people's boxes, RTMO on whole frames.

Which it is, is told by the outputs: two of classes along x and y (N, K, W') and (N, K, H') are SimCC (RTMPose, Jiang
et al. 2023); one of heat maps (N, K, h, w) is read as UDP lays them and DARK sharpens them (ViTPose, Xu et al. 2022);
finds (1, M, 5) with keypoints (1, M, 17, 3) are RTMO's (Lu et al. 2024). K tells the joints: 17 are COCO's, 26
Halpe's, 133 COCO-WholeBody's, of which the first 23 are the body's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vibe_cli.errors import ModelError
from vibe_cli.people.crops import IMAGENET_MEAN, IMAGENET_STD
from vibe_cli.people.keypoint_files import LAYOUTS, People, spread_to_49
from vibe_cli.people.onnx_detectors import MOST_PEOPLE, OVERLAP
from vibe_cli.people.onnx_session import OnnxNetwork, fit_frame

if TYPE_CHECKING:
    import torch

    from vibe_cli.results import Track

PADDING = 1.25  # of a person's box
POSE_SIZE = (256, 192)  # of crops, where a file leaves it free
BODY_OF_WHOLE = {133: 23}  # of a layout's keypoints the first so many are the body's
LEAST_SCORE = 0.3  # of a person whom RTMO found
BLUR = 11  # pixels of the Gaussian that heat maps are smoothed with before DARK
HINT = "use an export of RTMPose, ViTPose or RTMO (vibe models fetch rtmpose-m)"
Frames = Iterable[tuple[int, np.ndarray]]


class OnnxKeypoints:
    """A source of keypoints that looks at every frame, at the tracks' boxes or, by itself, everywhere."""

    def __init__(self, path: str | Path, device: torch.device | str = "cpu") -> None:
        self.network, self.name = OnnxNetwork(path, device, POSE_SIZE), Path(path).stem
        self.head = head_of(self.network.outputs)
        if self.head is None:
            shapes = list(map(tuple, self.network.outputs))
            raise ModelError(f"{path}: no keypoint network that vibe knows: its outputs are {shapes}", hint=HINT)
        self.found: People = {}

    def watch(self, frames: Frames, tracks: Sequence[Track] = ()) -> Iterator[tuple[int, np.ndarray]]:
        """The same frames, looked at one by one; of those with a track in them all its people at once."""
        self.found = {}
        boxes: dict[int, list[np.ndarray]] = {}
        for track in tracks:
            for frame, box in zip(track.frames.tolist(), track.boxes, strict=True):
                boxes.setdefault(frame, []).append(box)
        for index, frame in frames:
            if self.head == "rtmo":
                self.found[index] = self.everybody(frame)
            elif index in boxes:
                self.found[index] = self.people_in(frame, np.stack(boxes[index]))
            yield index, frame

    @property
    def finds_people(self) -> bool:
        """Whether it sees whole frames, as RTMO does; others are shown the tracks."""
        return self.head == "rtmo"

    def people(self, frames: int) -> People:
        """The people of each frame that was watched, (P, 49, 3)."""
        return self.found

    def people_in(self, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Keypoints of the people in boxes (P, 4) of an RGB uint8 frame (H, W, 3) → (P, 49, 3) in its pixels."""
        udp = self.head == "heatmap"
        regions = [widen(box, self.network.size) for box in boxes.astype(np.float64)]
        crops = np.stack([crop(frame, region, self.network.size, udp) for region in regions])
        outputs = self.network(crops)
        points = decode_heatmaps(outputs[0]) if udp else decode_simcc(*outputs[:2])
        for one, (x, y, width, height) in zip(points, regions, strict=True):
            one[:, :2] = one[:, :2] * [width, height] + [x - width / 2, y - height / 2]
        return as_49(points)

    def everybody(self, frame: np.ndarray) -> np.ndarray:
        """The people of an RGB uint8 frame (H, W, 3), without boxes → (P, 49, 3) in its pixels, best first."""
        import torch
        from torchvision.ops import nms

        image, scale = fit_frame(frame, self.network.size)
        finds, points = (output[0].astype(np.float64) for output in self.network(image[None]))
        sure = finds[:, 4] >= LEAST_SCORE
        finds, points = finds[sure], points[sure]
        kept = nms(torch.from_numpy(finds[:, :4]), torch.from_numpy(finds[:, 4]), OVERLAP)[:MOST_PEOPLE].numpy()
        points = points[kept]
        points[..., :2] /= scale
        points[..., 2] = np.clip(points[..., 2], 0, 1)
        return as_49(points)


def head_of(shapes: list[tuple[int, ...]]) -> str | None:
    """rtmo, simcc or heatmap, by the shapes of a network's outputs for one picture; None of any other."""
    ranks = [len(shape) for shape in shapes]
    if ranks == [3, 4] and shapes[0][2] == 5 and shapes[1][2:] == (17, 3):
        return "rtmo"
    known = shapes[0][1] in {*LAYOUTS, *BODY_OF_WHOLE} if ranks[0] >= 2 else False
    if known and ranks == [3, 3] and shapes[0][1] == shapes[1][1]:
        return "simcc"
    return "heatmap" if known and ranks == [4] else None


def widen(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A box (4,) with PADDING, of the shape of pictures of `size` (H, W)."""
    aspect = size[1] / size[0]
    width, height = max(box[2], box[3] * aspect), max(box[3], box[2] / aspect)
    return np.array([box[0], box[1], width * PADDING, height * PADDING])


def crop(frame: np.ndarray, region: np.ndarray, size: tuple[int, int], udp: bool) -> np.ndarray:
    """A region (4,) of a frame as mmpose's networks see it: (3, H, W) float32, RGB less ImageNet's mean over its
    deviation.

    With `udp` the outermost pixels' middles lie on the region's borders, else the pixels fill it.
    """
    height, width = size
    step = region[2:] / (np.array([width, height]) - udp)
    corner = region[:2] - region[2:] / 2
    inverse = np.array([[step[0], 0, corner[0]], [0, step[1], corner[1]]])
    picture = cv2.warpAffine(frame, inverse, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    mean, deviation = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    values = (picture / np.float32(255) - mean) / deviation
    return values.astype(np.float32).transpose(2, 0, 1)


def decode_simcc(along_x: np.ndarray, along_y: np.ndarray) -> np.ndarray:
    """Classes (N, K, W') and (N, K, H') → keypoints (N, K, 3): x and y as shares of the crop, and the confidence, which
    is the lower of the two best scores in 0..1."""
    x, y = along_x.argmax(axis=2) / along_x.shape[2], along_y.argmax(axis=2) / along_y.shape[2]
    sure = np.clip(np.minimum(along_x.max(axis=2), along_y.max(axis=2)), 0, 1)
    return np.stack([x, y, sure], axis=-1).astype(np.float64)


def decode_heatmaps(maps: np.ndarray) -> np.ndarray:
    """Heat maps (N, K, h, w) → keypoints (N, K, 3): x and y as shares of the crop, and the peak's height.

    The peak lies where the logarithm of the smoothed map, taken for a parabola about its highest pixel, has its top
    (DARK, Zhang et al. 2020); the middles of the outermost pixels are the crop's borders (UDP, Huang et al. 2020).
    """
    count, joints, height, width = maps.shape
    points = np.zeros((count, joints, 3))
    for place in np.ndindex(count, joints):
        heat = maps[place].astype(np.float64)
        y, x = np.unravel_index(int(heat.argmax()), heat.shape)
        log = np.log(np.maximum(cv2.GaussianBlur(heat, (BLUR, BLUR), 0), 1e-6))
        points[place] = *_top(log, int(x), int(y)), np.clip(heat[y, x], 0, 1)
    points[..., :2] /= [width - 1, height - 1]
    return points


def _top(log: np.ndarray, x: int, y: int) -> tuple[float, float]:
    """Where the parabola through the neighbours of a pixel has its top, at most a pixel away."""
    if not (0 < x < log.shape[1] - 1 and 0 < y < log.shape[0] - 1):
        return float(x), float(y)
    near = log[y - 1 : y + 2, x - 1 : x + 2]
    slope = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    mixed = (near[2, 2] - near[2, 0] - near[0, 2] + near[0, 0]) / 4
    bend = np.array(
        [
            [near[1, 2] - 2 * near[1, 1] + near[1, 0], mixed],
            [mixed, near[2, 1] - 2 * near[1, 1] + near[0, 1]],
        ]
    )
    if np.linalg.det(bend) <= 1e-12:
        return float(x), float(y)
    shift = np.clip(-np.linalg.solve(bend, slope), -1, 1)
    return x + float(shift[0]), y + float(shift[1])


def as_49(points: np.ndarray) -> np.ndarray:
    """Keypoints (P, 17, 26, 133, …, 3) → (P, 49, 3)."""
    return spread_to_49(points[:, : BODY_OF_WHOLE.get(points.shape[1], points.shape[1])])
