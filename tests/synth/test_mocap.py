"""Motion capture from AMASS files, as they are found in the wild."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vibe_cli.errors import InputError
from vibe_cli.synth.mocap import AT_REST, FPS, Clip, read_mocap
from vibe_cli.synth.poses import PoseBank, to_and_fro


def amass(path: Path, frames: int = 40, rate: float = 120, width: int = 156, key: str = "mocap_framerate") -> Path:
    """Somebody who stands upright, z up, faces −y as AMASS's people do, and lifts the left arm."""
    poses = np.zeros((frames, width))
    poses[:, :3] = Rotation.from_euler("x", 90, degrees=True).as_rotvec()
    poses[:, 16 * 3 + 2] = np.linspace(0, 1, frames)
    poses[:, 66:72] = 0.7  # of SMPL+H these are fingers
    np.savez(path, poses=poses, trans=np.zeros((frames, 3)), betas=np.zeros(16), gender="neutral", **{key: rate})
    return path


@pytest.mark.parametrize(
    ("name", "width", "key"),
    [
        ("walk_poses.npz", 156, "mocap_framerate"),
        ("walk_poses.npz", 72, "mocap_frame_rate"),
        ("walk_stageii.npz", 165, "mocap_frame_rate"),
    ],
)
def test_amass_files_give_upright_motions_at_our_rate(tmp_path: Path, name: str, width: int, key: str) -> None:
    amass(tmp_path / name, width=width, key=key)
    np.savez(tmp_path / "shape.npz", betas=np.zeros(16))
    (clip,) = read_mocap(tmp_path)
    assert clip.rotations.shape == (40 * FPS // 120, 24, 3, 3) and clip.rotations.dtype == np.float32
    assert np.allclose(clip.rotations[:, 0], np.eye(3), atol=1e-6), "y up, facing +z"
    assert np.allclose(clip.rotations[:, AT_REST], np.eye(3))
    lifted = Rotation.from_matrix(clip.rotations[:, 16]).as_rotvec()[:, 2]
    assert np.allclose(lifted, np.linspace(0, 1, 40)[::4], atol=1e-5)


def test_an_archive_is_read_like_a_folder(tmp_path: Path) -> None:
    amass(tmp_path / "a_poses.npz")
    amass(tmp_path / "b_poses.npz", frames=24)
    with tarfile.open(tmp_path / "all.tar.xz", "w:xz") as archive:
        for name in ("a_poses.npz", "b_poses.npz"):
            archive.add(tmp_path / name, name)
    packed, loose = read_mocap(tmp_path / "all.tar.xz"), read_mocap(tmp_path)
    assert [clip.name for clip in packed] == [clip.name for clip in loose] == ["a_poses", "b_poses"]
    assert all(np.array_equal(one.rotations, two.rotations) for one, two in zip(packed, loose, strict=True))


ASF = b""":bonedata
begin
  name lfemur
  direction 0 -1 0
  axis 0 0 0 XYZ
  dof rx
end
:hierarchy
begin
  root lfemur
end
"""
BVH = b"""HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 3 Zrotation Xrotation Yrotation
  End Site
  {
    OFFSET 0 1 0
  }
}
MOTION
Frames: 2
Frame Time: 0.033
0 0 0
1 2 3
"""


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"01_01.bvh": BVH}, "01_01.bvh: not a motion of the re-rigged CMU set"),
        ({"01_01.bvh": b""}, "01_01.bvh"),
        ({"01.asf": b"nothing", "01_01.amc": b""}, "01_01.amc: not a motion of CMU's"),
        ({"01.asf": ASF, "01_01.amc": b"1\nroot 0 0 0 0 0 0\nlfemur 1\n"}, "01_01.amc"),
    ],
)
def test_a_rig_that_is_not_cmus_is_told(tmp_path: Path, files: dict[str, bytes], word: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=word):
        read_mocap(tmp_path)


def test_motions_shorter_than_a_piece_are_played_to_and_fro() -> None:
    assert to_and_fro(np.arange(4), 9).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert to_and_fro(np.arange(1), 3).tolist() == [0, 0, 0]
    short = Clip("short", np.tile(np.eye(3, dtype=np.float32), (20, 24, 1, 1)))
    assert PoseBank([short]).clip(np.random.default_rng(0), 64).shape == (64, 24, 3, 3)


@pytest.mark.parametrize("harm", ["cut", "no rate", "few numbers", "not finite", "no frames"])
def test_a_damaged_file_is_named(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "bad_poses.npz"
    if harm == "cut":
        path.write_bytes(amass(tmp_path / "x.npz").read_bytes()[:500])
    elif harm == "no rate":
        np.savez(path, poses=np.zeros((9, 72)))
    else:
        shape = {"few numbers": (9, 60), "not finite": (9, 72), "no frames": (0, 72)}[harm]
        np.savez(path, poses=np.full(shape, np.nan if harm == "not finite" else 0.0), mocap_framerate=120.0)
    with pytest.raises(InputError, match="bad_poses.npz: not a motion of AMASS's"):
        read_mocap(tmp_path)


def test_where_there_is_no_motion_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(InputError, match="no motion capture found"):
        read_mocap(tmp_path)
    (tmp_path / "x.tar").write_bytes(io.BytesIO(b"not a tar").getvalue())
    with pytest.raises(InputError, match="cannot read"):
        read_mocap(tmp_path / "x.tar")


@pytest.mark.parametrize("kind", ["xz", "gz", "bz2"])
@pytest.mark.parametrize("harm", ["cut short", "overwritten"])
def test_an_archive_that_was_not_downloaded_whole_is_refused_by_name(kind: str, harm: str, tmp_path: Path) -> None:
    path, packed = tmp_path / f"cmu.tar.{kind}", io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{kind}") as archive:
        content = tarfile.TarInfo("01/01_01.amc")
        content.size = 300_000
        archive.addfile(content, io.BytesIO(np.random.default_rng(0).bytes(content.size)))
    whole = packed.getvalue()
    part = whole[: len(whole) * 9 // 10]
    path.write_bytes(part if harm == "cut short" else whole[:150_000] + bytes(400) + whole[150_400:])
    with pytest.raises(InputError, match=f"cmu.tar.{kind}") as caught:
        read_mocap(path)
    if harm == "cut short":
        assert "cannot read motion capture" in caught.value.message and "download" in caught.value.hint
