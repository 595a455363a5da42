"""What keypoint files of MMPose, ultralytics and AlphaPose's other format hold, as lists x, y, confidence, x, ….

They are as the programs write them: MMPose's `--pred-out-dir` one JSON an image, a list of instances, or for a video a
list of frames counted from 0; its demo's `--save-predictions` an `instance_info` counted from 1; ultralytics'
`save_txt` one line a person in shares of the picture, a file a frame counted from 1, and `to_json`; AlphaPose's
`--format open` and `cmu` OpenPose's people by the name of their picture.
"""

from __future__ import annotations

from typing import Any

Flat = list[float]  # x, y, confidence of every keypoint in turn
YOLO_KEYPOINTS = 17
HEAD = 5  # numbers of a line of `save_txt` before the keypoints: class and box; behind may come confidence and id


def mmpose_frames(content: Any) -> dict[int, list[Flat]] | None:
    """MMPose's frames by number, from its file of a video; None where it is none."""
    if isinstance(content, dict) and "instance_info" in content:
        content = content["instance_info"]
    if not (isinstance(content, list) and content and all(isinstance(f, dict) and "instances" in f for f in content)):
        return None
    return {int(frame["frame_id"]): [_mmpose(one) for one in frame["instances"]] for frame in content}


def picture_people(content: Any) -> list[Flat] | None:
    """The people of a file of one picture: MMPose's instances or ultralytics' `to_json`; None where it is neither."""
    if not (isinstance(content, list) and all(isinstance(one, dict) for one in content)):
        return None
    if content and all("keypoint_scores" in one for one in content):
        return [_mmpose(one) for one in content]
    if content and all("box" in one and "image_id" not in one for one in content):
        return [_ultralytics(one["keypoints"]) for one in content if "keypoints" in one]
    return None


def alphapose_pictures(content: Any) -> dict[str, list[Flat]] | None:
    """AlphaPose's people by picture, from `--format open` or `cmu`; None where it is neither."""
    if not (isinstance(content, dict) and content and all(isinstance(one, dict) for one in content.values())):
        return None
    found: dict[str, list[Flat]] = {}
    for name, one in content.items():
        if "people" in one:
            found[name] = [person["pose_keypoints_2d"] for person in one["people"]]
        elif "bodies" in one:
            found[name] = [person["joints"] for person in one["bodies"]]
        else:
            return None
    return found


def yolo_lines(text: str) -> list[Flat]:
    """People of a file of ultralytics' `save_txt`, x and y as shares of the picture; ValueError where it is none."""
    people = []
    for line in text.splitlines():
        numbers = [float(word) for word in line.split()]
        more = len(numbers) - HEAD
        if more in range(3 * YOLO_KEYPOINTS, 3 * YOLO_KEYPOINTS + 3):
            people.append(numbers[HEAD : HEAD + 3 * YOLO_KEYPOINTS])
        elif more in range(2 * YOLO_KEYPOINTS, 2 * YOLO_KEYPOINTS + 3):
            pairs = zip(numbers[HEAD::2], numbers[HEAD + 1 :: 2], strict=False)
            people.append([value for x, y in list(pairs)[:YOLO_KEYPOINTS] for value in (x, y, 1.0)])
        elif numbers:
            raise ValueError(f"a line of {len(numbers)} numbers, not {HEAD} and {YOLO_KEYPOINTS} keypoints")
    return people


def _mmpose(instance: dict[str, Any]) -> Flat:
    points = zip(instance["keypoints"], instance["keypoint_scores"], strict=True)
    return [value for (x, y), score in points for value in (x, y, score)]


def _ultralytics(points: dict[str, list[float]]) -> Flat:
    sure = points.get("visible") or [1.0] * len(points["x"])
    return [value for row in zip(points["x"], points["y"], sure, strict=True) for value in row]
