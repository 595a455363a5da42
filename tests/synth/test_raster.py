"""The rasteriser in torch: the same pictures as OpenCV's, whatever the batch and the memory."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from tests.synth.test_bundle import make_clips
from vibe_cli.paths import models_dir
from vibe_cli.synth import poses
from vibe_cli.synth.batched import Drawn, Looks, PeopleDrawer
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.people import FRAMED, SIZE, Picture, draw_look, draw_person
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.raster import Raster, rasterise


@pytest.fixture(scope="module")
def body() -> SynthBody:
    return SynthBody.load(models_dir() / "open-body" / "weights.safetensors", faces=None)


@pytest.fixture(scope="module")
def both(body: SynthBody) -> tuple[list[Picture], Drawn]:
    """Six people by OpenCV and by torch, two of them close-ups."""
    rng, bank = np.random.default_rng(0), poses.PoseBank(make_clips())
    looks = [draw_look(rng, body, Pictures([np.full((80, 80, 3), 120, np.uint8)])) for _ in range(4)]
    motion = np.stack([bank.pose(rng) for _ in range(6)])
    motion[:, 0] = np.stack([poses.view(rng) @ pose[0] for pose in motion])
    which, framed = [0, 1, 2, 3, 0, 1], [None, FRAMED[0], None, None, FRAMED[2], None]
    pictures = [
        draw_person(body, looks[i], pose, joints) for i, pose, joints in zip(which, motion, framed, strict=True)
    ]
    drawer = PeopleDrawer(body)
    return pictures, drawer(Looks.of(looks), torch.tensor(which), torch.from_numpy(motion).float(), framed)


def test_people_drawn_by_the_batch_are_those_that_opencv_draws(both: tuple[list[Picture], Drawn]) -> None:
    pictures, drawn = both
    for picture, rgba, points, pixels in zip(pictures, drawn.rgba.numpy(), drawn.points, drawn.pixels, strict=True):
        a, b = picture.rgba[..., 3] > 0, rgba[..., 3] > 0
        assert (a & b).sum() / (a | b).sum() > 0.995
        assert np.abs(picture.rgba[..., :3].astype(float) - rgba[..., :3])[a & b].mean() < 2
        assert np.abs(points.numpy() - picture.points).max() < 1e-4
        assert np.abs(pixels.numpy() - picture.pixels).max() < 0.02


def triangles(seed: int, count: int = 60) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Large and small triangles that pass through each other, two meshes of them."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform([-1, -1, 2], [1, 1, 5], (2, count, 1, 3))
    corners = centres + rng.normal(0, 0.5, (2, count, 3, 3)) * rng.uniform(0.05, 1, (2, count, 1, 1))
    vertices = torch.from_numpy(corners.reshape(2, -1, 3)).float()
    vertices[..., 2].clamp_(min=0.5)
    return vertices, torch.arange(3 * count).view(-1, 3), torch.from_numpy(rng.random((2, 3 * count, 3))).float()


def by_opencv(vertices: np.ndarray, faces: np.ndarray, values: np.ndarray, focal: float, size: int) -> tuple:
    image, depth = np.full((size, size, 3), -1, np.float32), np.full((size, size), 1000, np.float32)
    flipped, field = (vertices * [1, -1, -1]).astype(np.float32), float(2 * np.arctan(size / 2 / focal))
    return cv2.triangleRasterize(
        flipped, faces.astype(np.int32), values, image, depth, np.eye(4, dtype=np.float32), field, 0.1, 1000.0
    )


def test_crossing_triangles_are_those_of_opencv_in_depth_and_colour() -> None:
    vertices, faces, values = triangles(0)
    drawn = rasterise(vertices, faces, values, torch.tensor([70.0, 90.0]), 96)
    for n, focal in enumerate((70.0, 90.0)):
        image, depth = by_opencv(vertices[n].numpy(), faces.numpy(), values[n].numpy(), focal, 96)
        a, b = image[..., 0] >= 0, drawn.face[n].numpy() >= 0
        assert a.mean() > 0.1 and (a & b).sum() / (a | b).sum() > 0.995
        both = a & b
        apart = np.abs(depth - drawn.depth[n].numpy())[both]
        assert np.median(apart) < 1e-4 and (apart < 1e-2).mean() > 0.99
        assert np.abs(image - drawn.values[n].numpy())[both].mean() < 2 / 255


def test_memory_and_batch_change_nothing() -> None:
    vertices, faces, values = triangles(1)
    focal = torch.tensor([80.0, 60.0])
    whole = rasterise(vertices, faces, values, focal, 64)

    def same(one: Raster, two: Raster) -> bool:
        return all(torch.equal(getattr(one, name), getattr(two, name)) for name in ("depth", "face", "values"))

    for at_once in (1, 50, 777):
        assert same(rasterise(vertices, faces, values, focal, 64, at_once), whole)
    second = rasterise(vertices[1:], faces, values[1:], focal[1:], 64)
    assert torch.equal(second.face[0], whole.face[1]) and torch.allclose(second.values[0], whole.values[1])


def test_faces_behind_the_camera_or_turned_away_are_not_drawn() -> None:
    corners = torch.tensor([[[-1.0, -1, 2], [1, -1, 2], [0, 1, 2]]])
    faces, values, focal = torch.tensor([[0, 1, 2]]), torch.ones(1, 3, 1), torch.tensor([40.0])
    seen = [
        bool((rasterise(corners * flip, faces[:, order], values, focal, 32).face >= 0).any())
        for flip in (torch.tensor([1.0, 1, 1]), torch.tensor([1.0, 1, -1]))
        for order in ([0, 1, 2], [0, 2, 1])
    ]
    assert sorted(seen) == [False, False, False, True], "one way around, in front"
    empty = rasterise(corners + 50, faces, values, focal, 32)
    assert (empty.face == -1).all() and torch.isinf(empty.depth).all() and not empty.values.any()


def test_the_nearer_of_two_faces_is_seen_whichever_comes_first() -> None:
    near = torch.tensor([[-1.0, -1, 2], [1, -1, 2], [0, 1, 2]])
    vertices = torch.cat([near * 1.5, near])[None]
    for faces in (torch.tensor([[0, 2, 1], [3, 5, 4]]), torch.tensor([[3, 5, 4], [0, 2, 1]])):
        drawn = rasterise(vertices, faces, torch.ones(1, 6, 1), torch.tensor([40.0]), 32)
        drawn = (
            drawn
            if (drawn.face >= 0).any()
            else rasterise(vertices, faces.flip(1), torch.ones(1, 6, 1), torch.tensor([40.0]), 32)
        )
        assert drawn.depth[0, 16, 16] == pytest.approx(2.0, abs=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_draws_what_the_cpu_draws(body: SynthBody) -> None:
    vertices, faces, values = triangles(2)
    focal = torch.tensor([70.0, 90.0])
    here = rasterise(vertices, faces, values, focal, 96)
    there = rasterise(vertices.cuda(), faces.cuda(), values.cuda(), focal.cuda(), 96)
    assert (here.face == there.face.cpu()).float().mean() > 0.999
    assert (here.values - there.values.cpu()).abs().mean() < 1e-3


def test_a_look_serves_several_poses(both: tuple[list[Picture], Drawn]) -> None:
    _, drawn = both
    assert drawn.rgba.shape == (6, SIZE, SIZE, 4) and drawn.rgba.dtype == torch.uint8
    assert not torch.equal(drawn.rgba[0], drawn.rgba[4])
