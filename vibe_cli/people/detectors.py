"""Finding the people in frames, as boxes in its pixels: our centre detector, or the user's ultralytics YOLO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from vibe_cli.errors import ModelError
from vibe_cli.geometry import boxes as box_maths
from vibe_cli.people.track import MEAN_SCORE
from vibe_cli.people.yolo_weights import YOLO_HINT, last_layer, read_yolo, yolo_file
from vibe_cli.results import Detections

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

OVERLAP = 0.5  # of two boxes that overlap more than this (IoU) the better one is kept
MOST_PEOPLE = 100  # in a frame
PAD_MULTIPLE = 32  # of the sides of what a network sees
YOLO_SIZE, YOLO_GREY = 640, 114 / 255


class Detector(Protocol):
    """Finds people."""

    name: str
    min_mean_score: float  # least mean score of a track for it to count as a person

    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        """The people of each RGB uint8 frame (H, W, 3), best first."""
        ...


class CentreDetector:
    """Our own detector: a network that says where people's centres are, and how far from there their sides.

    `network(images (N, 3, H, W))` → heat (N, 1, H/8, W/8) logits and sides (N, 4, H/8, W/8), as in
    networks/centre.py. Frames are scaled to `size` pixels on the longer side, (rgb / 255 − 0.45) / 0.25,
    padded with zeros at the right and below.
    """

    min_mean_score = MEAN_SCORE

    def __init__(
        self,
        network: nn.Module,
        device: torch.device | str = "cpu",
        size: int = 384,
        threshold: float = 0.3,
        name: str = "open-detector",
    ) -> None:
        self.network = network.to(device).eval()
        self.device, self.size, self.threshold, self.name = device, size, threshold, name

    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        """The people of each RGB uint8 frame (H, W, 3), best first."""
        return _each_shape(frames, self._detect)

    def _detect(self, frames: list[np.ndarray]) -> list[Detections]:
        images, places = letterbox(frames, self.size, mean=0.45, std=0.25)
        heat, sides = self.network(images.to(self.device))
        found = decode_centres(heat.float().cpu(), sides.float().cpu(), self.threshold)
        return [
            _to_frame(corners, scores, places, frame) for (corners, scores), frame in zip(found, frames, strict=True)
        ]


class YoloDetector:
    """Ultralytics' YOLO: the class named person, or the only class there is.

    `weights` is a .pt file, or the name of one that ultralytics publishes, which it then fetches into the
    user's model folder. The file is read without running any of it (see `read_yolo`) and the network is
    called by itself, so ultralytics neither prints, nor keeps settings, nor reports usage.
    """

    min_mean_score = MEAN_SCORE

    def __init__(
        self, weights: str | Path, device: torch.device | str = "cpu", confidence: float = 0.25, size: int = YOLO_SIZE
    ) -> None:
        import torch

        path = yolo_file(weights)
        network, names = read_yolo(path)
        people = [number for number, name in names.items() if name.lower() == "person"]
        if not people and len(names) != 1:
            raise ModelError(f"{path}: finds {len(names)} kinds of things, none of them a person", hint=YOLO_HINT)
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.person = people[0] if people else 0
        self.device, self.confidence, self.size, self.name = device, confidence, size, path.stem

    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        """The people of each RGB uint8 frame (H, W, 3), best first."""
        return _each_shape(frames, self._detect)

    def _detect(self, frames: list[np.ndarray]) -> list[Detections]:
        # The network itself takes RGB; BGR is only what ultralytics' own front end expects of arrays.
        images, places = letterbox(frames, self.size, fill=YOLO_GREY, centred=True)
        output = self.network(images.to(self.device))[0].float().cpu()  # the rest is for training
        output = output if getattr(last_layer(self.network), "end2end", False) else candidate_rows(output)
        people = (rows[rows[:, 5] == self.person] for rows in output)
        return [
            _to_frame(*_best(rows[:, :4], rows[:, 4], self.confidence), places, frame)
            for rows, frame in zip(people, frames, strict=True)
        ]


def letterbox(
    frames: list[np.ndarray], size: int, mean: float = 0.0, std: float = 1.0, fill: float = 0.0, centred: bool = False
) -> tuple[Tensor, tuple[float, ...]]:
    """Frames (H, W, 3) uint8 of one shape → (N, 3, h, w) float32 and their place (left, top, scale x, y).

    The longer side becomes `size` pixels, values (rgb / 255 − mean) / std, and the sides are padded with
    `fill` to multiples of PAD_MULTIPLE: on the right and below, areas averaged where it shrinks, or, `centred`,
    all round and always bilinear, as ultralytics does it.
    """
    import torch

    height, width = frames[0].shape[:2]
    scale = size / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    padded_width, padded_height = (-(-side // PAD_MULTIPLE) * PAD_MULTIPLE for side in (new_width, new_height))
    left = (padded_width - new_width) // 2 if centred else 0
    top = (padded_height - new_height) // 2 if centred else 0
    shrink = cv2.INTER_AREA if scale < 1 and not centred else cv2.INTER_LINEAR
    images = np.full((len(frames), padded_height, padded_width, 3), fill, np.float32)
    for image, frame in zip(images, frames, strict=True):
        resized = cv2.resize(frame, (new_width, new_height), interpolation=shrink)
        image[top : top + new_height, left : left + new_width] = (resized * np.float32(1 / 255) - mean) / std
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)  # channels last in memory, which convolutions prefer
    return tensor, (left, top, new_width / width, new_height / height)


def decode_centres(heat: Tensor, sides: Tensor, threshold: float) -> list[tuple[Tensor, Tensor]]:
    """Heat (N, 1, h, w) logits and sides (N, 4, h, w) → for each image corners (M, 4) and scores (M,), best first.

    A person is a cell that is the largest of its 3 × 3 neighbours and at least `threshold`; corners are left,
    top, right, bottom in input pixels; of overlapping people the better is kept.
    """
    import torch
    from torch.nn.functional import max_pool2d

    from vibe_cli.networks.centre import sides_to_pixels
    from vibe_cli.networks.keypoints import STRIDE

    scores = heat.sigmoid()
    peaks = (scores == max_pool2d(scores, 3, stride=1, padding=1)) & (scores >= threshold)
    distances = sides_to_pixels(sides)
    found = []
    for number in range(len(heat)):
        rows, columns = peaks[number, 0].nonzero(as_tuple=True)
        centre = (torch.stack([columns, rows], dim=1) + 0.5) * STRIDE
        left_top, right_bottom = distances[number][:, rows, columns].T.split(2, dim=1)
        corners = torch.cat([centre - left_top, centre + right_bottom], dim=1)
        found.append(_best(corners, scores[number, 0, rows, columns], threshold))
    return found


def _each_shape(frames: list[np.ndarray], detect: Any) -> list[Detections]:
    """`detect` over the frames of each shape together; the order is kept and no frame changes another's result."""
    import torch

    groups: dict[tuple[int, ...], list[int]] = {}
    for index, frame in enumerate(frames):
        groups.setdefault(frame.shape, []).append(index)
    found: list[Detections] = [Detections.empty()] * len(frames)
    for indices in groups.values():
        with torch.inference_mode():
            for index, one in zip(indices, detect([frames[i] for i in indices]), strict=True):
                found[index] = one
    return found


