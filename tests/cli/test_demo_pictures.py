"""`vibe demo` on photographs and on clips with cuts: pictures come of pictures, and nothing crosses a cut."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.helpers.tiny import HEIGHT, WIDTH, BrightDetector, install_model
from vibe_cli.results import Result
from vibe_cli.video.reader import open_video


@pytest.fixture
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny random model, with a detector that finds what is bright."""
    torch.set_num_threads(1)
    install_model(home / ".vibe" / "models")
    detector = BrightDetector()
    monkeypatch.setattr("vibe_cli.zoo.reader.load_detector", lambda name, device, loaded: (detector, name or "bright"))


def picture(seed: int, left: int) -> np.ndarray:
    """A dark place of its own with one bright post."""
    blocks = np.random.default_rng(seed).integers(0, 110, (8, 12, 3))
    frame = np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)
    frame[8:56, left : left + 12] = 220
    return frame


def write_folder(folder: Path, seeds: list[int], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Pictures 1.png, 2.png … of places."""
    folder.mkdir(parents=True)
    for number, seed in enumerate(seeds, start=1):
        frame = picture(seed, 20 + 3 * number)[: size[1], : size[0]]
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    return folder


def demo(vibe, *args: object):
    """`vibe demo` with the tiny model."""
    return vibe("demo", "--model", "tiny", "--device", "cpu", *args)


def test_of_a_photograph_a_picture_is_drawn(vibe, home: Path, tiny: None) -> None:
    cv2.imwrite("photo.png", picture(1, 40))
    answer = demo(vibe, "photo.png", "--render")
    assert answer.code == 0, answer.err
    drawn = cv2.imread(str(home / "output" / "photo" / "overlay.png"))
    assert drawn.shape == (HEIGHT, WIDTH, 3) and not (home / "output" / "photo" / "overlay.mp4").exists()
    answer = vibe("render", "output/photo", "--style", "side")
    assert answer.code == 0 and cv2.imread("output/photo/side.png").shape == (HEIGHT, 2 * WIDTH, 3)


def test_photographs_are_taken_each_by_itself(vibe, home: Path, tiny: None) -> None:
    folder = write_folder(home / "photos", [1, 1, 1, 1, 1, 1])
    cv2.imwrite(str(folder / "6.png"), picture(1, 20)[:60, :80])
    answer = demo(vibe, "photos", "--photos", "--render")
    assert answer.code == 0, answer.err
    result = Result.load(home / "output" / "photos" / "result.npz")
    assert result.video.kind == "photos" and result.video.files == tuple(f"{n}.png" for n in range(1, 7))
    assert [person.frames.tolist() for person in result.people] == [[n] for n in range(6)]
    drawn = sorted((home / "output" / "photos" / "overlay").iterdir())
    assert [path.name for path in drawn] == [f"{n}.png" for n in range(1, 7)]
    assert cv2.imread(str(drawn[5])).shape == (60, 80, 3), "as large as its photograph"
    assert json.loads((home / "output" / "photos" / "run.json").read_text())["input"]["files"][5] == "6.png"


def test_a_folder_of_unrelated_pictures_is_said_to_be_one(vibe, home: Path, tiny: None) -> None:
    write_folder(home / "mix", [1, 2, 3, 4])
    answer = demo(vibe, "mix")
    assert answer.code == 0 and "--photos" in answer.err
    assert [len(person) for person in Result.load(home / "output" / "mix" / "result.npz").people] == [1] * 4


def test_nobody_is_followed_across_a_cut_and_the_scenes_are_listed(vibe, home: Path, tiny: None) -> None:
    write_folder(home / "cut", [1] * 12 + [2] * 10)
    answer = demo(vibe, "cut")
    assert answer.code == 0 and "2 scenes, from frames 0, 12" in answer.out
    result = Result.load(home / "output" / "cut" / "result.npz")
    assert [(p.frames[0], p.frames[-1]) for p in result.people] == [(0, 11), (12, 21)]
    assert result.video.scenes.tolist() == [0, 12]
    scenes = json.loads((home / "output" / "cut" / "run.json").read_text())["scenes"]
    assert [(scene["first"], scene["last"], scene["start"]) for scene in scenes] == [(0, 11, 0), (12, 21, 0.4)]


def test_images_follow_each_other_at_the_rate_that_is_given(vibe, home: Path, tiny: None) -> None:
    write_folder(home / "slow", [1] * 8)
    assert demo(vibe, "slow", "--fps", "5").code == 0
    result = Result.load(home / "output" / "slow" / "result.npz")
    assert result.video.fps == 5 and np.allclose(result.video.times, np.arange(8) / 5)
    with np.load(home / "output" / "slow" / "result.npz") as file:
        assert file["joint_names"].shape == (24,) and file["joint_names_49"].shape == (49,)
        assert file["files"].tolist() == [f"{number}.png" for number in range(1, 9)]


def test_what_means_nothing_for_a_video_is_said(tmp_path: Path) -> None:
    from tests.helpers.media import make_clip

    with open_video(make_clip(tmp_path / "a.mp4"), image_fps=5, photos=True) as video:
        assert len(list(video)) and video.info.kind == "video"
        assert [word for word in ("--fps", "--photos") if any(word in line for line in video.warnings)] == [
            "--fps",
            "--photos",
        ]
