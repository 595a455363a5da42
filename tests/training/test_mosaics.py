"""Photographs as scenes for a detector: boxes follow what a tile shows."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from vibe_cli.errors import InputError
from vibe_cli.training.mosaics import BoxedPicture, PhotoScenes, _with_marked, move_boxes, read_everyday

ONE = BoxedPicture(b"", np.array([[50.0, 40, 20, 40]]), np.array([True]))
UPRIGHT = np.eye(2)


def moved(axes: np.ndarray, start: tuple[float, float], picture: BoxedPicture = ONE) -> tuple[np.ndarray, np.ndarray]:
    return move_boxes(picture, axes, np.array(start), 100, 100)


def test_a_box_moves_and_grows_with_its_picture() -> None:
    boxes, wanted = moved(1.5 * UPRIGHT, (-10, 5))
    np.testing.assert_allclose(boxes, [[65, 65, 30, 60]], atol=1e-5)
    assert wanted.all()


def test_a_mirrored_picture_mirrors_its_boxes() -> None:
    boxes, _ = moved(np.diag([-1.0, 1]), (100, 0))
    np.testing.assert_allclose(boxes, [[50, 40, 20, 40]], atol=1e-5)


def test_a_box_ends_with_its_tile_and_somebody_hardly_shown_is_not_wanted() -> None:
    boxes, wanted = moved(UPRIGHT, (45, 0))
    np.testing.assert_allclose(boxes, [[92.5, 40, 15, 40]], atol=1e-5)
    assert wanted.all()
    boxes, wanted = moved(UPRIGHT, (57, 0))
    assert len(boxes) == 1 and not wanted.any()
    assert not len(moved(UPRIGHT, (61, 0))[0])


def test_a_turned_box_is_about_what_an_ellipse_fills() -> None:
    boxes, _ = moved(np.array([[0.0, -1], [1, 0]]), (90, 0))
    np.testing.assert_allclose(boxes[0, 2:], [43, 21.5], rtol=0.1)


def test_the_one_who_is_marked_is_wanted_though_no_network_found_them() -> None:
    boxes, wanted = _with_marked(np.zeros((0, 5)), np.array([10.0, 10, 8, 8]))
    assert wanted.tolist() == [True] and boxes.tolist() == [[10, 10, 8, 8]]
    found = np.array([[0, 0, 20, 20, 0.2], [60, 60, 10, 10, 0.9], [80, 80, 10, 10, 0.2]])
    boxes, wanted = _with_marked(found, np.array([10.0, 10, 18, 18]))
    assert wanted.tolist() == [True, True, False]


def write_pictures(folder: Path, entries: list[dict]) -> None:
    with tarfile.open(folder / "scenes.tar", "w") as archive:
        for entry in entries:
            packed = cv2.imencode(".jpg", np.full((80, 120, 3), 128, np.uint8))[1].tobytes()
            info = tarfile.TarInfo(f"scenes/{entry['file_name']}")
            info.size = len(packed)
            archive.addfile(info, io.BytesIO(packed))
    (folder / "scenes.json").write_text(json.dumps(entries))


def test_crowds_and_whom_only_a_network_found_are_not_wanted(tmp_path: Path) -> None:
    people = [{"box": [0, 0, 20, 40], "crowd": False}, {"box": [60, 0, 40, 40], "crowd": True}]
    found = [[1, 1, 19, 38, 0.9], [30, 40, 10, 20, 0.8]]
    write_pictures(tmp_path, [{"file_name": "a.jpg", "people": people, "yolox": found}])
    (picture,) = read_everyday(tmp_path)
    assert picture.wanted.tolist() == [True, False, False]
    np.testing.assert_allclose(picture.boxes[2], [35, 50, 10, 20])


def test_a_damaged_list_is_said(tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text("[{}]")
    with pytest.raises(InputError, match="not a list of boxed pictures"):
        read_everyday(tmp_path)


def test_scenes_are_as_large_as_asked_and_their_boxes_lie_inside(tmp_path: Path) -> None:
    entries = [
        {"file_name": "a.jpg", "people": [{"box": [10, 10, 30, 60], "crowd": False}], "yolox": []},
        {"file_name": "b.jpg", "people": [], "yolox": []},
    ]
    write_pictures(tmp_path, entries)
    scenes = PhotoScenes.__new__(PhotoScenes)
    everyday = read_everyday(tmp_path)
    scenes.size, scenes.kinds = 96, [[], everyday[:1], everyday[1:]]
    for seed in range(10):
        image, boxes, wanted = scenes.scene(np.random.default_rng(seed))
        assert image.shape == (96, 96, 3) and len(boxes) == len(wanted)
        assert (boxes[:, :2] - boxes[:, 2:] / 2 >= -1e-3).all() and (boxes[:, :2] + boxes[:, 2:] / 2 <= 96.001).all()
