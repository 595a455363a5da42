"""What the open detector learns from: scenes with their boxes, and the maps it is to give for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.synth.test_synth import bank, body, cache, pictures  # noqa: F401 (fixtures)
from vibe_cli.networks.keypoints import STRIDE
from vibe_cli.synth import scenes
from vibe_cli.synth.scenes import LEAST_SIDE, MIN_VISIBLE, SceneSource
from vibe_cli.training.detector import targets


def test_scenes_have_boxes_in_the_picture_and_are_the_same_by_seed(cache: Path) -> None:  # noqa: F811
    source, counts = SceneSource(cache, 128), []
    for seed in range(12):
        image, boxes, visible = source.scene(np.random.default_rng(seed))
        again = source.scene(np.random.default_rng(seed))
        assert image.shape == (128, 128, 3) and image.dtype == np.uint8
        assert all(np.array_equal(a, b) for a, b in zip((image, boxes, visible), again, strict=True))
        low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
        assert (low >= 0).all() and (high <= 128).all() and (visible >= 0).all() and (visible <= 1).all()
        counts.append(len(boxes))
    assert min(counts) == 0 and max(counts) > 2


def test_boxes_hold_the_person_and_blots_are_not_wanted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(scenes, "degrade", lambda rng, image, borders: image)
    monkeypatch.setattr(SceneSource, "_backdrop", lambda self, rng: np.full((self.size, self.size, 3), 255, np.uint8))
    monkeypatch.setattr(SceneSource, "_occlude", lambda *_: None)
    source, alone, small = SceneSource(cache, 128), 0, 0
    for seed in range(60):
        image, boxes, visible = source.scene(np.random.default_rng(seed))
        blots = boxes[:, 2:].max(axis=1, initial=0) < LEAST_SIDE if len(boxes) else np.zeros(0, bool)
        assert (visible[blots] == 0).all()
        small += int(blots.sum())
        if len(boxes) == 1 and not blots[0]:
            rows, columns = np.nonzero((image < 200).any(axis=-1))
            x, y, w, h = boxes[0]
            seen = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert np.abs(np.array(seen) - [x - w / 2, y - h / 2, x + w / 2, y + h / 2]).max() <= 4
            assert visible[0] == pytest.approx(1)
            alone += 1
    assert alone > 3 and small > 3


def test_maps_want_who_is_seen_and_pass_over_who_is_hidden() -> None:
    boxes = np.array([[40, 40, 32, 48], [96, 96, 24, 24]], np.float32)
    heat, weight, corners, near = targets(boxes, np.array([1.0, MIN_VISIBLE / 2]), 128)
    row = column = 40 // STRIDE
    assert heat[row, column] == 1 == near[row, column] and (heat == 1).sum() == 1
    assert corners[row, column].tolist() == [24, 16, 56, 64]
    hidden = weight == 0
    assert hidden[96 // STRIDE, 96 // STRIDE] and hidden.sum() == 4 and (heat[hidden] < 0.01).all()
    assert not near[hidden].any()
