"""Read 2D keypoints that other programs wrote: OpenPose's JSON, one file a frame, and COCO's.

OpenPose (`--write_json`) leaves a folder of `<name>_<number>_keypoints.json`, each with the people of a frame, of 25
keypoints (BODY_25) or 18 (COCO). COCO's keypoint files are one JSON: a dataset with `images` and `annotations`, or a
list of results with `image_id`, of 17 keypoints each. Frames are told by numbers: those of OpenPose's file names, a
dataset's `frame_id` or the order of its images' names, a result's `image_id`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from vibe_cli.errors import InputError
from vibe_cli.geometry.skeleton import JOINTS_49, OPENPOSE_25, joints

MOST_BYTES = 512 << 20  # of one file
# The joints, of the 54, that the keypoints of each layout are; of COCO's: nose, eyes, ears, shoulders, elbows, wrists,
# hips, knees, ankles, left first. Its hips lie where LSP's do, outside of the skeleton's.
COCO_17 = tuple(joints("nose", "eye", "ear", "shoulder", "elbow", "wrist", "hip_lsp", "knee", "ankle"))
_HEELS, _TOES, _SMALL_TOES = joints("heel"), joints("big_toe"), joints("small_toe")
_NOSE, *_EYES_EARS = COCO_17[:5]
_BLAZE_FACE = (_NOSE, -1, _EYES_EARS[0], -1, -1, _EYES_EARS[1], -1, *_EYES_EARS[2:], -1, -1)
LAYOUTS = {
    25: OPENPOSE_25,
    18: tuple(OPENPOSE_25[row] for row in (*range(8), *range(9, 19))),
    17: COCO_17,
    23: (
        *COCO_17,
        *joints("l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel"),
    ),  # the body of COCO-WholeBody: left toes and heel, then right
    26: (
        *COCO_17,
        *joints("head_top_lsp", "neck", "pelvis"),
        *_TOES,
        *_SMALL_TOES,
        *_HEELS,
    ),  # Halpe: head top, neck, middle of the hips, feet
    # BlazePose: nose, corners and middles of the eyes, ears, mouth, limbs, hands, heels, toes; −1 is none of ours
    33: (*_BLAZE_FACE, *COCO_17[5:11], *[-1] * 6, *COCO_17[11:], *_HEELS, *_TOES),
}
_HINT = "give OpenPose's folder of *_keypoints.json (BODY_25), or one COCO keypoint JSON (17 keypoints)"

People = dict[int, np.ndarray]  # a frame's number → its people (P, 49, 3): x, y in pixels and confidence 0..1


def read_keypoints(path: Path, needed: bool = True) -> People:
    """People by the numbers that the file gives its frames; InputError when it is no file of keypoints.

    Frames nobody was found in may be left out; that nobody was found at all is an error where they are `needed`,
    else nothing comes back.
    """
    numbered = _read_folder(path) if path.is_dir() else _read_file(path)
    if any(len(people) for people in numbered.values()):
        return numbered
    if needed:
        raise InputError(f"{path}: no keypoints of anybody", hint=_HINT)
    return {}


def count_from_zero(numbered: People, frames: int, path: Path) -> People:
    """People by frame of a clip of `frames` frames, counted from 0; InputError when the clip has fewer.

    Numbers are taken as they are where that fits the clip, else from 1, else from the first.
    """
    first, last = min(numbered), max(numbered)
    start = 0 if last < frames else 1 if first == 1 and last == frames else first
    if last - start >= frames:
        raise InputError(
            f"{path}: keypoints of {last - start + 1} frames, and the clip has {frames}",
            hint="give the keypoints of this clip, frame by frame",
        )
    return {number - start: people for number, people in numbered.items()}


def spread_to_49(points: np.ndarray) -> np.ndarray:
    """Keypoints (…, 17, 18, 23, 25, 26 or 33, 3) → the 49 (…, 49, 3); what the layout lacks has no confidence."""
    layout = LAYOUTS[points.shape[-2]]
    found = np.zeros((*points.shape[:-2], 49, 3), np.float32)
    for row, joint in enumerate(JOINTS_49):
        if joint in layout:
            found[..., row, :] = points[..., layout.index(joint), :]
    return found


def _read_folder(folder: Path) -> People:
    """OpenPose's folder, by the numbers in its files' names; a folder with one other JSON is taken for COCO's."""
    files = sorted(folder.glob("*_keypoints.json"))
    if not files:
        single = sorted(folder.glob("*.json"))
        if len(single) == 1:
            return _read_file(single[0])
        raise InputError(f"{folder}: no *_keypoints.json in it", hint=_HINT)
    numbers = [re.findall(r"\d+", file.name.removesuffix("_keypoints.json"))[-1:] for file in files]
    if len(files) == 1 or not all(numbers):
        numbers = [[index] for index in range(len(files))]
    found: People = {}
    for (number,), file in zip(numbers, files, strict=True):
        if int(number) in found:
            raise InputError(f"{folder}: two files for frame {int(number)}", hint="give one folder for each clip")
        found[int(number)] = _openpose_people(_load(file), file)
    return found


