"""What keypoint files of MMPose, ultralytics and AlphaPose's other format hold, as lists x, y, confidence, x, ….

They are as the programs write them (read in MMPose 1.3's inferencer and demos, written by ultralytics 8.4, told by
AlphaPose's doc/output.md): MMPose's `--pred-out-dir` one JSON an image, a list of instances, or for a video a list of
frames counted from 0; its demos' `--save-predictions` an `instance_info`, of an image its instances, of a video frames
counted from 1; ultralytics' `save_txt` one line a person in shares of the picture, a file a frame counted from 1, and
`to_json`, in pixels or shares; AlphaPose's `--format open` and `cmu` OpenPose's people by the name of their picture, or
with `--sep` a file a picture.
"""

from __future__ import annotations

from typing import Any

Flat = list[float]  # x, y, confidence of every keypoint in turn
YOLO_KEYPOINTS = 17
HEAD = 5  # numbers of a line of `save_txt` before the keypoints: class and box; behind may come confidence and id


def mmpose_frames(content: Any) -> dict[int, list[Flat]] | None:
    """MMPose's frames by number, from its file of a video; None where it is none."""
    content = _instances(content)
    if not (isinstance(content, list) and content and all(isinstance(f, dict) and "instances" in f for f in content)):
        return None
    return {int(frame["frame_id"]): [_mmpose(one) for one in frame["instances"]] for frame in content}


def picture_people(content: Any) -> list[Flat] | None:
    """The people of a file of one picture: MMPose's, ultralytics' or AlphaPose's; None where it is none of these."""
    content = _instances(content)
    if isinstance(content, dict):
        return _openpose_people(content)
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
        people = _openpose_people(one)
        if people is None:
            return None
        found[name] = people
    return found


def are_shares(content: Any) -> bool:
    """Whether a file of ultralytics' `to_json` has shares of the picture, which its boxes tell."""
    if not isinstance(content, list):
        return False
    boxes = [one["box"] for one in content if isinstance(one, dict) and "box" in one]
    return bool(boxes) and all(0 <= value <= 1 for box in boxes for value in box.values())


def _instances(content: Any) -> Any:
    """The people that MMPose's demos keep beside what they say about the data set; other content as it is."""
    return content["instance_info"] if isinstance(content, dict) and "instance_info" in content else content


def _openpose_people(content: dict[str, Any]) -> list[Flat] | None:
    """People of AlphaPose's `--format open` or `cmu` of one picture; None where it is neither."""
    if "people" in content:
        return [person["pose_keypoints_2d"] for person in content["people"]]
    return [person["joints"] for person in content["bodies"]] if "bodies" in content else None


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
