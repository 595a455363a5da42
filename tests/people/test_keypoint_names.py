"""Keypoints of other programs go to the frames that their programs mean: by names, or by the programs' own numbers."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vibe_cli.errors import InputError
from vibe_cli.people.keypoint_files import read_keypoints
from vibe_cli.people.keypoint_names import placed
from vibe_cli.results import VideoInfo

WIDTH, HEIGHT = 200, 100


def clip(frames: int = 6, files: tuple[str, ...] = ()) -> VideoInfo:
    """A clip, of files where these are given."""
    count = len(files) or frames
    return VideoInfo("clip", WIDTH, HEIGHT, Fraction(25), np.arange(count) / 25, kind="images", files=files)


FILES = tuple(f"{number:04d}.png" for number in range(1, 7))  # as ffmpeg writes a video's frames


def flat(x: float, count: int = 17) -> list[float]:
    """Somebody whose nose is at x, 7."""
    return [value for k in range(count) for value in (x + k, 7.0 + k, 0.8)]


def pairs(x: float, count: int = 17) -> dict:
    """The same as MMPose writes an instance."""
    return {
        "keypoints": [[x + k, 7.0 + k] for k in range(count)],
        "keypoint_scores": [0.8] * count,
        "bbox": [[0, 0, 9, 9]],
        "bbox_score": 0.9,
    }


def frames_of(path: Path, video: VideoInfo, warnings: list[str] | None = None) -> dict[int, float]:
    """By frame of the clip where the nose of its first person is."""
    people = placed(read_keypoints(path), video, str(path), [] if warnings is None else warnings)
    return {frame: round(float(found[0][0, 0]), 3) for frame, found in people.items() if len(found)}


def write(path: Path, content: object) -> Path:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def alphapose(names: list[str]) -> list[dict]:
    """AlphaPose's results, each with its name's number as x."""
    return [
        {"image_id": name, "category_id": 1, "keypoints": flat(int(name.split(".")[0])), "score": 2.9} for name in names
    ]


@pytest.mark.parametrize("names", [FILES, FILES[:4], FILES[2:], FILES[1:2]], ids=["all", "first", "last", "one"])
def test_names_match_exactly_whichever_frames_have_nobody(names: tuple[str, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "alphapose-results.json", alphapose(list(names)))
    assert frames_of(path, clip(files=FILES)) == {int(name[:4]) - 1: int(name[:4]) for name in names}


def test_names_match_without_their_folder_and_suffix_and_what_matches_nothing_is_named(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = write(tmp_path / "a.json", alphapose(["0002.jpg", "0003.jpg", "0099.jpg"]))
    assert frames_of(path, clip(files=FILES), warnings) == {1: 2, 2: 3}
    assert len(warnings) == 1 and "0099.jpg" in warnings[0]
    content = {
        "images": [{"id": 41, "file_name": "val/0005.png"}, {"id": 42, "file_name": "val/0002.png"}],
        "annotations": [{"image_id": 41, "keypoints": flat(5)}, {"image_id": 42, "keypoints": flat(2)}],
    }
    assert frames_of(write(tmp_path / "coco.json", content), clip(files=FILES)) == {4: 5, 1: 2}


def test_names_with_decimals_are_names_too(tmp_path: Path) -> None:
    files = ("0.png", "0.05.png", "0.5.png")
    results = [{"image_id": name, "keypoints": flat(x)} for x, name in enumerate(files)]
    assert frames_of(write(tmp_path / "a.json", results), clip(files=files)) == {0: 0, 1: 1, 2: 2}


def test_numbers_are_those_of_the_files_where_these_have_them(tmp_path: Path) -> None:
    path = write(tmp_path / "results.json", [{"image_id": n, "keypoints": flat(n)} for n in (1, 3)])
    assert frames_of(path, clip(files=FILES)) == {0: 1, 2: 3}
    path = write(tmp_path / "zero.json", [{"image_id": n, "keypoints": flat(n)} for n in (0, 3)])
    assert frames_of(path, clip(files=FILES)) == {0: 0, 3: 3}, "a number that no file has: places, from 0"


def test_a_number_one_of_a_video_is_said_to_be_the_second_frame(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = write(tmp_path / "results.json", [{"image_id": n, "keypoints": flat(n)} for n in (1, 2)])
    assert frames_of(path, clip(6), warnings) == {1: 1, 2: 2} and "second frame" in warnings[0]


def test_openposes_files_of_a_folder_of_images_go_by_name(tmp_path: Path) -> None:
    for name in ("0003", "0005"):
        write(tmp_path / "op" / f"{name}_keypoints.json", {"people": [{"pose_keypoints_2d": flat(int(name), 25)}]})
    assert frames_of(tmp_path / "op", clip(files=FILES)) == {2: 3, 4: 5}


def test_mmposes_video_counts_from_zero_and_its_demo_from_one(tmp_path: Path) -> None:
    frames = [{"frame_id": n, "instances": [pairs(n)] if n % 2 else []} for n in range(1, 5)]
    assert frames_of(write(tmp_path / "a.json", frames), clip(6)) == {1: 1, 3: 3}
    demo = {"meta_info": {"dataset_name": "coco"}, "instance_info": frames}
    assert frames_of(write(tmp_path / "b.json", demo), clip(6)) == {0: 1, 2: 3}


def test_mmposes_folder_has_a_file_an_image(tmp_path: Path) -> None:
    for name in ("0002", "0004"):
        write(tmp_path / "predictions" / f"{name}.json", [pairs(int(name)), pairs(90)])
    write(tmp_path / "predictions" / "0005.json", [])
    assert frames_of(tmp_path / "predictions", clip(files=FILES)) == {1: 2, 3: 4}
    assert frames_of(write(tmp_path / "0003.json", [pairs(3)]), clip(files=FILES)) == {2: 3}


def test_mmposes_demo_of_an_image_has_its_instances_alone(tmp_path: Path) -> None:
    demo = {"meta_info": {"dataset_name": "coco"}, "instance_info": [pairs(3), pairs(90)]}
    assert frames_of(write(tmp_path / "results_0003.json", demo), clip(1)) == {0: 3}
    for number in (2, 4):
        demo["instance_info"] = [pairs(number)]
        write(tmp_path / "results" / f"results_{number:04d}.json", demo)
    assert frames_of(tmp_path / "results", clip(files=FILES)) == {1: 2, 3: 4}


@pytest.mark.parametrize("kind", ["open", "cmu"])
def test_alphaposes_file_a_picture_is_read(kind: str, tmp_path: Path) -> None:
    for number in (2, 5):
        one = {"pose_keypoints_2d": flat(number, 18)} if kind == "open" else {"joints": flat(number, 18)}
        write(tmp_path / f"{number:04d}.json", {"version": 0.1, "people" if kind == "open" else "bodies": [one]})
    assert frames_of(tmp_path, clip(files=FILES)) == {1: 2, 4: 5}


def test_alphapose_counts_a_videos_frames_from_zero_whichever_have_people(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = write(tmp_path / "a.json", alphapose(["1.jpg", "3.jpg"]))
    assert frames_of(path, clip(6), warnings) == {1: 1, 3: 3} and not warnings


def test_ultralytics_json_may_be_in_shares_of_the_picture(tmp_path: Path) -> None:
    points = {"x": [(3 + k) / WIDTH for k in range(17)], "y": [(7 + k) / HEIGHT for k in range(17)]}
    one = {"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 0.1, "y1": 0, "x2": 1, "y2": 0.5}}
    for number in (2, 3):
        write(tmp_path / f"{number:04d}.json", [one | {"keypoints": points}])
    assert frames_of(tmp_path, clip(files=FILES)) == {1: 3, 2: 3}
    assert frames_of(tmp_path / "0003.json", clip(files=FILES)) == {2: 3}


@pytest.mark.parametrize("more", [[], [0.9], [0.9, 7]], ids=["", "confidence", "id"])
def test_ultralytics_text_has_shares_of_the_picture_and_counts_from_one(more: list[float], tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    for number in (1, 4):
        points = [value for k in range(17) for value in ((number + k) / WIDTH, (7 + k) / HEIGHT, 0.8)]
        line = " ".join(map(str, [0, 0.5, 0.5, 0.2, 0.8, *points, *more]))
        (labels / f"walk_{number}.txt").write_text(line + "\n")
    found = placed(read_keypoints(labels), clip(6), "labels", [])
    assert sorted(found) == [0, 3] and np.allclose(found[3][0, 0], [4, 7, 0.8], atol=1e-4)
    for number in (1, 4):
        (labels / f"walk_{number}.txt").rename(labels / f"{number:04d}.txt")
    assert frames_of(labels, clip(files=FILES[2:])) == {1: 4}


def test_ultralytics_json_and_alphaposes_open_format_are_read(tmp_path: Path) -> None:
    points = {"x": [3.0 + k for k in range(17)], "y": [7.0 + k for k in range(17)], "visible": [0.8] * 17}
    one = {"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 0, "y1": 0, "x2": 9, "y2": 9}}
    assert frames_of(write(tmp_path / "0003.json", [one | {"keypoints": points}]), clip(files=FILES)) == {2: 3}
    pictures = {name: {"version": "x", "people": [{"pose_keypoints_2d": flat(2, 18)}]} for name in FILES[1:2]}
    assert frames_of(write(tmp_path / "open.json", pictures), clip(files=FILES)) == {1: 2}
    pictures = {name: {"bodies": [{"joints": flat(4, 18)}]} for name in FILES[3:4]}
    assert frames_of(write(tmp_path / "cmu.json", pictures), clip(files=FILES)) == {3: 4}


@pytest.mark.parametrize("count", [26, 133, 136])
def test_halpes_and_whole_bodies_are_read_to_the_feet(count: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [{"image_id": "1.jpg", "keypoints": flat(1, count), "score": 2}])
    found = read_keypoints(path)[1][0]
    toes = [row for row in range(19, 25) if found[row, 2] > 0]
    assert found[0, 0] == 1 and len(toes) == 6


def test_one_frame_twice_and_lines_of_other_lengths_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", alphapose(["0002.jpg", "0002.png"]))
    with pytest.raises(InputError, match="twice"):
        frames_of(path, clip(files=FILES))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a_1.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(InputError, match="a line of 5 numbers"):
        read_keypoints(tmp_path / "labels")
