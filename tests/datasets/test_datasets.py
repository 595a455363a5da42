"""Facts about the readers of 3D data sets: a tiny set in each official layout is read back exactly."""

from __future__ import annotations

import pickle
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from scipy.spatial.transform import Rotation

from tests.helpers.dataset_files import write_cdf
from vibe_cli.datasets import DATASETS, about, open_dataset, open_for_training
from vibe_cli.datasets.cdf import read_cdf
from vibe_cli.datasets.sequence import WORLD_Z_UP, ArrayFrames, Sequence
from vibe_cli.errors import InputError, UsageError
from vibe_cli.video.writer import VideoWriter

RNG = np.random.default_rng(4)
# rows of the 49, written out: what the readers must fill
R_ANKLE, R_KNEE, R_HIP, L_HIP, L_KNEE, L_ANKLE, R_WRIST, R_ELBOW, R_SHOULDER = range(25, 34)
L_SHOULDER, L_ELBOW, L_WRIST, NECK, HEAD_TOP, PELVIS, THORAX, SPINE, JAW, HEAD = range(34, 44)
OP_NOSE, OP_L_HIP, OP_R_EYE, OP_L_EYE, OP_R_EAR, OP_L_EAR = 0, 12, 15, 16, 17, 18


def write_images(folder: Path, names: list[str], size: tuple[int, int] = (32, 24)) -> None:
    """Pictures whose grey is 10 times their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), 10 * number, np.uint8))


def greys(sequence: Sequence, start: int = 0, stop: int | None = None) -> list[int]:
    """The numbers of the pictures that come out."""
    return [int(round(frame.mean() / 10)) for frame in sequence.frames.read(start, stop)]


def make_3dpw(folder: Path, split: str = "test", **changes: object) -> dict:
    """One sequence of two people over four frames."""
    count, people = 4, 2
    cameras = np.tile(np.eye(4), (count, 1, 1))
    cameras[:, :3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    cameras[:, :3, 3] = [0, 0, 5]
    content = {
        "sequence": "walk",
        "poses": [RNG.normal(0, 0.4, (count, 72)) for _ in range(people)],
        "betas": [RNG.normal(size=10) for _ in range(people)],
        "trans": [np.zeros((count, 3))] * people,
        "poses2d": [RNG.uniform(5, 20, (count, 3, 18)) for _ in range(people)],
        "jointPositions": [RNG.normal(0, 0.4, (count, 72)) for _ in range(people)],
        "campose_valid": [np.array([1, 1, 0, 1]), np.ones(count, int)],
        "genders": ["m", "f"],
        "cam_poses": cameras,
        "cam_intrinsics": np.array([[100.0, 0, 16], [0, 100, 12], [0, 0, 1]]),
        "img_frame_ids": np.arange(count),
    } | changes
    (folder / "sequenceFiles" / split).mkdir(parents=True)
    (folder / "sequenceFiles" / split / "walk.pkl").write_bytes(pickle.dumps(content, protocol=2))
    write_images(folder / "imageFiles" / "walk", [f"image_{n:05d}.jpg" for n in range(count)])
    return content


def test_3dpw_people_come_in_the_cameras_axes(tmp_path: Path) -> None:
    content = make_3dpw(tmp_path)
    first, second = open_dataset("3dpw", tmp_path)
    assert (first.name, second.name, len(first), first.fps) == ("walk/0", "walk/1", 4, 30)
    assert (first.gender, second.gender, first.body) == ("male", "female", "smpl")
    turn = Rotation.from_euler("x", 90, degrees=True)
    root = turn * Rotation.from_rotvec(content["poses"][1][:, :3])
    assert np.allclose(Rotation.from_rotvec(second.pose[:, 0]).as_matrix(), root.as_matrix(), atol=1e-6)
    assert np.allclose(second.pose[:, 1:], content["poses"][1].reshape(4, 24, 3)[:, 1:])
    assert np.allclose(second.betas, content["betas"][1])
    assert first.valid.tolist() == [True, True, False, True] and second.valid.all()
    assert greys(first, 1, 3) == [1, 2]


def test_3dpw_joints_are_metres_before_the_camera_and_their_box_is_where_it_sees_them(tmp_path: Path) -> None:
    content = make_3dpw(tmp_path)
    sequence = next(iter(open_dataset("3dpw", tmp_path)))
    world = content["jointPositions"][0].reshape(4, 24, 3)
    placed = world @ Rotation.from_euler("x", 90, degrees=True).as_matrix().T + [0, 0, 5]
    assert np.allclose(sequence.joints3d[:, R_ELBOW], placed[:, 19], atol=1e-6)  # SMPL's 19 is the right elbow
    assert np.allclose(sequence.joints3d[:, L_KNEE], placed[:, 4], atol=1e-6)
    assert not sequence.joints3d_valid[:, [R_HIP, NECK, HEAD_TOP, OP_NOSE]].any()
    assert sequence.joints3d_valid[:, [R_ELBOW, OP_L_HIP]].all()
    used = [0, 1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21]
    flat = placed[:, used, :2] / placed[:, used, 2:] * 100 + [16, 12]
    assert np.allclose(sequence.boxes[:, :2], (flat.min(1) + flat.max(1)) / 2, atol=1e-4)
    assert np.allclose(sequence.boxes[:, 2:], 1.15 * np.ptp(flat, axis=1), atol=1e-4)


def test_3dpw_keypoints_are_of_openposes_18(tmp_path: Path) -> None:
    content = make_3dpw(tmp_path)
    sequence = next(iter(open_dataset("3dpw", tmp_path)))
    points = content["poses2d"][0].transpose(0, 2, 1)
    for row, keypoint in ((OP_NOSE, 0), (R_SHOULDER, 2), (L_WRIST, 7), (R_ANKLE, 10), (OP_L_EAR, 17)):
        assert np.allclose(sequence.joints2d[:, row], points[:, keypoint]), row
    assert not sequence.joints2d[:, HEAD_TOP].any()


def test_3dpw_says_what_is_missing_and_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path(tmp_path / "ran").touch, ())

    with pytest.raises(InputError, match="no such folder") as caught:
        open_dataset("3dpw", tmp_path / "nowhere")
    assert "virtualhumans" in caught.value.hint and "sequenceFiles" in caught.value.hint
    with pytest.raises(InputError, match="sequenceFiles.*missing"):
        list(open_dataset("3dpw", tmp_path))
    make_3dpw(tmp_path / "a", extra=Evil())
    with pytest.raises(InputError, match="refused"):
        list(open_dataset("3dpw", tmp_path / "a"))
    assert not (tmp_path / "ran").exists()
    make_3dpw(tmp_path / "b", cam_poses=np.tile(np.eye(4), (3, 1, 1)))
    with pytest.raises(InputError, match="4 poses and 3 cameras"):
        list(open_dataset("3dpw", tmp_path / "b"))
    make_3dpw(tmp_path / "c")
    (tmp_path / "c" / "imageFiles" / "walk" / "image_00002.jpg").unlink()
    sequence = next(iter(open_dataset("3dpw", tmp_path / "c")))
    with pytest.raises(InputError, match="image_00002.jpg: no such image"):
        list(sequence.frames.read())
    with pytest.raises(InputError, match="no split named dev"):
        open_dataset("3dpw", tmp_path / "c", "dev")


def test_amass_is_25_frames_a_second_of_22_joints_and_z_up(tmp_path: Path) -> None:
    folder = tmp_path / "CMU" / "01"
    folder.mkdir(parents=True)
    poses, trans = RNG.normal(size=(121, 156)), RNG.normal(size=(121, 3))
    np.savez(
        folder / "01_01_poses.npz",
        poses=poses,
        trans=trans,
        betas=np.arange(16.0),
        gender=np.array("female"),
        mocap_framerate=np.array(120.0),
        dmpls=np.zeros((121, 8)),
    )
    np.savez(folder / "shape.npz", betas=np.zeros(16))
    (sequence,) = open_dataset("amass", tmp_path)
    assert (sequence.name, sequence.fps, sequence.axes, sequence.gender) == (
        "CMU/01/01_01_poses",
        25,
        WORLD_Z_UP,
        "female",
    )
    rows = [round(k * 120 / 25) for k in range(26)]  # one second and its end
    assert len(sequence) == 26
    assert np.allclose(sequence.pose[:, :22], poses[rows, :66].reshape(-1, 22, 3), atol=1e-6)
    assert not sequence.pose[:, 22:].any()
    assert np.allclose(sequence.trans, trans[rows], atol=1e-6)
    assert np.allclose(sequence.betas, np.arange(10))
    assert sequence.frames is None and sequence.joints3d is None


def make_3dhp(folder: Path, cameras: int = 2, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """One training sequence; only the last camera has pictures."""
    home = folder / "S1" / "Seq1"
    home.mkdir(parents=True)
    flat, placed = RNG.uniform(5, 20, (cameras, count, 56)), RNG.normal(0, 400, (cameras, count, 84))
    cells = {}
    for key, values in (("annot2", flat), ("annot3", placed), ("univ_annot3", placed * 2)):
        cells[key] = np.empty((cameras, 1), object)
        for camera in range(cameras):
            cells[key][camera, 0] = values[camera]
    scipy.io.savemat(home / "annot.mat", cells)
    write_images(home / "imageFrames" / f"video_{cameras - 1}", [f"frame_{n + 1:06d}.jpg" for n in range(count)])
    return flat, placed


def test_3dhp_is_in_metres_and_of_28_joints(tmp_path: Path) -> None:
    flat, placed = make_3dhp(tmp_path)
    (sequence,) = open_dataset("mpi-inf-3dhp", tmp_path, "train")
    assert sequence.name == "S1/Seq1/1" and greys(sequence) == [0, 1, 2]
    joints, points = placed[1].reshape(3, 28, 3), flat[1].reshape(3, 28, 2)
    named = {
        R_HIP: 23,
        R_KNEE: 24,
        R_ANKLE: 25,
        L_HIP: 18,
        L_KNEE: 19,
        L_ANKLE: 20,
        R_SHOULDER: 14,
        R_ELBOW: 15,
        R_WRIST: 16,
        L_SHOULDER: 9,
        L_ELBOW: 10,
        L_WRIST: 11,
        NECK: 5,
        HEAD_TOP: 7,
        PELVIS: 4,
        SPINE: 3,
    }
    for row, joint in named.items():
        assert np.allclose(sequence.joints3d[:, row], joints[:, joint] / 1000, atol=1e-6), row
        assert np.allclose(sequence.joints2d[:, row, :2], points[:, joint], atol=1e-4), row
    assert sequence.joints3d_valid[:, list(named)].all() and not sequence.joints3d_valid[:, [JAW, OP_NOSE]].any()


def test_3dhp_takes_images_by_their_numbers(tmp_path: Path) -> None:
    make_3dhp(tmp_path, count=12)
    home = tmp_path / "S1/Seq1/imageFrames/video_1"
    for path in sorted(home.iterdir()):
        path.rename(home / f"frame_{int(path.stem[-6:])}.jpg")  # as ffmpeg's %d writes them
    (sequence,) = open_dataset("mpi-inf-3dhp", tmp_path, "train")
    assert greys(sequence) == list(range(12)) and sequence.note is None


@pytest.mark.parametrize("extracted", [True, False])
def test_of_a_camera_that_stops_early_the_frames_that_it_has_are_taken(tmp_path: Path, extracted: bool) -> None:
    _, placed = make_3dhp(tmp_path, count=20)
    home = tmp_path / "S1/Seq1"
    if extracted:
        for number in range(11, 21):
            (home / f"imageFrames/video_1/frame_{number:06d}.jpg").unlink()
    else:
        shutil.rmtree(home / "imageFrames")
        (home / "imageSequence").mkdir()
        write_video(home / "imageSequence/video_1.avi", 11)
    (sequence,) = open_dataset("mpi-inf-3dhp", tmp_path, "train")
    assert len(list(sequence.frames.read())) == len(sequence) == 10
    assert sequence.note == "S1/Seq1/1: 10 of its 20 labelled frames have pictures"
    assert np.allclose(sequence.joints3d[:, R_HIP], placed[1].reshape(20, 28, 3)[:10, 23] / 1000, atol=1e-6)


def write_video(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number, np.uint8))
    writer.release()


@pytest.mark.parametrize(
    "names, joined", [(("annot3", "univ_annot3"), "as published numbers have it"), (("annot3",), "not comparable")]
)
def test_3dhp_is_measured_by_what_published_numbers_are(tmp_path: Path, names: tuple, joined: str) -> None:
    home, count = tmp_path / "TS1", 2
    placed = {name: RNG.normal(0, 400, (3, 17, 1, count)) for name in names}
    write_images(home / "imageSequence", [f"img_{n + 1:06d}.jpg" for n in range(count)])
    scipy.io.savemat(
        home / "annot_data.mat",
        {"annot2": RNG.uniform(5, 20, (2, 17, 1, count)), **placed, "valid_frame": np.ones((count, 1))},
    )
    (sequence,) = open_dataset("mpi-inf-3dhp", tmp_path)
    assert np.allclose(sequence.joints3d[:, R_HIP], placed[names[-1]][:, 8, 0].T / 1000, atol=1e-6)
    assert names[-1] in sequence.note and joined in sequence.note


@pytest.mark.parametrize("version", [5, 7.3])
def test_3dhp_test_set_keeps_which_frames_are_valid(tmp_path: Path, version: float) -> None:
    home, count = tmp_path / "TS1", 4
    flat, placed = RNG.uniform(5, 20, (2, 17, 1, count)), RNG.normal(0, 400, (3, 17, 1, count))
    write_images(home / "imageSequence", [f"img_{n + 1:06d}.jpg" for n in range(count)])
    content = {"annot2": flat, "annot3": placed, "valid_frame": np.array([[1], [0], [1], [1]])}
    if version == 5:
        scipy.io.savemat(home / "annot_data.mat", content)
    else:  # as the set is published
        write_matlab73(home / "annot_data.mat", content)
    (sequence,) = open_dataset("mpi-inf-3dhp", tmp_path)
    assert sequence.valid.tolist() == [True, False, True, True] and greys(sequence) == [0, 1, 2, 3]
    for row, joint in {HEAD_TOP: 0, NECK: 1, R_SHOULDER: 2, L_WRIST: 7, R_HIP: 8, L_ANKLE: 13, PELVIS: 14}.items():
        assert np.allclose(sequence.joints3d[:, row], placed[:, joint, 0].T / 1000, atol=1e-6), row


def write_matlab73(path: Path, content: dict[str, np.ndarray]) -> None:
    """Arrays as MATLAB's -v7.3 has them: HDF5 behind a block of 512 bytes, axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in content.items():
            file[name] = value.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def test_3dhp_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_3dhp(tmp_path)
    (tmp_path / "S1/Seq1/imageFrames/video_1/frame_000002.jpg").unlink()
    with pytest.raises(InputError, match="its images are not frame_000001.jpg and all that follow"):
        list(open_dataset("mpi-inf-3dhp", tmp_path, "train"))
    (tmp_path / "TS1").mkdir()
    (tmp_path / "TS1" / "annot_data.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(64))
    with pytest.raises(InputError, match="annot_data.mat: not as this data set has it"):
        list(open_dataset("mpi-inf-3dhp", tmp_path))
    with monkeypatch.context() as without, pytest.raises(InputError, match="h5py is needed") as caught:
        without.setitem(sys.modules, "h5py", None)
        list(open_dataset("mpi-inf-3dhp", tmp_path))
    assert "vibe-cli[datasets]" in caught.value.hint
    (tmp_path / "TS1" / "annot_data.mat").write_bytes(b"nothing")
    with pytest.raises(InputError, match="annot_data.mat"):
        list(open_dataset("mpi-inf-3dhp", tmp_path))


def test_human36m_is_every_second_frame_of_17_joints_in_metres(tmp_path: Path) -> None:
    count, home = 6, tmp_path / "S9"
    placed, flat = RNG.normal(0, 400, (1, count, 96)), RNG.uniform(5, 60, (1, count, 64))
    for kind, values in (("D3_Positions_mono", placed), ("D2_Positions", flat)):
        (home / "MyPoseFeatures" / kind).mkdir(parents=True)
        write_cdf(home / "MyPoseFeatures" / kind / "Walking 1.54138969.cdf", "Pose", values, packed="variable")
    (home / "Videos").mkdir()
    with VideoWriter(home / "Videos" / "Walking 1.54138969.mp4", 64, 48, Fraction(50), crf=5) as writer:
        for number in range(count):
            writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    (sequence,) = open_dataset("human36m", tmp_path)
    joints = placed.reshape(count, 32, 3)[::2] / 1000
    assert (sequence.name, sequence.fps, len(sequence)) == ("S9/Walking 1.54138969", 25, 3)
    assert [round(frame.mean() / 20) for frame in sequence.frames.read()] == [0, 2, 4]
    named = {
        PELVIS: 0,
        R_HIP: 1,
        R_KNEE: 2,
        R_ANKLE: 3,
        L_HIP: 6,
        L_KNEE: 7,
        L_ANKLE: 8,
        SPINE: 12,
        NECK: 13,
        JAW: 14,
        HEAD: 15,
        L_SHOULDER: 17,
        L_ELBOW: 18,
        L_WRIST: 19,
        R_SHOULDER: 25,
        R_ELBOW: 26,
        R_WRIST: 27,
    }
    for row, joint in named.items():
        assert np.allclose(sequence.joints3d[:, row], joints[:, joint], atol=1e-6), row
        assert np.allclose(sequence.joints2d[:, row, :2], flat.reshape(count, 32, 2)[::2, joint], atol=1e-4), row
    order = [3, 2, 1, 6, 7, 8, 27, 26, 25, 17, 18, 19, 13, 15]
    assert np.allclose(sequence.protocol14, joints[:, order], atol=1e-6)
    with pytest.raises(InputError, match="nothing of Human3.6M"):
        list(open_dataset("human36m", tmp_path, "train"))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("packed", ["no", "variable", "file"])
@pytest.mark.parametrize("little, rows", [(True, True), (False, False)])
def test_cdf_files_of_every_kind_give_the_same_numbers(
    tmp_path: Path, version: int, packed: str, little: bool, rows: bool
) -> None:
    values = RNG.normal(size=(2, 3, 4)).astype(np.float32)
    write_cdf(tmp_path / "a.cdf", "Pose", values, version, packed, little, rows)
    assert np.array_equal(read_cdf(tmp_path / "a.cdf")["Pose"], values)


def test_damaged_cdf_files_are_told(tmp_path: Path) -> None:
    write_cdf(tmp_path / "a.cdf", "Pose", RNG.normal(size=(1, 5, 6)))
    data = (tmp_path / "a.cdf").read_bytes()
    for size in range(0, len(data) - 1, 29):
        (tmp_path / "b.cdf").write_bytes(data[:size])
        with pytest.raises(ValueError):
            read_cdf(tmp_path / "b.cdf")


def test_every_data_set_states_where_it_is_had_and_how_it_lies() -> None:
    for name in DATASETS:
        known = about(name)
        assert known.name == name and known.url and known.licence and known.layout
    with pytest.raises(UsageError, match="no data set named mnist"):
        about("mnist")


def test_training_takes_no_split_that_models_are_measured_on() -> None:
    splits = {name: about(name).training for name in DATASETS}
    assert splits == {
        name: "clips" if name == "synthetic" else "train" if about(name).splits else None for name in DATASETS
    }


def test_a_split_to_train_on_can_be_named(tmp_path: Path) -> None:
    for split in ("test", "train", "validation"):
        make_3dpw(tmp_path / split, split)
    assert open_for_training(f"3dpw={tmp_path / 'train'}").label == "3dpw-train"
    assert len(list(open_for_training(f"3dpw={tmp_path / 'train'}"))) == 2
    assert len(list(open_for_training(f"3dpw:validation={tmp_path / 'validation'}"))) == 2
    assert open_for_training(f"amass={tmp_path}").label == "amass"
    with pytest.raises(InputError, match="train: missing"):
        list(open_for_training(f"3dpw={tmp_path / 'test'}"))
    with pytest.raises(InputError, match="no split named dev"):
        open_for_training(f"3dpw:dev={tmp_path / 'train'}")


def test_a_sequence_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="boxes has shape"):
        Sequence(name="a", length=3, fps=25, boxes=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="2 pictures for 3 frames"):
        Sequence(name="a", length=3, fps=25, frames=ArrayFrames(np.zeros((2, 4, 4, 3), np.uint8)))
    with pytest.raises(ValueError, match="gender"):
        Sequence(name="a", length=3, fps=25, gender="m")
