"""Keypoints from elsewhere than the encoder: a user's file, or an ultralytics pose model run on the frames.

A source gives the people of each frame; `match_people` hands them to the tracks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vibe_cli.errors import InputError, ModelError
from vibe_cli.geometry import boxes as box_maths
from vibe_cli.people.detectors import MOST_PEOPLE, OVERLAP, YOLO_GREY, YOLO_SIZE, candidate_rows, letterbox
from vibe_cli.people.keypoint_files import People, count_from_zero, read_keypoints, spread_to_49
from vibe_cli.people.keypoint_names import Numbered, placed
from vibe_cli.people.track import assign
from vibe_cli.people.yolo_weights import POSE_HINT, last_layer, read_yolo, yolo_file
from vibe_cli.results import Detections, Track, VideoInfo

if TYPE_CHECKING:
    import torch

FARTHEST_OF_BOX = 0.75  # larger sides of a track's box from its middle to that of a person's keypoints, at most
BOX_MARGIN = 1.15  # a person's box over that of its keypoints, which end at the ankles and ears
MIN_CONFIDENCE = 0.05  # confidence from which a keypoint counts for the box
MIN_KEYPOINTS = 5  # of the 49 keypoints, from which a person of a source is somebody to be followed
Frames = Iterable[tuple[int, np.ndarray]]


class KeypointSource(Protocol):
    """Where keypoints come from."""

    @property
    def finds_people(self) -> bool:
        """Whether it needs no tracks, so that its people become tracks themselves."""
        ...

    def watch(self, frames: Frames, tracks: Sequence[Track] = ()) -> Frames:
        """The same frames, looked at on their way, where the tracks' people are."""
        ...

    def people(self, frames: int) -> People:
        """The people of each frame of a clip of `frames` frames, after they were watched."""
        ...


class KeypointFile:
    """A file or folder of keypoints; read when made, so that a bad one is found before any work."""

    finds_people = True

    def __init__(self, path: Path) -> None:
        """OpenPose's folder or COCO's JSON; InputError when it is neither."""
        self.path = path
        self.numbered: People = read_keypoints(path)

    def watch(self, frames: Frames, tracks: Sequence[Track] = ()) -> Frames:
        """The frames, as they are."""
        return frames

    def place(self, video: VideoInfo, warnings: list[str]) -> None:
        """Number the people by the frames of the clip, where names or the program that wrote them tell which."""
        if isinstance(self.numbered, Numbered):
            self.numbered = placed(self.numbered, video, str(self.path), warnings)

    def people(self, frames: int) -> People:
        """The people of each frame."""
        return count_from_zero(self.numbered, frames, self.path)


class PoseModel:
    """An ultralytics pose model of COCO's 17 keypoints, read as `read_yolo` does, without running the file.

    `weights` is a .pt file, or the name of one that ultralytics publishes and that is fetched.
    """

    finds_people = True

    def __init__(
        self, weights: str | Path, device: torch.device | str = "cpu", confidence: float = 0.25, size: int = YOLO_SIZE
    ) -> None:
        path = yolo_file(weights)
        network, _ = read_yolo(path, "PoseModel")
        shape = tuple(vars(last_layer(network))["kpt_shape"])
        if shape != (17, 3):
            raise ModelError(f"{path}: finds keypoints of shape {shape}, not COCO's (17, 3)", hint=POSE_HINT)
        self.network, self.device = network.to(device).eval(), device
        self.confidence, self.size, self.name = confidence, size, path.stem
        self.found: People = {}

    def watch(self, frames: Frames, tracks: Sequence[Track] = ()) -> Iterator[tuple[int, np.ndarray]]:
        """The same frames, looked at one by one: what is found depends on no other frame."""
        self.found = {}
        for index, frame in frames:
            self.found[index] = self.detect(frame)
            yield index, frame

    def people(self, frames: int) -> People:
        """The people of each frame that was watched."""
        return self.found

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """The people of one RGB uint8 frame (H, W, 3) → (P, 49, 3) in its pixels, best first."""
        import torch
        from torchvision.ops import nms

        images, (left, top, scale_x, scale_y) = letterbox([frame], self.size, fill=YOLO_GREY, centred=True)
        with torch.inference_mode():
            output = self.network(images.to(self.device))[0].float().cpu()  # the rest is for training
        if not getattr(last_layer(self.network), "end2end", False):
            output = candidate_rows(output, more=17 * 3)
        (output,) = output
        output = output[output[:, 4] >= self.confidence]
        output = output[nms(output[:, :4], output[:, 4], OVERLAP)[:MOST_PEOPLE]]
        points = output[:, 6:].reshape(-1, 17, 3).numpy().astype(np.float64)
        points[..., :2] = (points[..., :2] - [left, top]) / [scale_x, scale_y]
        return spread_to_49(points)


