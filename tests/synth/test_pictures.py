"""What people are seen before: a user's photographs, panoramas and things, and what is made of them."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vibe_cli.errors import InputError
from vibe_cli.synth import surroundings
from vibe_cli.synth.pictures import Pictures, load_pictures
from vibe_cli.synth.scenery import place
from vibe_cli.synth.studio import THREADS, one_thread_each
from vibe_cli.synth.surroundings import look_around, strew


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photograph, a panorama that is dark to the left and red to the right, a thing, and files that are neither."""
    radiance = np.full((64, 128, 3), 0.01, np.float32)
    radiance[:, 64:, 2] = 9.0
    cv2.imwrite(str(tmp_path / "b.hdr"), radiance)
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((30, 60, 3), 128, np.uint8))
    thing = np.zeros((40, 40, 4), np.uint8)
    thing[10:30, 15:25] = [250, 0, 0, 255]
    cv2.imwrite(str(tmp_path / "c.png"), thing)
    cv2.imwrite(str(tmp_path / "d.png"), np.full((20, 20, 4), 255, np.uint8))  # nothing of it is transparent
    cv2.imwrite(str(tmp_path / "ruler.png"), np.full((2, 300, 3), 255, np.uint8))
    (tmp_path / "picture.hdr").write_bytes((tmp_path / "c.png").read_bytes())
    (tmp_path / "broken.hdr").write_bytes(b"#?RADIANCE\nnothing more")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_folder_gives_photographs_panoramas_and_things(folder: Path) -> None:
    found = load_pictures(folder)
    assert str(found) == "2 pictures, 1 panorama, 1 thing"
    assert found.photographs[0].shape == (320, 640, 3)
    (panorama,), (thing,) = found.panoramas, found.things
    assert panorama.shape == (64, 128, 3) and panorama[:, 70:, 2].min() > 250 > 200 > panorama[:, :60, 2].max()
    assert thing.shape == (20, 10, 4) and (thing[..., 3] == 255).all() and (thing[..., 0] == 250).all()


def test_where_no_photographs_are_ours_stand_in(folder: Path) -> None:
    pytest.importorskip("skimage", reason="needs vibe-cli[synth]")
    for name in ("a.jpg", "d.png"):
        (folder / name).unlink()
    found = load_pictures(folder)
    assert str(found) == f"{len(load_pictures().photographs)} pictures, 1 panorama, 1 thing"


def test_a_bundles_photographs_stand_in_as_well(folder: Path) -> None:
    for name in ("a.jpg", "d.png"):
        (folder / name).unlink()
    ours = [np.zeros((320, 320, 3), np.uint8)]
    assert load_pictures(folder, ours).photographs[0] is ours[0]


def test_a_colour_that_stands_for_transparency_makes_a_thing(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 40), (1, 2, 3))
    picture.paste((200, 0, 0), (10, 10, 30, 20))
    picture.save(tmp_path / "key.png", transparency=(1, 2, 3))
    picture.save(tmp_path / "photograph.png")
    found = load_pictures(tmp_path)
    assert len(found.photographs) == 1 and found.things[0].shape == (10, 20, 4)


def test_a_dark_panorama_is_exposed_by_what_is_lit(tmp_path: Path) -> None:
    radiance = np.zeros((32, 64, 3), np.float32)
    radiance[20:] = np.linspace(0.01, 0.03, 64, dtype=np.float32)[None, :, None]
    cv2.imwrite(str(tmp_path / "night.hdr"), radiance)
    (panorama,) = load_pictures(tmp_path, [np.zeros((320, 320, 3), np.uint8)]).panoramas
    assert 60 < panorama[25, 2, 0] < panorama[25, 60, 0] < 250


def test_what_is_no_panorama_is_said(folder: Path) -> None:
    cv2.imwrite(str(folder / "b.hdr"), np.ones((50, 70, 3), np.float32))
    with pytest.raises(InputError, match=r"b.hdr: 70 x 50 pixels") as caught:
        load_pictures(folder)
    assert "twice as wide as high" in caught.value.hint


