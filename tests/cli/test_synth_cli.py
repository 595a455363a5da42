"""`vibe synth`: the files that it writes, the same every time, and nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.synth.test_bundle import make_clips
from vibe_cli.paths import models_dir
from vibe_cli.people.yolo_weights import _ultralytics_kept_quiet
from vibe_cli.synth import crop_data, studio, video_data
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.bundle import write_bundle
from vibe_cli.synth.faults import degrade
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.video_data import read_flow, write_flow

COARSENS = pytest.mark.skipif(
    find_spec("fast_simplification") is None,
    reason="what is no bundle is read only where the extra vibe-cli[synth] is installed",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synth") / "people.bundle"
    body = SynthBody.load(models_dir() / "open-body" / "weights.safetensors", faces=None)
    noise = np.random.default_rng(0).integers(0, 255, (200, 240, 3), np.uint8)
    write_bundle(path, body, make_clips(), Pictures([noise]))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_crops_come_with_labels_and_equal_seeds_give_equal_files(bundle: Path, home: Path, vibe, monkeypatch) -> None:
    monkeypatch.setattr(crop_data, "BLOCK", 4)
    for name, count in (("a", 6), ("b", 6), ("c", 5)):
        answer = vibe("synth", "crops", home / name, "--mocap", bundle, "--count", count, "--size", 64, "-j", 1)
        assert answer.code == 0, answer.err
        assert f"{count} crops of 64 pixels in " in answer.err and "a second" in answer.err
    assert files(home / "a") == files(home / "b")
    with np.load(home / "a" / "labels.npz") as labels, np.load(home / "c" / "labels.npz") as fewer:
        assert json.loads(str(labels["header"]))["format"] == "vibe-synth-crops"
        assert np.array_equal(labels["pose"][:5], fewer["pose"]), "fewer are the first of more"
        shapes = {name: value.shape for name, value in labels.items() if name != "header"}
        masks = np.unpackbits(labels["masks"], axis=-1)
        joints, seen = labels["joints24_px"], labels["visible24"]
        for i in range(6):
            x, y = np.floor(joints[i][seen[i]]).astype(int).T
            assert ((x >= 0) & (x < 64) & (y >= 0) & (y < 64)).all()
            assert (cv2.dilate(masks[i], np.ones((5, 5), np.uint8))[y, x] > 0).all()
    assert shapes == {
        "pose": (6, 24, 3),
        "betas": (6, 10),
        "boxes": (6, 4),
        "joints24_m": (6, 24, 3),
        "joints24_px": (6, 24, 2),
        "joints49_m": (6, 49, 3),
        "joints49_px": (6, 49, 2),
        "visible24": (6, 24),
        "visible49": (6, 49),
        "masks": (6, 64, 8),
    }
    assert cv2.imread(str(home / "a" / "images" / "000005.jpg")).shape == (64, 64, 3)


def test_yolo_data_is_what_ultralytics_reads(bundle: Path, home: Path, vibe) -> None:
    with _ultralytics_kept_quiet():  # else PIL opens pictures by ultralytics' function in every test after this one
        yolo = pytest.importorskip("ultralytics.data")
        from ultralytics.data.utils import check_det_dataset

    answer = vibe(
        "synth",
        "yolo",
        home / "out",
        "--mocap",
        bundle,
        "--count",
        4,
        "--size",
        96,
        "--val",
        0.25,
        "--task",
        "pose",
        "-j",
        1,
    )
    assert answer.code == 0, answer.err
    data = check_det_dataset(str(home / "out" / "data.yaml"), autodownload=False)
    assert data["names"] == {0: "person"} and data["kpt_shape"] == [17, 3]
    found = 0
    for split, count in (("train", 3), ("val", 1)):
        read = yolo.YOLODataset(img_path=data[split], data=data, task="pose", imgsz=96, augment=False)
        assert len(read.labels) == count
        for label in read.labels:
            found += len(label["bboxes"])
            boxes, points = label["bboxes"], label["keypoints"]
            assert points.shape[1:] == (17, 3) and set(np.unique(points[..., 2])) <= {0, 1, 2}
            corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
            assert (corners > -1e-4).all() and (corners < 1 + 1e-4).all()
            shown = points[..., 2] == 2
            inside = (points[..., :2] > corners[:, None, :2] - 0.05) & (points[..., :2] < corners[:, None, 2:] + 0.05)
            assert inside.all(axis=-1)[shown].all()
    assert f"4 pictures, {found} people in " in answer.err


def test_how_many_work_changes_nothing(bundle: Path, home: Path, vibe) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        answer = vibe("synth", "yolo", home / name, "--mocap", bundle, "--count", 3, "--size", 64, "-j", workers)
        assert answer.code == 0, answer.err
    assert files(home / "one") == files(home / "two")


def test_a_clip_has_all_its_labels_and_is_filmed_once(bundle: Path, home: Path, vibe) -> None:
    from vibe_cli.video.reader import open_video

    options = ("--mocap", bundle, "--frames", 4, "--size", "96x64", "--fps", "24000/1001", "--people", 2)
    for name in ("a", "b"):
        answer = vibe("synth", "video", home / name, *options)
        assert answer.code == 0 and "4 frames in " in answer.err, answer.err
    folder, again = home / "a" / "clip_0000", home / "b" / "clip_0000"
    assert (folder / "labels.npz").read_bytes() == (again / "labels.npz").read_bytes()
    assert files(folder / "flow") == files(again / "flow") and len(files(folder / "flow")) == 3
    with open_video(folder / "video.mp4") as video, open_video(again / "video.mp4") as other:
        for (_, frame), (_, same) in zip(video, other, strict=True):
            assert np.array_equal(frame, same)
        assert video.info.frames == 4 and str(video.info.fps) == "24000/1001"
    with np.load(folder / "labels.npz") as labels:
        people = json.loads(str(labels["header"]))["people"]
        assert 1 <= people <= 2 and labels["masks"].shape == (4, 64, 96)
        for i in range(people):
            joints = labels[f"person{i}/joints49_m"] @ labels["intrinsics"].swapaxes(1, 2)
            assert np.allclose(joints[..., :2] / joints[..., 2:], labels[f"person{i}/joints49_px"], atol=0.01)
            world = np.linalg.inv(labels["world_to_camera"])
            feet = labels[f"person{i}/joints24_m"][:, [7, 8, 10, 11]] @ world[:, :3, :3].swapaxes(1, 2)
            assert (feet + world[:, None, :3, 3])[..., 1].min() > -0.2, "nobody sinks into the floor"
    before = files(home / "a")
    again = vibe("synth", "video", home / "a", *options)
    assert "0 frames, 1 of 1 clips were there already in " in again.err and files(home / "a") == before
    (home / "pictures").mkdir()
    cv2.imwrite(str(home / "pictures" / "a.png"), np.zeros((20, 30, 3), np.uint8))
    for more in (("--seed", 5), ("--backgrounds", home / "pictures")):
        other = vibe("synth", "video", home / "a", *options, *more)
        assert other.code == 3 and "holds something else" in other.err and files(home / "a") == before


@pytest.mark.parametrize("kind", ["crops", "yolo", "video"])
def test_ctrl_c_leaves_nothing_half_written(kind: str, bundle: Path, home: Path, vibe, monkeypatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if kind == "video":
        monkeypatch.setattr(video_data, "write_npz", stop)
    else:
        monkeypatch.setattr(studio, "map", lambda task, numbers: iter([task(0), stop()]), raising=False)
    monkeypatch.setattr(crop_data, "BLOCK", 2)
    extra = ("--frames", 2) if kind == "video" else ("--count", 4, "-j", 1)
    answer = vibe("synth", kind, home / "out", "--mocap", bundle, "--size", "64x64" if kind == "video" else 64, *extra)
    assert answer.code == 130
    assert [p for p in home.rglob("*") if p.is_file()] == []
    assert not list(home.glob("out.*"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_to_end_leaves_nothing_half_written(bundle: Path, tmp_path: Path) -> None:
    """With its workers, as a queue or a container's end stops it."""
    command = [
        sys.executable,
        "-c",
        "import sys; from vibe_cli.cli import main; sys.exit(main())",
        "synth",
        "crops",
        "out",
        "--mocap",
        str(bundle),
        "--count",
        "100000",
        "--size",
        "32",
        "-j",
        "2",
    ]
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    while not any(tmp_path.glob("out.*/images/*")) and child.poll() is None:
        time.sleep(0.05)
    child.terminate()
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130 and "stopped by a signal to end" in said
    assert list(tmp_path.iterdir()) == []


