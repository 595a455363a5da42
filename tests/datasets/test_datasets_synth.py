"""Facts about the readers of what `vibe synth` writes: its own writers' files are read back exactly."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.synth.test_synth import body  # noqa: F401 (fixture)
from vibe_cli.body.body_models import load_body
from vibe_cli.datasets import open_dataset
from vibe_cli.errors import InputError
from vibe_cli.results import write_npz
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.crop_data import write_crop_labels, write_crops
from vibe_cli.synth.mocap import Clip
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.studio import Studio
from vibe_cli.synth.video_data import VideoOptions, write_clip


@pytest.fixture(scope="module")
def studio(body: SynthBody) -> Studio:  # noqa: F811
    """Eight motions that sway."""
    rng, clips = np.random.default_rng(0), []
    for number in range(8):
        turns = rng.normal(0, 0.25, (24, 3)) * np.sin(np.linspace(0, 6, 60) + number)[:, None, None]
        turns[:, 0] = 0
        rotations = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(60, 24, 3, 3).astype(np.float32)
        clips.append(Clip(str(number), rotations))
    return Studio(body, clips, Pictures([rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)]))


@pytest.fixture(scope="module")
def film(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of four frames."""
    folder = tmp_path_factory.mktemp("film")
    for number in range(2):
        write_clip(studio, number, folder, VideoOptions(4, 128, 96, Fraction(25), people=2, flow=False, seed=3))
    return folder


def test_clips_hold_everybody_where_the_camera_sees_them(film: Path) -> None:
    sequences = list(open_dataset("synth-video", film))
    headers = [json.loads(str(np.load(film / f"clip_{n:04d}" / "labels.npz")["header"])) for n in range(2)]
    assert len(sequences) == sum(header["people"] for header in headers)
    assert sequences[0].name == "clip_0000/0" and sequences[0].fps == 25 and sequences[0].body == "open"
    assert [frame.shape for frame in sequences[0].frames.read()] == [(96, 128, 3)] * 4
    labels = np.load(film / "clip_0000" / "labels.npz")
    for number, sequence in enumerate(sequences[: headers[0]["people"]], 1):
        assert sequence.mask_number == number and sequence.masks.shape == (4, 96, 128)
        assert not sequence.valid[0] or (sequence.masks[0] == number).any()
    for sequence in sequences[: headers[0]["people"]]:
        flat = np.einsum("tij,tkj->tki", labels["intrinsics"], sequence.joints3d)
        assert np.allclose(flat[..., :2] / flat[..., 2:] - 0.5, sequence.joints2d[..., :2], atol=0.05)
    assert set(np.unique(np.concatenate([s.joints2d[..., 2] for s in sequences]))) <= {0.0, 0.5, 1.0}


def test_poses_and_shapes_are_those_of_the_joints(film: Path) -> None:
    shipped = load_body(None)
    for sequence in open_dataset("synth-video", film):
        rotations = Rotation.from_rotvec(sequence.pose.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
        betas = torch.from_numpy(sequence.betas)
        joints = shipped(torch.from_numpy(rotations).float(), betas).joints - shipped.rest_joints(betas)[:, :1]
        assert np.allclose(joints.numpy() + sequence.trans[:, None], sequence.joints3d, atol=5e-3)


def test_who_is_hardly_seen_does_not_count_and_keeps_a_box(film: Path, tmp_path: Path) -> None:
    labels = dict(np.load(film / "clip_0000" / "labels.npz"))
    labels["person0/boxes"] = np.array([[10.0, 20, 4, 8], [0, 0, 0, 0], [20, 40, 4, 8], [20, 40, 4, 8]], np.float32)
    labels["person0/share"] = np.array([1, 0, 0.1, 0.9], np.float32)
    (tmp_path / "clip_0000").mkdir()
    write_npz(tmp_path / "clip_0000" / "labels.npz", labels)
    (tmp_path / "clip_0000" / "video.mp4").write_bytes((film / "clip_0000" / "video.mp4").read_bytes())
    sequence = next(iter(open_dataset("synth-video", tmp_path)))
    assert sequence.valid.tolist() == [True, False, False, True]
    assert np.allclose(sequence.boxes[1], [15, 30, 4, 8])


def test_crops_are_sequences_of_one_frame(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    part = write_crops(studio, 0, tmp_path, 5, 64, seed=1)
    write_crop_labels(tmp_path, [part], 64, 1)
    sequences = list(open_dataset("synth-crops", tmp_path))
    assert [s.name for s in sequences] == [f"{n:06d}" for n in range(5)]
    for number, sequence in enumerate(sequences):
        (picture,) = sequence.frames.read()
        assert picture.shape == (64, 64, 3)
        assert np.allclose(sequence.pose[0], part["pose"][number])
        assert np.allclose(sequence.joints3d[0], part["joints49_m"][number])
        assert np.allclose(sequence.joints2d[0, :, :2], part["joints49_px"][number] - 0.5, atol=1e-4)
        assert np.array_equal(sequence.joints2d[0, :, 2] == 1, part["visible49"][number])


def test_labels_of_another_format_are_told(film: Path, tmp_path: Path) -> None:
    labels = dict(np.load(film / "clip_0000" / "labels.npz"))
    header = json.loads(str(labels["header"]))
    (tmp_path / "clip_0000").mkdir()
    (tmp_path / "clip_0000" / "video.mp4").write_bytes(b"x")
    for change in ({"format": "other"}, {"version": 99}):
        write_npz(tmp_path / "clip_0000" / "labels.npz", labels | {"header": np.array(json.dumps(header | change))})
        with pytest.raises(InputError, match="labels.npz: not as this data set has it"):
            list(open_dataset("synth-video", tmp_path))
    with pytest.raises(InputError, match="labels.npz: missing"):
        list(open_dataset("synth-crops", tmp_path))
    with pytest.raises(InputError, match="nothing of Clips"):
        list(open_dataset("synth-video", film / "clip_0000"))