def candidate_rows(output: Tensor, more: int = 0) -> Tensor:
    """YOLO's raw output as rows of the form in which YOLO26 gives them.

    (N, 4 + classes + more, A) centre, size, a score a class, more numbers → (N, A, 6 + more) corners, best score, its
    class, those numbers.
    """
    import torch

    scores, rest = output[:, 4:].split([output.shape[1] - 4 - more, more], dim=1)
    centre, half = output[:, :2], output[:, 2:4] / 2
    score, kind = scores.max(dim=1, keepdim=True)
    return torch.cat([centre - half, centre + half, score, kind.to(score), rest], dim=1).transpose(1, 2)


def _best(corners: Tensor, scores: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Corners (M, 4) and scores (M,) without the low and the doubled, best first."""
    from torchvision.ops import nms

    corners, scores = corners[scores >= least], scores[scores >= least]
    kept = nms(corners, scores, OVERLAP)[:MOST_PEOPLE]
    return corners[kept], scores[kept]


def _to_frame(corners: Tensor, scores: Tensor, place: tuple[float, ...], frame: np.ndarray) -> Detections:
    """Corners in what the network saw → boxes in the frame's pixels, clipped to it."""
    left, top, scale_x, scale_y = place
    height, width = frame.shape[:2]
    points = (corners.double().numpy().reshape(-1, 2, 2) - [left, top]) / [scale_x, scale_y]
    points = np.clip(points, 0, [width, height]).reshape(-1, 4)
    boxes = box_maths.from_corners(points)
    inside = (boxes[:, 2:] >= 1).all(axis=1)
    return Detections(boxes[inside], scores.numpy()[inside])
