"""Keypoints on pictures: an encoder's own, and the recovered body's projected, against those marked by hand.

A keypoint is right within a share of the larger side of the person's true box. The baseline lays the mean of all
people's keypoints, relative to their boxes, into each box.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.datasets.features import FrozenEncoder
from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.networks.skeleton import KEYPOINTS_OF_54, MIRRORED_KEYPOINTS
from vibe_cli.options import MotionOptions

if TYPE_CHECKING:
    from vibe_cli.datasets.features import Features
    from vibe_cli.datasets.sequence import Sequence
    from vibe_cli.evaluation.candidates import Candidate
    from vibe_cli.results import TrackFeatures
    from vibe_cli.zoo.model import Model

PCK_OF_BOX = (0.1, 0.2)  # of the larger side of the box
MIN_KEYPOINTS, MIN_HEIGHT_PX = 8, 80
VISIBLE_CONFIDENCE = 0.75  # confidence of a label from which the keypoint is plainly visible
UNIQUE = sorted(set(JOINTS_49))
ROWS = [JOINTS_49.index(joint) for joint in UNIQUE]  # each joint once, among the 49
EXCHANGED = [UNIQUE.index(KEYPOINTS_OF_54[MIRRORED_KEYPOINTS[KEYPOINTS_OF_54.index(joint)]]) for joint in UNIQUE]
NAMES = {
    24: "nose",
    25: "right eye",
    26: "left eye",
    27: "right ear",
    28: "left ear",
    53: "head",
    48: "head top",
    47: "neck",
    17: "right shoulder",
    16: "left shoulder",
    19: "right elbow",
    18: "left elbow",
    21: "right wrist",
    20: "left wrist",
    45: "right hip",
    46: "left hip",
    5: "right knee",
    4: "left knee",
    8: "right ankle",
    7: "left ankle",
}  # from the head down
BASELINE = "mean pose"


@dataclass
class People:
    """Everybody who counts, of N people."""

    labels: np.ndarray  # (N, K, 3) pixels and confidence
    boxes: np.ndarray  # (N, 4)
    found: dict[tuple[str, int], np.ndarray]  # by row of the table and run: (N, K, 2) pixels

    @property
    def sides(self) -> np.ndarray:
        """(N,) larger sides of the boxes."""
        return self.boxes[:, 2:].max(axis=1)


def look(
    sequences: Iterable[Sequence],
    candidates: list[Candidate[Model | FrozenEncoder]],
    features: Features,
    options: MotionOptions,
) -> People:
    """Find everybody's keypoints by every contender."""
    labels, boxes = [], []
    found: dict[tuple[str, int], list[np.ndarray]] = {}
    for sequence in sequences:
        rows = countable(sequence)
        if sequence.joints2d is None or sequence.boxes is None or not len(rows):
            continue
        labels.append(sequence.joints2d[rows][:, ROWS])
        boxes.append(sequence.boxes[rows])
        for candidate in candidates:
            for number, run in enumerate(candidate.runs):
                seen = features.of(sequence, run.model)
                parts = {}
                if seen.keypoints is not None:
                    parts["keypoints"] = seen.keypoints[..., :2]
                if not isinstance(run.model, FrozenEncoder):
                    parts["body"] = _projected(seen, run.model, options, sequence.fps)
                for what, points in parts.items():
                    found.setdefault((f"{candidate.label}: {what}", number), []).append(points[rows][:, ROWS])
    joined = {key: np.concatenate(points) for key, points in found.items()}
    shape = (0, len(ROWS), 3)
    return People(
        np.concatenate(labels) if labels else np.zeros(shape),
        np.concatenate(boxes) if boxes else np.zeros((0, 4)),
        joined,
    )


def countable(sequence: Sequence) -> np.ndarray:
    """Frames in which enough of the person is marked and their box is high enough."""
    if sequence.joints2d is None or sequence.boxes is None:
        return np.zeros(0, int)
    clear = (sequence.joints2d[:, ROWS, 2] > VISIBLE_CONFIDENCE).sum(axis=1)
    return np.flatnonzero((clear >= MIN_KEYPOINTS) & (sequence.boxes[:, 3] >= MIN_HEIGHT_PX) & sequence.valid)


def measure(points: np.ndarray, people: People) -> dict:
    """PCK of points (N, K, 2) over what is plainly visible, 0..1; also if no person's sides were exchanged."""
    distance = np.linalg.norm(points - people.labels[..., :2], axis=-1) / people.sides[:, None]
    other = np.linalg.norm(points[:, EXCHANGED] - people.labels[..., :2], axis=-1) / people.sides[:, None]
    clear = people.labels[..., 2] > VISIBLE_CONFIDENCE
    total = np.maximum(clear.sum(axis=1), 1)
    swapped = (other * clear).sum(axis=1) / total < (distance * clear).sum(axis=1) / total
    better = np.where(swapped[:, None], other, distance)
    result = {f"pck@{limit:g}": float((distance[clear] < limit).mean()) for limit in PCK_OF_BOX}
    result |= {f"pck@{limit:g}_if_never_swapped": float((better[clear] < limit).mean()) for limit in PCK_OF_BOX}
    result["swapped"] = float(swapped.mean())
    per_joint = {}
    for joint, name in NAMES.items():
        row = UNIQUE.index(joint)
        off = distance[:, row][clear[:, row]]
        if len(off):
            per_joint[name] = {f"pck@{limit:g}": float((off < limit).mean()) for limit in PCK_OF_BOX}
    return {**result, "per_joint": per_joint, "people": len(points)}


def mean_pose(people: People) -> np.ndarray:
    """(N, K, 2) pixels: everybody's mean keypoints, relative to the box, laid into each box."""
    relative = (people.labels[..., :2] - people.boxes[:, None, :2]) / people.sides[:, None, None]
    marked = (people.labels[..., 2:] > 0).astype(float)
    mean = (relative * marked).sum(axis=0) / np.maximum(marked.sum(axis=0), 1)
    return people.boxes[:, None, :2] + mean * people.sides[:, None, None]


def protocol(people: People, options: MotionOptions) -> dict[str, str]:
    """How the numbers came about."""
    lines = {
        "people": f"{len(people.labels)}, with at least {MIN_KEYPOINTS} plainly visible keypoints and a box at least "
        f"{MIN_HEIGHT_PX} px high",
        "right": "within " + " or ".join(f"{limit:g}" for limit in PCK_OF_BOX) + " of the larger side of the true box; "
        "plainly visible keypoints only",
        "boxes": "the data set's, not a detector's",
        "never swapped": "a person's left and right exchanged where that is nearer to the truth",
    }
    if any(label.endswith(": body") for label, _ in people.found):
        fitted = "yes" if options.refine else "no"
        lines["body"] = f"the model's body projected by its camera; fitted to keypoints: {fitted}"
    return lines


def _projected(seen: TrackFeatures, model: Model, options: MotionOptions, fps: float) -> np.ndarray:
    """The recovered body's 49 joints in pixels (T, 49, 2)."""
    from vibe_cli.body.body_models import joints_of
    from vibe_cli.evaluation.motion import recover_sequence
    from vibe_cli.geometry.camera import crop_points_to_image

    person = recover_sequence(seen, model, options, fps)
    joints = joints_of(person, model.body)[..., :2]
    return crop_points_to_image(person.camera[:, None, :1] * (joints + person.camera[:, None, 1:]), person.boxes)
