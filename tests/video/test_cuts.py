"""Hard cuts are found; flashes, blank frames, moving cameras and people are none."""

from __future__ import annotations

import numpy as np
import pytest

from vibe_cli.video.cuts import SceneFinder

HEIGHT, WIDTH = 60, 80


def place(seed: int, light: int = 120) -> np.ndarray:
    """A still background of coarse blocks, (H, 2 W, 3): there is room to pan."""
    blocks = np.random.default_rng(seed).integers(light - 80, light + 80, (6, 16, 3))
    return np.kron(blocks, np.ones((10, 10, 1))).astype(np.uint8)


def shot(seed: int, count: int, pan: int = 0, walks: bool = True, light: int = 120) -> list[np.ndarray]:
    """Frames of a place, panned by so many pixels a frame, with somebody who walks."""
    wide, frames = place(seed, light), []
    for number in range(count):
        frame = np.roll(wide, -pan * number, axis=1)[:, :WIDTH].copy()
        if walks:
            frame[15:55, 5 + 2 * number % 60 : 20 + 2 * number % 60] = (200, 160, 140)
        noise = np.random.default_rng(number).integers(-4, 5, frame.shape)
        frames.append(np.clip(frame + noise, 0, 255).astype(np.uint8))
    return frames


def cuts(frames: list[np.ndarray]) -> list[int]:
    """Where the scenes of frames start."""
    finder = SceneFinder()
    assert sum(1 for _ in finder.watch(iter(frames))) == len(frames)
    return finder.cuts().tolist()


BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def test_scenes_start_where_the_shot_changes() -> None:
    assert cuts(shot(1, 12) + shot(2, 12)) == [0, 12]
    assert cuts(shot(1, 9, pan=1) + shot(2, 5) + shot(3, 20)) == [0, 9, 14]
    assert cuts(shot(1, 10) + shot(2, 10) + shot(1, 10)) == [0, 10, 20], "back and forth are three"


@pytest.mark.parametrize("pan", [0, 1, 3])
def test_people_and_a_camera_that_move_are_no_cuts(pan: int) -> None:
    assert cuts(shot(1, 40, pan)) == [0]


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length: int) -> None:
    white = [np.full_like(BLACK, 250) + place(5)[:, :WIDTH] // 60 for _ in range(length)]
    frames = shot(1, 30)
    assert cuts(frames[:12] + white + frames[12:]) == [0]
    other = shot(2, length)
    assert cuts(frames[:12] + other + frames[12:]) == [0]


def test_a_shot_that_returns_after_blank_frames_is_the_same_and_another_is_not() -> None:
    frames = shot(1, 30)
    assert cuts(frames[:12] + [BLACK] * 10 + frames[12:]) == [0]
    assert cuts(frames[:12] + [BLACK] * 10 + shot(2, 12)) == [0, 22]


def dimmed(frames: list[np.ndarray], *light: float) -> list[np.ndarray]:
    """Frames in another light."""
    levels = np.linspace(light[0], light[-1], len(frames))
    return [(frame * level).astype(np.uint8) for frame, level in zip(frames, levels, strict=True)]


def test_a_shot_that_fades_in_after_another_has_faded_out_is_another() -> None:
    one, other = shot(1, 40), shot(2, 30)
    first, second = cuts(one[:20] + dimmed(one[20:30], 1, 0) + dimmed(other[:10], 0, 1) + other[10:])
    assert first == 0 and 30 <= second <= 33, "where there is something to see again"
    assert cuts(one[:20] + dimmed(one[20:30], 1, 0) + dimmed(one[30:40], 0, 1)) == [0]


def test_a_light_that_goes_off_or_on_is_no_cut() -> None:
    frames = shot(1, 28, walks=False)
    assert cuts(frames[:10] + dimmed(frames[10:20], 0.4) + frames[20:]) == [0]
    assert cuts(frames[:10] + dimmed(shot(2, 15), 0.4)) == [0, 10]


def test_nothing_and_nothing_to_see_is_one_scene() -> None:
    assert cuts([]) == cuts([BLACK]) == cuts([BLACK] * 30) == [0]


def test_photographs_of_different_things_are_told_from_the_frames_of_a_clip() -> None:
    photographs = SceneFinder()
    list(photographs.watch(place(seed)[:, :WIDTH] for seed in range(6)))
    assert photographs.are_unrelated() and photographs.every().tolist() == list(range(6))
    clip = SceneFinder()
    list(clip.watch(iter(shot(1, 6, 3))))
    assert not clip.are_unrelated()