def test_a_panorama_is_looked_around_in_as_a_pinhole_camera_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pixel shows where its ray meets the sphere: longitudes and latitudes as colours come out as angles."""

    class Level:
        """No pitch, no roll, no noise; a field of view of 90 degrees."""

        def normal(self, mean: float, spread: float, size: object = None) -> object:
            return 0.0 if size is None else np.zeros(size)

        def uniform(self, low: float, high: float) -> float:
            return {(35.0, 95.0): 90.0, (0.6, 1.6): 1.0, (0.7, 1.25): 1.0}.get((low, high), np.pi)

        def random(self) -> float:
            return 1.0

    longitude, latitude = np.meshgrid(np.linspace(0, 255, 512, endpoint=False), np.linspace(0, 255, 256))
    seen = look_around(Level(), np.stack([longitude, latitude, latitude], -1).astype(np.uint8), 65)
    middle, edge = seen[32, 32], seen[32, 64]
    assert middle[0] == pytest.approx(127.5, abs=2) and middle[1] == pytest.approx(127.5, abs=2)
    assert edge[0] - middle[0] == pytest.approx(256 / 8, abs=2)  # 45 degrees to the right
    assert seen[64, 32][1] - middle[1] == pytest.approx(256 / 4, abs=2)  # and 45 down
    assert seen[0, 32][1] < middle[1] < seen[64, 32][1]


def test_places_show_panoramas_and_things_by_seed(folder: Path) -> None:
    found = load_pictures(folder)

    def draw(seed: int, pictures: Pictures) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [place(rng, pictures) for _ in range(12)]

    both, again, drawn = draw(1, found), draw(1, found), draw(1, Pictures(found.photographs))
    assert all(np.array_equal(a, b) for a, b in zip(both, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(both, drawn, strict=True))
    assert all(image.shape == (192, 192, 3) and image.dtype == np.uint8 for image in both)


def test_things_lie_within_the_picture_and_cover_it_where_they_are_opaque() -> None:
    thing = np.zeros((30, 30, 4), np.uint8)
    thing[5:25, 5:25] = [0, 0, 255, 255]
    image, rng = np.full((96, 96, 3), 40, np.uint8), np.random.default_rng(3)
    strew(rng, image, [thing])
    changed = np.abs(image.astype(int) - 40).max(axis=-1) > 1
    assert 0.001 < changed.mean() < 0.9 and 0 <= image.min() and image.max() <= 255


def test_a_white_thing_on_white_has_no_edge_and_none_of_a_turned_one_is_lost(tmp_path: Path) -> None:
    disc = np.zeros((60, 60, 4), np.uint8)
    cv2.circle(disc, (30, 30), 20, (255, 255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "disc.png"), disc)
    (thing,) = load_pictures(tmp_path, [np.zeros((320, 320, 3), np.uint8)]).things
    for seed in range(8):
        turned = surroundings._turned(np.random.default_rng(seed), thing, 96)
        assert np.abs(turned[..., :3] - turned[..., 3:]).max() <= 3  # premultiplied: white is as white as it is opaque


def test_nothing_of_a_turned_thing_is_cut_off() -> None:
    class Quarter:
        """Turns by 90 degrees, and takes the middle of all else."""

        def random(self) -> float:
            return 0.9

        def uniform(self, low: float, high: float) -> float:
            return 90.0 if high == 360 else (low + high) / 2

    turned = surroundings._turned(Quarter(), np.full((100, 20, 4), 255, np.uint8), 400)
    assert turned.shape[1] > 4 * turned.shape[0] and (turned[..., 3] > 200).mean() > 0.9


def _threads(_: int) -> list[str | None]:
    return [os.environ.get(name) for name in THREADS]


def test_workers_have_a_thread_each_and_the_user_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with one_thread_each():
        pool = multiprocessing.get_context("spawn").Pool(1)
    with pool:
        assert pool.map(_threads, [0]) == [["3", "1", "1"]]
    assert "OPENBLAS_NUM_THREADS" not in os.environ and os.environ["OMP_NUM_THREADS"] == "3"
