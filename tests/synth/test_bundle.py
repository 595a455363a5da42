"""A bundle: small, exact enough, and enough to train from where next to nothing is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vibe_cli.errors import InputError
from vibe_cli.paths import models_dir
from vibe_cli.results import write_npz
from vibe_cli.synth import bundle, poses
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.bundle import is_bundle, read_bundle, write_bundle
from vibe_cli.synth.mocap import AT_REST, Clip
from vibe_cli.synth.pictures import Pictures

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = [
    "click",
    "rich",
    "safetensors",
    "trimesh",
    "anny",
    "skimage",
    "fast_simplification",
    "ultralytics",
    "yaml",
    "torchvision",
    "smplx",
    "pyrender",
    "OpenGL",
    "PIL",
    "filterpy",
    "joblib",
    "ffmpeg",
    "imageio_ffmpeg",
]


def make_clips(count: int = 8, length: int = 20) -> list[Clip]:
    """Motions from one random pose to another."""
    rng, clips = np.random.default_rng(0), []
    for i in range(count):
        start, end = (Rotation.from_matrix(poses.random_pose(rng)) for _ in range(2))
        step = (start.inv() * end).as_rotvec()
        turned = np.stack([(start * Rotation.from_rotvec(step * k / length)).as_matrix() for k in range(length)])
        turned[:, 0] = Rotation.from_rotvec([[0, 3.14 * k / length, 0] for k in range(length)]).as_matrix()
        turned[:, AT_REST] = np.eye(3)
        clips.append(Clip(f"motion {i}", turned.astype(np.float32)))
    return clips


@pytest.fixture(scope="module")
def body() -> SynthBody:
    return SynthBody.load(models_dir() / "open-body" / "weights.safetensors", faces=None)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, body: SynthBody) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "people.bundle"
    thing = np.full((30, 20, 4), [30, 120, 200, 255], np.uint8)
    thing[:10, :, 3] = 0
    photographs = [np.full((40, 60, 3), [30, 120, 200], np.uint8)] * 2
    pictures = Pictures(photographs, [np.full((32, 64, 3), 90, np.uint8)], [thing, np.full((9, 9, 4), 255, np.uint8)])
    assert write_bundle(path, body, make_clips(), pictures) == path.stat().st_size < bundle.LIMIT
    return path


def test_what_is_packed_comes_back_within_the_stated_error(packed: Path, body: SynthBody) -> None:
    got = read_bundle(packed)
    assert [clip.name for clip in got.clips] == [clip.name for clip in make_clips()]
    for clip, wanted in zip(got.clips, make_clips(), strict=True):
        apart = Rotation.from_matrix((clip.rotations.swapaxes(-1, -2) @ wanted.rotations).reshape(-1, 3, 3))
        assert np.degrees(apart.magnitude()).max() < 0.02  # of which float32 itself is a part
        here, there = (body.pose(c.rotations[7].astype(float), np.zeros(11))[2] for c in (clip, wanted))
        assert np.abs(here - there).max() < 2e-4
    for name, value in body.arrays().items():
        assert np.allclose(got.body.arrays()[name], value, atol=1e-6), name
    assert np.abs(got.pictures.photographs[1].astype(int) - [30, 120, 200]).max() < 6
    assert got.pictures.panoramas[0].shape == (32, 64, 3) and str(got.pictures) == "2 pictures, 1 panorama, 2 things"
    assert got.pictures.things[1].shape == (9, 9, 4)  # though nothing of it is transparent
    assert (got.pictures.things[0][:9, :, 3] == 0).all() and (got.pictures.things[0][11:, :, 3] == 255).all()


def test_equal_contents_make_equal_bundles(packed: Path, body: SynthBody, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_bundle(again, body, make_clips(), read_bundle(packed).pictures)
    twice = tmp_path / "twice"
    write_bundle(twice, body, make_clips(), read_bundle(packed).pictures)
    assert again.read_bytes() == twice.read_bytes()


def test_crops_are_drawn_from_a_bundle_where_only_torch_numpy_scipy_and_opencv_are(packed: Path) -> None:
    code = f"""