def test_pack_writes_what_it_was_given(bundle: Path, home: Path, vibe) -> None:
    answer = vibe("synth", "pack", home / "again", "--mocap", bundle)
    assert answer.code == 0 and "8 motions of 160 frames" in answer.err
    assert (home / "again").stat().st_size < 40_000_000
    assert vibe("synth", "pack", home, "--mocap", bundle).code == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("crops", "out", "--mocap", "none"), 3, "none: no such file or folder"),
        pytest.param(("crops", "out", "--mocap", "empty"), 3, "empty: an empty file", marks=COARSENS),
        (("crops", "out", "--mocap", "{bundle}", "--backgrounds", "none"), 3, "none: no such folder"),
        (("crops", "full", "--mocap", "{bundle}"), 3, "full: there already"),
        (("crops", "out"), 2, "Missing option '--mocap'"),
        pytest.param(
            ("crops", "out", "--mocap", "full", "--backgrounds", "pictures"),
            3,
            "no motion capture found",
            marks=COARSENS,
        ),
        (("crops", "out", "--mocap", "{bundle}", "--backgrounds", "full"), 3, "full: no background pictures"),
        (("video", "out", "--mocap", "{bundle}", "--size", "641x360"), 2, "not two even numbers"),
        (("video", "out", "--mocap", "{bundle}", "--fps", "0"), 2, "not a rate"),
        (("video", "full", "--mocap", "{bundle}"), 3, "holds something else"),
        (("yolo", "out", "--mocap", "{bundle}", "--count", "0"), 2, "--count"),
        pytest.param(
            ("pack", "x", "--mocap", "cut", "--backgrounds", "pictures"),
            3,
            "cut: cannot read motion capture",
            marks=COARSENS,
        ),
        (("video", "out", "--mocap", "{bundle}", "--people", "5"), 2, "--people"),
    ],
)
def test_bad_input_is_one_line_and_a_hint(words: tuple, code: int, said: str, bundle: Path, home: Path, vibe) -> None:
    (home / "full" / "clip_0000").mkdir(parents=True)
    (home / "full" / "clip_0000" / "x").write_text("mine")
    (home / "empty").touch()
    (home / "pictures").mkdir()
    cv2.imwrite(str(home / "pictures" / "a.png"), np.zeros((20, 30, 3), np.uint8))
    (home / "cut").write_bytes(bundle.read_bytes()[:1000])
    answer = vibe("synth", *(word.format(bundle=bundle) for word in words))
    assert answer.code == code and said in answer.err
    assert sum(line.startswith("error: ") for line in answer.lines) == 1
    assert sum(line.startswith("hint: ") for line in answer.lines) == 1
    assert not (home / "out").exists() or not any((home / "out").iterdir())
    assert (home / "full" / "clip_0000" / "x").read_text() == "mine"


def test_a_flow_picture_keeps_flow_to_a_128th_of_a_pixel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flow, seen = rng.normal(0, 40, (9, 13, 2)).astype(np.float32), rng.random((9, 13)) < 0.5
    write_flow(tmp_path / "000001.png", flow, seen)
    read, same = read_flow(tmp_path / "000001.png")
    assert np.abs(read - flow).max() <= 1 / 128 and np.array_equal(same, seen)


@pytest.mark.parametrize("size", [32, 399, 400])
def test_a_crop_may_be_as_large_as_is_said(size: int) -> None:
    image = np.full((size, size, 3), 99, np.uint8)
    assert all(degrade(np.random.default_rng(seed), image).shape == image.shape for seed in range(12))


def test_whoever_only_draws_crops_starts_without_torch() -> None:
    code = "import sys, vibe_cli.synth.crop_data; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