def open_keypoints(choice: str | Path, device: torch.device | str = "cpu") -> KeypointSource:
    """A pose model for the name of a .pt or .onnx file, else a file or folder of keypoints."""
    if str(choice).endswith(".onnx"):
        from vibe_cli.people.onnx_keypoints import OnnxKeypoints

        return OnnxKeypoints(choice, device)
    return PoseModel(choice, device) if str(choice).endswith(".pt") else KeypointFile(Path(choice))


def join_people(found: list[Detections], people: People, size: tuple[int, int]) -> list[Detections]:
    """Detections of every frame joined by the people of a source of keypoints, who are there for certain.

    Who both found gets the box of the keypoints, which does not change from one kind to the other. People without
    `MIN_KEYPOINTS` keypoints inside the picture of `size` (width, height) are nobody.
    """
    return [_joined(one, people[frame], size) if frame in people else one for frame, one in enumerate(found)]


def _joined(found: Detections, people: np.ndarray, size: tuple[int, int]) -> Detections:
    inside = (people[..., :2] >= 0).all(-1) & (people[..., :2] < size).all(-1) & (people[..., 2] > MIN_CONFIDENCE)
    people = people[inside.sum(axis=1) >= MIN_KEYPOINTS]
    if not len(people):
        return found
    boxes = np.stack([_box(person) for person in people])
    sure = people[..., 2] > MIN_CONFIDENCE
    scores = (people[..., 2] * sure).sum(axis=1) / sure.sum(axis=1)
    kept = np.ones(len(found), bool)
    for one, other in _pairs(found.boxes.astype(np.float64), boxes):
        kept[one] = False
        scores[other] = max(scores[other], found.scores[one])
    return Detections(
        np.concatenate([boxes, found.boxes[kept]]).astype(np.float32),
        np.concatenate([scores, found.scores[kept]]).astype(np.float32),
    )


def give_keypoints(tracks: list[Track], source: KeypointSource, frames: int) -> list[np.ndarray]:
    """The source's keypoints (T, 49, 3) for each track; InputError when not a single person fits."""
    matched = match_people(tracks, source.people(frames))
    if tracks and not any(points[..., 2].any() for points in matched):
        raise InputError(
            "none of the given keypoints lies on anybody who was followed",
            hint="are they in the pixels of this clip, and of the same frames?",
        )
    return matched


def match_people(tracks: list[Track], people: People) -> list[np.ndarray]:
    """Keypoints (T, 49, 3) of each track: in every frame each person goes to one track at most, and the reverse.

    Who belongs together is decided by overlap (IoU) of the track's box with that of the keypoints, and between
    those that do not overlap by distance, for all of a frame at once. A frame without a match has no confidence.
    """
    found = [np.zeros((len(track), 49, 3), np.float32) for track in tracks]
    rows: dict[int, list[tuple[int, int]]] = {}
    for number, track in enumerate(tracks):
        for row, frame in enumerate(track.frames.tolist()):
            rows.setdefault(frame, []).append((number, row))
    for frame, there in rows.items():
        candidates = people.get(frame, np.zeros((0, 49, 3)))
        candidates = candidates[[np.count_nonzero(one[:, 2] > MIN_CONFIDENCE) >= 2 for one in candidates]]
        if len(candidates):
            boxes = np.stack([tracks[number].boxes[row] for number, row in there])
            for one, other in _pairs(boxes, np.stack([_box(person) for person in candidates])):
                number, row = there[one]
                found[number][row] = candidates[other]
    return found


def _pairs(boxes: np.ndarray, people: np.ndarray) -> list[tuple[int, int]]:
    """Rows of boxes (N, 4) and people's boxes (P, 4) that belong together."""
    distance = np.linalg.norm(boxes[:, None, :2] - people[None, :, :2], axis=-1)
    distance = distance / np.maximum(boxes[:, 2:].max(axis=1), 1e-6)[:, None]
    overlap = box_maths.iou(boxes, people)
    gain = np.where((distance <= FARTHEST_OF_BOX) | (overlap > 0.3), 1 + overlap - distance / 2, 0)
    return assign(gain, 0)


def _box(person: np.ndarray) -> np.ndarray:
    """(4,) the box about a person's keypoints (49, 3) of any confidence to speak of."""
    points = person[person[:, 2] > MIN_CONFIDENCE, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([(low + high) / 2, np.maximum((high - low) * BOX_MARGIN, 1)])
