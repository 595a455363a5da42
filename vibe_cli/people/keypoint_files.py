"""Read 2D keypoints that other programs wrote: OpenPose, AlphaPose, MMPose, ultralytics, and COCO's files.

OpenPose (`--write_json`) leaves a folder of `<name>_<number>_keypoints.json`, each with the people of a frame, of 25
keypoints (BODY_25) or 18 (COCO). COCO's keypoint files are one JSON: a dataset with `images` and `annotations`, or a
list of results with `image_id`, as AlphaPose's is; `keypoint_programs` has the others. Frames are told by the names of
their pictures where these are written, else by numbers: `keypoint_names` finds both in the clip.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from vibe_cli.errors import InputError
from vibe_cli.geometry.skeleton import JOINTS_49, OPENPOSE_25, joints
from vibe_cli.people.keypoint_names import Numbered, last_number
from vibe_cli.people.keypoint_programs import alphapose_pictures, are_shares, mmpose_frames, picture_people, yolo_lines

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
    # The body of COCO-WholeBody: left toes and heel, then right
    23: (*COCO_17, *joints("l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel")),
    # Halpe: head top, neck, middle of the hips, feet
    26: (*COCO_17, *joints("head_top_lsp", "neck", "pelvis"), *_TOES, *_SMALL_TOES, *_HEELS),
    # BlazePose: nose, corners and middles of the eyes, ears, mouth, limbs, hands, heels, toes; −1 is none of ours
    33: (*_BLAZE_FACE, *COCO_17[5:11], *[-1] * 6, *COCO_17[11:], *_HEELS, *_TOES),
}
WHOLE_BODIES = {133: 23, 136: 26}  # COCO-WholeBody's and Halpe's keypoints, of which those of the body come first
COCO_COUNTS = (17, 23, 26, *WHOLE_BODIES)
PICTURE_COUNTS = (*COCO_COUNTS, 18, 25)  # of a file of one picture, AlphaPose's among them
_HINT = "give OpenPose's folder of *_keypoints.json (BODY_25), AlphaPose's, MMPose's, ultralytics' or COCO's keypoints"

People = dict[int, np.ndarray]  # a frame's number → its people (P, 49, 3): x, y in pixels and confidence 0..1


def read_keypoints(path: Path, needed: bool = True) -> Numbered:
    """People by the numbers that the file gives its frames; InputError when it is no file of keypoints.

    Frames nobody was found in may be left out; that nobody was found at all is an error where they are `needed`,
    else nothing comes back.
    """
    numbered = _read_folder(path) if path.is_dir() else _read_file(path)
    if any(len(people) for people in numbered.values()):
        return numbered
    if needed:
        raise InputError(f"{path}: no keypoints of anybody", hint=_HINT)
    return Numbered({})


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


def _read_folder(folder: Path) -> Numbered:
    """A folder of a file a frame: OpenPose's, MMPose's JSON of pictures, ultralytics' text; of one JSON, that."""
    files = sorted(folder.glob("*_keypoints.json"))
    if files:
        stems = [file.name.removesuffix("_keypoints.json") for file in files]
        return _numbered_files(folder, stems, [_openpose_people(_load(file), file) for file in files])
    pages = sorted(folder.glob("*.json"))
    if len(pages) == 1:
        return _read_file(pages[0])
    if pages:
        contents = [_load(file) for file in pages]
        people = [_picture(content, file) for content, file in zip(contents, pages, strict=True)]
        found = _numbered_files(folder, [file.stem for file in pages], people)
        return Numbered(found, found.names, shares=any(map(are_shares, contents)))
    texts = sorted(folder.glob("*.txt"))
    if not texts:
        raise InputError(f"{folder}: no *_keypoints.json in it, nor others' keypoints", hint=_HINT)
    found = _numbered_files(folder, [file.stem for file in texts], [_yolo_people(file) for file in texts])
    return Numbered(found, found.names, first=1, shares=True)


def _numbered_files(folder: Path, stems: list[str], people: list[np.ndarray]) -> Numbered:
    """People by the last number in the names of their files; by their order where one has none."""
    found = [last_number(stem) for stem in stems]
    told = [number for number in found if number is not None]
    numbers = told if len(told) == len(stems) > 1 else list(range(len(stems)))
    count = Counter(numbers)
    if number := next((str(number) for number in numbers if count[number] > 1), ""):
        raise InputError(f"{folder}: two files for frame {number}", hint="give one folder for each clip")
    return Numbered(dict(zip(numbers, people, strict=True)), dict(zip(numbers, stems, strict=True)))


