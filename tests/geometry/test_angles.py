"""Joint angles of poses that are constructed to have them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vibe_cli.body.body_models import load_body
from vibe_cli.geometry.angles import ANGLE_NAMES, joint_angles
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import JOINT

ARMS_DOWN = {"l_shoulder": (0, 0, -90), "r_shoulder": (0, 0, 90)}  # from the T-pose, degrees about x, y, z


def posed(**joints: tuple[float, float, float]) -> np.ndarray:
    """(1, 24, 3): the anatomical position, but for joints turned by degrees about x (left), y (up), z (forward)."""
    pose = np.zeros((1, 24, 3))
    for name, turn in (ARMS_DOWN | joints).items():
        pose[0, JOINT[name]] = np.radians(turn)
    return pose


def angle(name: str, **joints: tuple[float, float, float]) -> float:
    return float(joint_angles(posed(**joints))[name][0])


def test_all_angles_are_zero_in_the_anatomical_position() -> None:
    angles = joint_angles(posed())
    assert tuple(angles) == ANGLE_NAMES and len(ANGLE_NAMES) == 16
    assert all(abs(float(value[0])) < 1e-5 for value in angles.values()), angles


# The signs follow from the axes: about +x the front goes down, so a thigh that is lifted forward turns by −x.
CASES = [
    ("hip_flexion", {"hip": (-90, 0, 0)}, 90),
    ("hip_flexion", {"hip": (20, 0, 0)}, -20),
    ("hip_flexion", {"hip": (-120, 0, 0)}, 120),
    ("hip_abduction", {"hip": (0, 0, 30)}, 30),
    ("hip_flexion", {"hip": (0, 0, 30)}, 0),
    ("hip_flexion", {"hip": (0, 50, 0)}, 0),
    ("knee_flexion", {"knee": (140, 0, 0)}, 140),
    ("knee_flexion", {"knee": (-8, 0, 0)}, -8),
    ("knee_flexion", {"knee": (60, 0, 0), "hip": (-90, 0, 0)}, 60),
    ("ankle_dorsiflexion", {"ankle": (-15, 0, 0)}, 15),
    ("ankle_dorsiflexion", {"ankle": (40, 0, 0)}, -40),
    ("elbow_flexion", {"elbow": (0, -130, 0)}, 130),
    ("elbow_flexion", {"elbow": (70, 0, 0)}, 0),
    ("shoulder_abduction", {"shoulder": (0, 0, 0)}, 90),
    ("shoulder_abduction", {"shoulder": (0, 0, 60)}, 150),
    ("shoulder_elevation", {"shoulder": (0, 0, 60)}, 150),
    ("shoulder_abduction", {"shoulder": (0, 0, -45), "collar": (0, 0, 10)}, 55),
    ("shoulder_elevation", {"shoulder": (0, -90, 0)}, 90),
    ("shoulder_flexion", {"shoulder": (0, -90, 0)}, 90),
]


@pytest.mark.parametrize("side", ["l", "r"])
@pytest.mark.parametrize(("name", "turns", "degrees"), CASES)
def test_a_constructed_pose_has_its_angle_on_either_side(
    name: str, turns: dict[str, tuple[float, float, float]], degrees: float, side: str
) -> None:
    mirror = 1 if side == "l" else -1  # turns about y and z change their sign in a mirror, about x they do not
    joints = {f"{side}_{joint}": (x, mirror * y, mirror * z) for joint, (x, y, z) in turns.items()}
    assert angle(f"{side}_{name}", **joints) == pytest.approx(degrees, abs=1e-4)


@pytest.mark.parametrize("degrees", [-50, 30, 120, 175])
def test_a_hanging_arm_that_swings_forward_flexes(degrees: float) -> None:
    swing = Rotation.from_euler("x", -degrees, degrees=True) * Rotation.from_euler("z", -90, degrees=True)
    turn = tuple(np.degrees(swing.as_rotvec()))
    assert angle("l_shoulder_flexion", l_shoulder=turn) == pytest.approx(degrees, abs=1e-4)


def test_what_is_not_defined_is_nan_and_nothing_else_is() -> None:
    sideways = joint_angles(np.zeros((1, 24, 3)))  # the T-pose
    missing = {name for name, value in sideways.items() if np.isnan(value).any()}
    assert missing == {"l_shoulder_flexion", "r_shoulder_flexion"}
    forward = joint_angles(posed(l_shoulder=(0, -90, 0)))
    assert {name for name, value in forward.items() if np.isnan(value).any()} == {"l_shoulder_abduction"}


def test_a_lower_leg_that_turns_about_itself_is_flexed_as_before() -> None:
    turned = Rotation.from_euler("XZY", [70, 6, 25], degrees=True).as_rotvec()
    assert angle("r_knee_flexion", r_knee=tuple(np.degrees(turned))) == pytest.approx(70, abs=1e-4)


def test_where_the_person_stands_and_looks_changes_nothing() -> None:
    random = np.random.default_rng(3)
    pose = random.normal(0, 0.6, (20, 24, 3))
    turned = pose.copy()
    turned[:, 0] = random.normal(0, 2, (20, 3))
    for name, value in joint_angles(pose).items():
        np.testing.assert_array_equal(value, joint_angles(turned)[name])


def test_knees_and_elbows_are_the_angles_of_the_bodys_bones() -> None:
    """On the open body, whose limbs are straight at rest: measured between its joints in space."""
    body = load_body(None)
    pose = np.concatenate([posed(l_knee=(bend, 0, 0), r_elbow=(0, bend, 0)) for bend in (0, 35, 90, 150)])
    joints = body(matrix_from_axis_angle(torch.tensor(pose).float()), torch.zeros(len(pose), 10)).joints.numpy()
    openpose = {"l_knee": (12, 13, 14), "r_elbow": (2, 3, 4)}  # of the 49: the joint between its neighbours
    for name, (above, joint, below) in openpose.items():
        one, two = joints[:, joint] - joints[:, above], joints[:, below] - joints[:, joint]
        cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        measured = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        np.testing.assert_allclose(joint_angles(pose)[f"{name}_flexion"], measured, atol=1.5)


def test_matrices_are_those_of_the_bodies() -> None:
    from vibe_cli.geometry.angles import _matrices

    turns = np.concatenate([np.random.default_rng(4).normal(0, 2, (50, 3)), np.zeros((1, 3)), np.full((1, 3), 1e-9)])
    np.testing.assert_allclose(_matrices(turns), matrix_from_axis_angle(torch.tensor(turns)).numpy(), atol=1e-9)


def test_another_shape_is_refused_and_torch_is_not_needed() -> None:
    with pytest.raises(ValueError, match=r"\(5, 72\), expected \(T, 24, 3\)"):
        joint_angles(np.zeros((5, 72)))
    assert joint_angles(np.zeros((0, 24, 3)))["l_knee_flexion"].shape == (0,)
    code = "import sys, vibe_cli.geometry.angles; assert not {'torch', 'cv2', 'scipy'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
