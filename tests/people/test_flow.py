"""Optical flow: its direction, its units, its edges, and where its weights may come from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vibe_cli.errors import ModelError
from vibe_cli.people.flow import METHODS, DisFlow, RaftFlow, flow_back, flow_images, open_flow

CPU = torch.device("cpu")
SIDE = 64


def texture(side: int = 200) -> np.ndarray:
    """A smooth random picture (side, side, 3) RGB uint8."""
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def window(x: int, y: int, side: int = SIDE) -> np.ndarray:
    """The texture as a camera at (x, y) sees it."""
    return texture()[y : y + side, x : x + side].copy()


class Unmoved:
    """Says that everything came from the left by as many pixels as pictures it was shown."""

    def between(self, crops: np.ndarray, before: np.ndarray) -> np.ndarray:
        return np.full((*crops.shape[:3], 2), (-len(crops), 0), np.float32)


def test_flow_leads_back_to_where_a_point_was_in_the_frame_before() -> None:
    # the camera moves left by 3 and down by 2: what is now at (x, y) was at (x − 3, y + 2)
    now, then = window(50, 60)[None], window(53, 58)[None]
    flow = DisFlow().between(now, then)[0]
    assert flow.shape == (SIDE, SIDE, 2) and flow.dtype == np.float32
    inner = flow[8:-8, 8:-8].reshape(-1, 2)
    assert np.allclose(np.median(inner, axis=0), [-3, 2], atol=0.1)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    rebuilt = cv2.remap(then[0], columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
    error = np.abs(rebuilt.astype(int) - now[0])[8:-8, 8:-8].mean()
    assert error < 0.2 * np.abs(then[0].astype(int) - now[0])[8:-8, 8:-8].mean()


def test_what_does_not_move_has_no_flow() -> None:
    still = window(10, 10)[None]
    assert np.abs(DisFlow().between(still, still)).max() < 0.1


def test_the_batch_does_not_change_the_flow() -> None:
    now = np.stack([window(50, 60), window(20, 30), window(5, 90)])
    then = np.stack([window(53, 58), window(20, 34), window(1, 90)])
    together = DisFlow().between(now, then)
    for row in range(3):
        assert np.array_equal(DisFlow().between(now[row : row + 1], then[row : row + 1])[0], together[row])


def test_a_frame_without_one_before_it_stands_still() -> None:
    crops = np.stack([window(0, 0)] * 3)
    flow = flow_back(Unmoved(), crops, [crops[0], None, crops[0]])
    assert np.array_equal(flow[1], np.zeros((SIDE, SIDE, 2)))
    assert (flow[[0, 2], ..., 0] == -2).all(), "only pairs are looked at, all at once"
    assert not flow_back(Unmoved(), crops, [None] * 3).any()


def test_flow_images_hold_direction_and_speed_and_are_bounded() -> None:
    flow = np.zeros((1, 16, 16, 2), np.float32)
    flow[0, 0, 0], flow[0, 1, 1] = (0.6, -0.8), (500, -500)
    image = flow_images(flow)
    assert image.shape == (1, 3, 16, 16) and image.dtype == torch.float32
    assert torch.allclose(image[0, :, 0, 0], torch.tensor([0.3, -0.4, 0.5]))  # 2 pixels are an eighth of 16
    assert image[0, :, 1, 1].tolist() == [1, -1, 1] and not image[0, :, 5, 5].any()


def test_flow_images_do_not_depend_on_the_size_of_the_crop() -> None:
    small, large = (np.full((1, side, side, 2), side * 0.02, np.float32) for side in (32, 64))
    assert torch.allclose(flow_images(small)[0, :, 0, 0], flow_images(large)[0, :, 0, 0])


def test_an_unknown_method_is_an_error_that_lists_the_known_ones() -> None:
    assert open_flow(None, CPU) is None and isinstance(open_flow("dis", CPU), DisFlow)
    with pytest.raises(ModelError, match="unknown optical flow 'farneback'") as error:
        open_flow("farneback", CPU)
    assert all(name in error.value.hint for name in METHODS)


def test_raft_is_not_downloaded_but_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIBE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("downloads"))
    for name, file in (("raft", "raft_large_"), ("raft-small", "raft_small_")):
        with pytest.raises(ModelError, match=f"weights {file}.* are not here") as error:
            open_flow(name, CPU)
        assert "https://" in error.value.hint and str(tmp_path / "models") in error.value.hint


@pytest.mark.parametrize("place", ["models", "torch/hub/checkpoints"])
def test_raft_runs_where_its_weights_lie(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

    monkeypatch.setenv("VIBE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.manual_seed(0)
    file = tmp_path / place / Raft_Small_Weights.DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    weights = raft_small().state_dict()
    torch.save(weights, file)
    method = open_flow("raft-small", CPU)
    assert isinstance(method, RaftFlow)
    if place == "models":
        flow = method.between(window(50, 60, 128)[None], window(53, 58, 128)[None])
        assert flow.shape == (1, 128, 128, 2) and flow.dtype == np.float32 and np.isfinite(flow).all()
        with pytest.raises(ModelError, match="crops of 64 pixels"):
            method.between(window(0, 0)[None], window(0, 0)[None])
    weights.popitem()
    torch.save(weights, file)
    with pytest.raises(ModelError, match="missing: "):
        open_flow("raft-small", CPU)