def _read_file(path: Path) -> People:
    """COCO's file, or OpenPose's of one frame."""
    content = _load(path)
    if isinstance(content, dict) and "people" in content:
        return {0: _openpose_people(content, path)}
    try:
        if isinstance(content, dict):
            numbers, notes = _image_numbers(content["images"]), content["annotations"]
        else:
            numbers, notes = None, content
        found: dict[int, list[np.ndarray]] = {number: [] for number in (numbers or {}).values()}
        for note in notes:
            if note.get("keypoints"):
                number = numbers[note["image_id"]] if numbers else _number(note["image_id"])
                found.setdefault(number, []).append(_points(note["keypoints"], (17,), path, note.get("score", 1.0)))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path}: neither OpenPose's nor COCO's keypoints ({type(error).__name__}: {error})", hint=_HINT
        ) from None
    return {number: _stack(people) for number, people in found.items()}


def _image_numbers(images: list[dict]) -> dict[Any, int]:
    """A dataset's images by id → the frame's number: its frame_id, else the place of its name among all."""
    if all("frame_id" in image for image in images):
        return {image["id"]: int(image["frame_id"]) for image in images}
    # "9.jpg" comes before "10.jpg"
    names = sorted(
        images,
        key=lambda image: [
            int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(image["file_name"]))
        ],
    )
    return {image["id"]: place for place, image in enumerate(names)}


def _number(image_id: int | str) -> int:
    """The number that an image's id is, or ends with before its suffix."""
    digits = re.findall(r"\d+", str(image_id).rsplit(".", 1)[0])
    if not digits:
        raise ValueError(f"image_id {image_id!r} holds no number")
    return int(digits[-1])


def _openpose_people(content: Any, path: Path) -> np.ndarray:
    """The people of one of OpenPose's files, (P, 49, 3)."""
    try:
        people = [person["pose_keypoints_2d"] for person in content["people"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not OpenPose's keypoints ({type(error).__name__}: {error})", hint=_HINT) from None
    return _stack([_points(numbers, (25, 18), path) for numbers in people if numbers])


def _points(numbers: Any, counts: tuple[int, ...], path: Path, score: float = 1.0) -> np.ndarray:
    """One person's flat list x, y, confidence, … → (49, 3).

    In COCO's annotations the third number is 0, 1 or 2 (absent, hidden, visible), which counts 0, a half and 1; in
    results it is a confidence, and people count by their `score` where keypoints have none.
    """
    try:
        points = np.asarray(numbers, np.float64).reshape(-1, 3)
    except (ValueError, TypeError):
        raise InputError(f"{path}: a person's keypoints are not numbers in threes", hint=_HINT) from None
    if len(points) not in counts:
        wanted = " or ".join(map(str, counts))
        raise InputError(f"{path}: a person of {len(points)} keypoints, not {wanted}", hint=_HINT)
    if not np.isfinite(points).all():
        raise InputError(f"{path}: a person's keypoints are not finite numbers", hint=_HINT)
    confidence = points[:, 2]
    if len(points) == 17 and set(confidence) <= {0.0, 1.0, 2.0}:
        confidence = confidence / 2 if confidence.max() == 2 else confidence * np.clip(score, 0, 1)
    points[:, 2] = np.clip(confidence, 0, 1)
    points[:, 2] *= (points[:, :2] != 0).any(axis=1)  # a keypoint at (0, 0) was not found
    return spread_to_49(points)


def _stack(people: list[np.ndarray]) -> np.ndarray:
    return np.stack(people) if people else np.zeros((0, 49, 3), np.float32)


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{path}: {path.stat().st_size >> 20} MB of JSON are too much",
                hint="split the clip, or write OpenPose's one file a frame",
            )
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder", hint=_HINT) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({type(error).__name__}: {str(error)[:80]})", hint=_HINT) from None