import sys
for name in {ELSEWHERE!r}:
    sys.modules[name] = None
import numpy as np
from pathlib import Path
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.bundle import read_bundle
from vibe_cli.synth.crop_data import draw_block
from vibe_cli.synth.studio import open_studio
import vibe_cli.training.loop, vibe_cli.synth.draw, vibe_cli.synth.batched
studio = open_studio(Path({str(packed)!r}))
block = draw_block(np.random.default_rng(0), studio.body, studio.bank, studio.pictures, 3, 64)
KeypointBody(studio.body)
print(block.crops.shape, block.crops.dtype, int(block.crops.std() > 10), int((block.masks > 0).any((1, 2)).sum()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0].startswith("(3, 64, 64, 3) uint8 1 ")


def test_many_motions_are_cut_equally(body: SynthBody, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle, "MOST_FRAMES", 80)
    monkeypatch.setattr(bundle, "SHORTEST", 5)
    write_bundle(tmp_path / "small", body, make_clips(), Pictures([np.zeros((8, 8, 3), np.uint8)]))
    clips = read_bundle(tmp_path / "small").clips
    assert [len(clip.rotations) for clip in clips] == [10] * 8
    whole = make_clips()[2].rotations
    starts = [k for k in range(11) if np.allclose(whole[k : k + 10], clips[2].rotations, atol=1e-3)]
    assert len(starts) == 1, "a piece of the motion as it was"


def test_what_is_no_bundle_is_refused_in_one_line(packed: Path, tmp_path: Path) -> None:
    assert is_bundle(packed) and not is_bundle(tmp_path) and not is_bundle(tmp_path / "none")
    cut = tmp_path / "cut"
    cut.write_bytes(packed.read_bytes()[:-2000])
    other = tmp_path / "other.npz"
    np.savez(other, a=np.zeros(3))
    for path in (cut, other):
        assert not is_bundle(path)
        with pytest.raises(InputError, match="not a bundle"):
            read_bundle(path)
    newer = tmp_path / "newer"
    write_npz(newer, {"header": np.array(json.dumps({"format": "vibe-bundle", "version": 9}))})
    with pytest.raises(InputError, match="newer"):
        read_bundle(newer)
    with pytest.raises(InputError, match="no such file"):
        read_bundle(tmp_path / "none")


def test_a_work_folder_is_drawn_from_a_bundle_by_either_path(packed: Path, tmp_path: Path) -> None:
    import torch

    from vibe_cli.synth.crops import CropSource
    from vibe_cli.synth.draw import DrawJob, _portray_on, draw_folder, plan, portray, sit
    from vibe_cli.synth.mocap import read_clips
    from vibe_cli.synth.studio import open_studio

    told: list[str] = []
    studio, jobs = open_studio(packed), plan(stills=3, clips=1, length=2)
    draw_folder(studio, tmp_path / "work", jobs, 2, torch.device("cpu"), 1, told.append)
    assert len(told) == 5 and len(read_clips(tmp_path / "work" / "mocap.npz")) == 8
    for name, count in (("stills", 3), ("clips", 2), ("held", 1), ("heldclips", 2)):
        source = CropSource(tmp_path / "work", name)
        assert len(source) == count
        crops, labels = source.batch(np.random.default_rng(0), np.arange(count), 64)
        assert crops.std() > 5 and np.isfinite(labels.points).all()
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "work").glob("*_*.npy")}
    draw_folder(studio, tmp_path / "work", jobs, 2, torch.device("cpu"), 1, told.append)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "work").glob("*_*.npy")} == before, "kept"
    job = DrawJob("clips", 2, 5, length=2)
    here = portray(studio, 0, job)
    there = next(_portray_on(studio, iter([sit(studio, 0, job)]), torch.device("cpu")))
    assert np.abs(here["rgba"].astype(int) - there["rgba"]).mean() < 0.5
    for name in ("rotations", "betas", "points", "pixels"):
        assert np.abs(here[name] - there[name]).max() < 0.02, name