def _picture(content: Any, file: Path) -> np.ndarray:
    """The people of a file of one picture, (P, 49, 3)."""
    if content == []:
        return _stack([])
    people = picture_people(content)
    if people is None:
        raise InputError(f"{file}: not the keypoints of a picture", hint=_HINT)
    return _stack([_points(numbers, PICTURE_COUNTS, file) for numbers in people if numbers])


def _yolo_people(file: Path) -> np.ndarray:
    """The people of one of ultralytics' files, (P, 49, 3), in shares of the picture."""
    try:
        people = yolo_lines(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not ultralytics' keypoints ({error})", hint=_HINT) from None
    return _stack([_points(numbers, (17,), file) for numbers in people])


def _read_file(path: Path) -> Numbered:
    """One JSON of a clip, or of one frame, told by its content."""
    content = _load(path)
    if isinstance(content, dict) and "people" in content:
        return Numbered({0: _openpose_people(content, path)}, {0: path.name.removesuffix("_keypoints.json")})
    try:
        return _other(content, path) or _coco(content, path)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path}: neither OpenPose's nor COCO's keypoints, nor others' ({type(error).__name__}: {error})",
            hint=_HINT,
        ) from None


def _other(content: Any, path: Path) -> Numbered | None:
    """MMPose's, ultralytics' or AlphaPose's people; None where the content is none of these."""
    frames = mmpose_frames(content)
    if frames is not None:
        found = {n: _stack([_points(one, COCO_COUNTS, path) for one in people]) for n, people in frames.items()}
        return Numbered(found, first=1 if isinstance(content, dict) else 0)
    if picture_people(content) is not None:
        return Numbered({0: _picture(content, path)}, {0: path.stem}, shares=are_shares(content))
    pictures = alphapose_pictures(content)
    if pictures is None:
        return None
    numbers = _numbers_of(list(pictures))
    found = {numbers[name]: _stack([_points(one, (18, 25), path) for one in some]) for name, some in pictures.items()}
    return Numbered(found, {number: name for name, number in numbers.items()})


def _coco(content: Any, path: Path) -> Numbered:
    """A dataset of COCO's, or a list of results, of which AlphaPose's have names of pictures for ids."""
    names: dict[int, str] = {}
    first = None
    if isinstance(content, dict):
        numbers, notes = _image_numbers(content["images"]), content["annotations"]
        files = {image["id"]: image.get("file_name") for image in content["images"]}
        names = {number: str(files[key]) for key, number in numbers.items() if files[key]}
    else:
        notes = [note for note in content if note.get("keypoints")]
        ids = list(dict.fromkeys(note["image_id"] for note in notes))
        named = bool(ids) and all(isinstance(one, str) for one in ids)
        numbers = _numbers_of(ids) if named else {one: _number(one) for one in ids}
        names = {number: name for name, number in numbers.items()} if named else {}
        if named and all(str(number) == Path(name).stem for name, number in numbers.items()):
            first = 0  # AlphaPose's names of a video's frames, which no file has
    found: dict[int, list[np.ndarray]] = {number: [] for number in numbers.values()}
    for note in notes:
        if not note.get("keypoints"):
            continue
        number = numbers[note["image_id"]]
        points = _points(note["keypoints"], COCO_COUNTS, path, note.get("score", 1.0))
        found.setdefault(number, []).append(points)
    return Numbered({number: _stack(people) for number, people in found.items()}, names, first)


def _image_numbers(images: list[dict]) -> dict[Any, int]:
    """A dataset's images by id → the frame's number: its frame_id, else that of its name, else the name's place."""
    if all("frame_id" in image for image in images):
        return {image["id"]: int(image["frame_id"]) for image in images}
    # "9.jpg" comes before "10.jpg"
    files = sorted(
        (str(image["file_name"]) for image in images),
        key=lambda name: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)],
    )
    try:
        numbers = _numbers_of(files)
    except ValueError:  # a name without a number
        numbers = {name: place for place, name in enumerate(files)}
    return {image["id"]: numbers[str(image["file_name"])] for image in images}


def _numbers_of(names: list[str]) -> dict[str, int]:
    """Pictures by name → their numbers; their places among the names where two would have the same."""
    numbers = [_number(name) for name in names]
    if len(set(numbers)) < len(names):
        numbers = list(range(len(names)))
    return dict(zip(names, numbers, strict=True))


def _number(image_id: int | str) -> int:
    """The number that an image's id is, or ends with before its suffix."""
    number = last_number(str(image_id).rsplit(".", 1)[0])
    if number is None:
        raise ValueError(f"image_id {image_id!r} holds no number")
    return number


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
    if len(points) in counts:
        points = points[: WHOLE_BODIES.get(len(points), len(points))]
    else:
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
