"""Facts about the readers of 2D data sets, COCO and our own people: tiny sets are read back exactly."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from tests.datasets.test_datasets import (
    HEAD,
    HEAD_TOP,
    L_ANKLE,
    L_ELBOW,
    L_HIP,
    L_SHOULDER,
    L_WRIST,
    NECK,
    OP_L_EAR,
    OP_L_EYE,
    OP_L_HIP,
    OP_NOSE,
    OP_R_EAR,
    OP_R_EYE,
    R_ANKLE,
    R_ELBOW,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
    greys,
    write_images,
)
from tests.helpers.dataset_files import write_tfrecord
from vibe_cli.datasets import open_dataset
from vibe_cli.datasets.tfrecord import read_examples
from vibe_cli.errors import InputError
from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.networks.skeleton import KEYPOINTS_OF_54, MIRRORED_KEYPOINTS
from vibe_cli.synth.people import SIZE
from vibe_cli.video.writer import VideoWriter

RNG = np.random.default_rng(5)
COCO_ROWS = {
    OP_NOSE: 0,
    OP_L_EYE: 1,
    OP_R_EYE: 2,
    OP_L_EAR: 3,
    OP_R_EAR: 4,
    L_SHOULDER: 5,
    R_SHOULDER: 6,
    L_ELBOW: 7,
    R_ELBOW: 8,
    L_WRIST: 9,
    R_WRIST: 10,
    L_HIP: 11,
    R_HIP: 12,
    R_KNEE: 14,
    L_ANKLE: 15,
    R_ANKLE: 16,
}


LSP_ORDER = [R_ANKLE, R_KNEE, R_HIP, L_HIP, None, L_ANKLE, R_WRIST, R_ELBOW, R_SHOULDER, L_SHOULDER, L_ELBOW, L_WRIST]


def test_lspet_counts_pixels_from_one_and_measures_limbs(tmp_path: Path) -> None:
    joints = np.concatenate([RNG.uniform(20, 120, (3, 14, 2)), np.ones((3, 14, 1))], axis=2)
    joints[0, 7] = 0  # as the set writes a joint that is not marked
    names = ["im09600.jpg", "im09601.jpg", "im09602.jpg"]
    (tmp_path / "lspet").mkdir()
    np.savez(tmp_path / "lspet_labels.npz", names=np.array(names), human=joints)
    validation = list(open_dataset("lspet", tmp_path))
    assert [one.name for one in validation] == ["im09601", "im09602"]
    (one,) = open_dataset("lspet", tmp_path, "train")
    for row, at in enumerate(LSP_ORDER):
        if at is not None and row != 7:
            assert one.joints2d[0, at].tolist() == pytest.approx(joints[0, row].tolist(), abs=1e-4)
    assert one.joints2d[0, R_ELBOW, 2] == 0 and one.joints2d[0, [NECK, HEAD_TOP], 2].tolist() == [0.5, 0.5]
    marked = np.delete(joints[0], 7, axis=0)[:, :2]
    assert one.boxes[0, 2:] == pytest.approx(1.1 * np.ptp(marked, axis=0), rel=1e-4)

    (tmp_path / "published" / "images").mkdir(parents=True)
    scipy.io.savemat(tmp_path / "published" / "joints.mat", {"joints": joints.transpose(1, 2, 0) + [[1], [1], [0]]})
    first = next(iter(open_dataset("lspet", tmp_path / "published", "train")))
    assert first.name == "im00001" and np.allclose(first.joints2d[0, R_ANKLE], joints[0, 0], atol=1e-4)


def test_lspet_whose_archive_is_still_packed_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "lspet_labels.npz", names=np.array(["im09601.jpg"]), human=np.ones((1, 14, 3)))
    with pytest.raises(InputError) as caught:
        list(open_dataset("lspet", tmp_path))
    assert "lspet.tar unpacked" in caught.value.hint


def make_penn(folder: Path, count: int = 3, train: int = -1, **changes: np.ndarray) -> dict:
    """One video."""
    content = {
        "x": RNG.uniform(3, 28, (count, 13)),
        "y": RNG.uniform(3, 20, (count, 13)),
        "visibility": np.ones((count, 13)),
        "bbox": np.tile([2.0, 1, 12, 21], (count, 1)),
        "dimensions": [[24, 32, count]],
        "nframes": count,
        "action": "squat",
        "train": train,
    } | changes
    content["visibility"][1, 5] = 0
    (folder / "labels").mkdir(parents=True)
    scipy.io.savemat(folder / "labels" / "0007.mat", content)
    write_images(folder / "frames" / "0007", [f"{n + 1:06d}.jpg" for n in range(count)])
    return content


def test_penn_action_has_13_joints_left_first_and_boxes_by_their_corners(tmp_path: Path) -> None:
    content = make_penn(tmp_path)
    (sequence,) = open_dataset("penn-action", tmp_path)
    assert (sequence.name, len(sequence)) == ("0007", 3) and greys(sequence) == [0, 1, 2]
    named = {
        HEAD: 0,
        L_SHOULDER: 1,
        R_SHOULDER: 2,
        L_ELBOW: 3,
        R_ELBOW: 4,
        L_WRIST: 5,
        R_WRIST: 6,
        L_HIP: 7,
        R_HIP: 8,
        R_KNEE: 10,
        L_ANKLE: 11,
        R_ANKLE: 12,
    }
    for row, joint in named.items():
        assert np.allclose(sequence.joints2d[:, row, :2], np.stack([content["x"], content["y"]], -1)[:, joint]), row
    assert sequence.joints2d[1, L_WRIST, 2] == 0 and sequence.joints2d[1, R_WRIST, 2] == 1
    assert not sequence.joints2d[:, [NECK, OP_NOSE]].any()
    assert np.allclose(sequence.boxes, [7, 11, 10, 20])
    with pytest.raises(InputError, match="nothing of Penn Action"):
        list(open_dataset("penn-action", tmp_path, "train"))


def test_penn_action_with_fewer_boxes_or_pictures_than_labels(tmp_path: Path) -> None:
    make_penn(tmp_path / "a", bbox=np.array([[2.0, 1, 12, 21], [4, 1, 14, 21]]))
    (sequence,) = open_dataset("penn-action", tmp_path / "a")
    assert sequence.valid.tolist() == [True, True, False] and np.allclose(sequence.boxes[2], [9, 11, 10, 20])
    make_penn(tmp_path / "b")
    (tmp_path / "b/frames/0007/000003.jpg").unlink()
    with pytest.raises(InputError, match="000003.jpg: missing") as caught:
        list(open_dataset("penn-action", tmp_path / "b"))
    assert "dreamdragon" in caught.value.hint


def test_posetrack_follows_people_over_frames_that_are_not_labelled(tmp_path: Path) -> None:
    names = [f"images/val/01_mpii/{n:06d}.jpg" for n in range(5)]
    write_images(tmp_path / "images/val/01_mpii", [Path(n).name for n in names])
    points = RNG.uniform(3, 28, (2, 17, 3))
    points[..., 2] = 1
    points[1, 9, 2] = 0
    notes = [
        {"image_id": 100 + frame, "track_id": 4, "bbox": [frame, 2, 10, 20], "keypoints": points[row].ravel().tolist()}
        for row, frame in enumerate((1, 3))
    ]
    home = tmp_path / "posetrack_data/annotations/val"
    home.mkdir(parents=True)
    (home / "01_mpii.json").write_text(
        json.dumps(
            {"images": [{"id": 100 + n, "file_name": name} for n, name in enumerate(names)], "annotations": notes}
        )
    )
    (sequence,) = open_dataset("posetrack", tmp_path)
    assert (sequence.name, len(sequence)) == ("01_mpii/4", 3) and greys(sequence) == [1, 2, 3]
    assert sequence.valid.tolist() == [True, False, True]
    assert np.allclose(sequence.boxes, [[6, 12, 10, 20], [7, 12, 10, 20], [8, 12, 10, 20]])
    for row, joint in {OP_NOSE: 0, NECK: 1, HEAD_TOP: 2, OP_L_EAR: 3, L_SHOULDER: 5, R_HIP: 12, R_ANKLE: 16}.items():
        assert np.allclose(sequence.joints2d[[0, 2], row, :2], points[:, joint, :2]), row
    assert not sequence.joints2d[:, [OP_L_EYE, OP_R_EYE]].any() and not sequence.joints2d[1, :, 2].any()
    assert sequence.joints2d[2, L_WRIST, 2] == 0


def test_posetrack_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="annotations: missing"):
        list(open_dataset("posetrack", tmp_path))
    home = tmp_path / "annotations/val"
    home.mkdir(parents=True)
    (home / "a.json").write_text('{"images": [{"id": 1, "file_name": "images/val/a/0.jpg"}], "annotations": []}')
    with pytest.raises(InputError, match="images/val/a/0.jpg: missing"):
        list(open_dataset("posetrack", tmp_path))
    (home / "a.json").write_text("{")
    with pytest.raises(InputError, match="a.json: not as this data set has it"):
        list(open_dataset("posetrack", tmp_path))


def insta_example(count: int = 2) -> dict:
    """An example with its 25 keypoints (N, 25, 3)."""
    points = RNG.uniform(10, 50, (count, 25, 3)).astype(np.float32)
    points[..., 2] = 1
    points[0, 13, 2] = 0  # the head's top, which OpenPose does not find
    jpegs = [cv2.imencode(".png", np.full((8, 8, 3), 10 * n, np.uint8))[1].tobytes() for n in range(count)]
    flat = points.transpose(0, 2, 1)
    return {
        "meta/N": np.array([count]),
        "image/encoded": jpegs,
        "image/filenames": [b"a.jpg"] * count,
        "image/xys": flat[:, :2, :14].ravel(),
        "image/visibilities": flat[:, 2, :14].astype(int).ravel(),
        "image/face_pts": flat[:, :, 14:19].ravel(),
        "image/toe_pts": flat[:, :, 19:].ravel(),
        "mosh/poses": -np.ones(72 * count),
        "image/heightwidths": np.array([-1, 8]),
        "points": points.ravel(),
    }


def test_instavariety_clips_are_read_without_tensorflow(tmp_path: Path) -> None:
    example = insta_example()
    unseen = insta_example() | {
        name: np.zeros(size)
        for name, size in (("image/visibilities", 28), ("image/face_pts", 30), ("image/toe_pts", 36))
    }  # nobody has a box there
    write_tfrecord(tmp_path / "insta_variety_00_copy00.tfrecord", [example, unseen, insta_example(3)])
    write_tfrecord(tmp_path / "insta_variety_00_copy01.tfrecord", [insta_example(4)])
    first, second = open_dataset("instavariety", tmp_path)
    assert (first.name, len(first), len(second)) == ("insta_variety_00_copy00/0", 2, 3) and greys(second) == [0, 1, 2]
    points = example["points"].reshape(2, 25, 3)
    rows = {
        R_KNEE: 1,
        R_WRIST: 6,
        L_SHOULDER: 9,
        L_WRIST: 11,
        HEAD_TOP: 13,
        OP_NOSE: 14,
        OP_L_EYE: 15,
        OP_R_EAR: 18,
        19: 19,
        22: 20,
        20: 21,
        23: 22,
        21: 5,
        24: 0,
        14: 23,
        11: 24,
        OP_L_HIP: 3,
    }
    for row, joint in rows.items():
        assert np.allclose(first.joints2d[:, row], points[:, joint]), row
    assert first.joints2d[0, HEAD_TOP, 2] == 0


def test_damaged_tfrecords_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.tfrecord"
    write_tfrecord(file, [insta_example()])
    data = file.read_bytes()
    (example,) = read_examples(file)
    assert example["image/heightwidths"].tolist() == [-1, 8]  # integers below zero are ten bytes long
    for damaged in (data[:-1], data[:6], b"\xff" * 20, data[:12] + b"\x0a\xff" + data[14:]):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="a.tfrecord"):
            list(open_dataset("instavariety", tmp_path))


def test_kinetics_links_the_detected_people_of_a_video(tmp_path: Path) -> None:
    (tmp_path / "videos/dancing").mkdir(parents=True)
    (tmp_path / "keypoints").mkdir()
    with VideoWriter(tmp_path / "videos/dancing/abc_000010_000020.mp4", 128, 96, Fraction(25), crf=5) as writer:
        for number in range(30):
            writer.write(np.full((96, 128, 3), 8 * number, np.uint8))
    base, notes = RNG.uniform(0, 1, (17, 2)) * [20, 60] + [10, 20], []
    for number in range(30):
        for left, seen in ((0, True), (70, number != 12)):  # two people; the second is missed once
            points = np.concatenate([base + [left + number * 0.5, 0], np.full((17, 1), 0.9)], axis=1)
            if seen:
                notes.append({"image_id": f"{number}.jpg", "keypoints": points.ravel().tolist(), "score": 0.9})
    (tmp_path / "keypoints/abc_000010_000020.json").write_text(json.dumps(notes))
    (tmp_path / "videos/dancing/unlabelled.mp4").write_bytes(b"")
    (tmp_path / "videos/dancing/nobody.mp4").write_bytes(b"")
    (tmp_path / "keypoints/nobody.json").write_text("[]")
    first, second = open_dataset("kinetics-400", tmp_path)
    assert (len(first), len(second), first.fps) == (30, 30, 25)
    if first.boxes[0, 0] > second.boxes[0, 0]:
        first, second = second, first
    for row, joint in COCO_ROWS.items():
        assert np.allclose(first.joints2d[7, row], [*(base[joint] + [3.5, 0]), 0.9], atol=1e-4), row
    assert np.allclose(second.joints2d[20, R_ANKLE, :2], base[16] + [80, 0], atol=1e-4)
    assert not second.valid[12] and not second.joints2d[12].any() and second.valid.sum() == 29
    assert [round(frame.mean() / 8) for frame in first.frames.read(27)] == [27, 28, 29]


def make_coco(folder: Path, official: bool = True) -> np.ndarray:
    """Two people and a crowd in one picture, nobody in another."""
    points = np.zeros((17, 3))
    points[:, :2], points[:, 2] = RNG.uniform(20, 100, (17, 2)), 2
    points[3, 2], points[4] = 1, 0
    other = {"keypoints": [0] * 51, "image_id": 9, "id": 2, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    content = {
        "images": [{"id": 8, "file_name": "000008.jpg"}, {"id": 9, "file_name": "000009.jpg"}],
        "annotations": [
            {"keypoints": points.ravel().tolist(), "image_id": 9, "id": 1, "bbox": [10, 20, 60, 100], "iscrowd": 0},
            other,
            other | {"id": 3, "iscrowd": 1, "bbox": [0, 0, 128, 128]},
        ],
    }
    file = folder / ("annotations/person_keypoints_val2017.json" if official else "person_keypoints.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    write_images(folder / ("val2017" if official else "images"), ["000008.jpg", "000009.jpg"], (128, 128))
    return points


@pytest.mark.parametrize("official", [True, False])
def test_coco_has_17_keypoints_left_first_and_boxes_by_their_corner(tmp_path: Path, official: bool) -> None:
    points = make_coco(tmp_path, official)
    (sequence,) = open_dataset("coco-keypoints", tmp_path)
    assert (sequence.name, len(sequence)) == ("000009/1", 1) and greys(sequence) == [1]
    for row, joint in COCO_ROWS.items():
        assert np.allclose(sequence.joints2d[0, row], points[joint] / [1, 1, 2]), row
    assert sequence.joints2d[0, OP_L_EAR, 2] == 0.5 and sequence.joints2d[0, OP_R_EAR, 2] == 0
    assert np.allclose(sequence.boxes, [40, 70, 60, 100])
    assert [s.name for s in open_dataset("coco-people", tmp_path)] == ["000009/1", "000009/2"]


def test_coco_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="person_keypoints_val2017.json: missing") as caught:
        list(open_dataset("coco-keypoints", tmp_path))
    assert "cocodataset.org" in caught.value.hint
    make_coco(tmp_path)
    with pytest.raises(InputError, match="person_keypoints_train2017.json: missing"):
        list(open_dataset("coco-keypoints", tmp_path, "train"))
    with pytest.raises(InputError, match="at least 1"):
        open_dataset("coco-keypoints", tmp_path, limit=0)


def make_cache(folder: Path, clips: int = 3, length: int = 4, name: str = "heldclips", seed: int = 8) -> dict:
    """A crop cache of bright figures on nothing, with labels that say where they are."""
    rng, count = np.random.default_rng(seed), clips * length
    images = np.zeros((count, SIZE, SIZE, 4), np.uint8)
    images[:, 30:130, 60:100] = 255
    turn = np.diag([1.0, -1, -1])  # upright, facing the camera
    rotations = np.tile(np.eye(3), (count, 24, 1, 1))
    rotations[:, 0] = turn
    points = rng.normal(0, 0.3, (count, 44, 3))
    labels = {
        "rotations": rotations,
        "betas": np.repeat(rng.normal(size=(clips, 10)), length, axis=0),
        "points": points,
        "pixels": rng.uniform(40, 120, (count, 44, 2)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}_1.npy", images)
    np.savez(folder / f"{name}_1_labels.npz", **{k: v.astype(np.float32) for k, v in labels.items()})
    np.save(folder / "backgrounds.npy", np.full((2, 192, 192, 3), 40, np.uint8))
    return labels


def test_synthetic_clips_are_told_by_their_shape_and_are_the_same_every_time(tmp_path: Path) -> None:
    labels = make_cache(tmp_path)
    sequences = list(open_dataset("synthetic", tmp_path, size=64))
    assert [len(s) for s in sequences] == [4, 4, 4] and sequences[0].body == "open"
    again = list(open_dataset("synthetic", tmp_path, size=64, limit=2))[1]
    assert np.array_equal(again.frames.images, sequences[1].frames.images)
    assert sequences[1].frames.images.shape == (4, 64, 64, 3)
    assert np.allclose(sequences[1].betas, labels["betas"][4:8])
    assert np.allclose(sequences[1].boxes, [32, 32, 64 / 1.2, 64 / 1.2])


@pytest.mark.parametrize("split", ["held", "stills"])
def test_synthetic_stills_of_one_look_are_people_of_their_own(tmp_path: Path, split: str) -> None:
    labels = make_cache(tmp_path, clips=2, length=3, name=split)
    sequences = list(open_dataset("synthetic", tmp_path, split, size=64))
    assert [len(s) for s in sequences] == [1] * 6 and len({s.name for s in sequences}) == 6
    assert np.allclose(np.concatenate([s.betas for s in sequences]), labels["betas"])


def test_synthetic_labels_lie_on_the_picture(tmp_path: Path) -> None:
    make_cache(tmp_path)
    labels = dict(np.load(tmp_path / "heldclips_1_labels.npz"))
    labels["pixels"][:] = [80, 80]  # the middle of the cut-out, inside the figure
    labels["points"][..., 0] = np.arange(44)
    np.savez(tmp_path / "heldclips_1_labels.npz", **labels)
    large, small = (list(open_dataset("synthetic", tmp_path, size=size))[0] for size in (128, 64))
    point = large.joints2d[0, OP_NOSE]
    assert large.frames.images[0][int(point[1]), int(point[0])].mean() > 60
    assert np.allclose(small.joints2d[..., :2] * 2, large.joints2d[..., :2], atol=1e-3)
    lengths = np.linalg.norm(large.joints3d[0], axis=-1)  # neither a turn nor a mirror changes them
    kept = [KEYPOINTS_OF_54.index(joint) for joint in JOINTS_49]
    mirrored = [MIRRORED_KEYPOINTS[row] for row in kept]
    wanted = [np.linalg.norm(labels["points"][0][rows], axis=-1) for rows in (kept, mirrored)]
    assert any(np.allclose(lengths, one, atol=1e-3) for one in wanted)
    assert large.joints3d_valid.all()


def test_an_incomplete_cache_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"heldclips_\*.npy: missing"):
        list(open_dataset("synthetic", tmp_path))
    make_cache(tmp_path)
    (tmp_path / "backgrounds.npy").unlink()
    with pytest.raises(InputError, match="backgrounds.npy: missing"):
        list(open_dataset("synthetic", tmp_path))
