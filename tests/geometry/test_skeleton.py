"""The table of joints: a name each, and mirrors that agree with SMPL's tree."""

from __future__ import annotations

from vibe_cli.geometry.skeleton import JOINT, JOINT_NAMES, JOINTS_49, JOINTS_54, MIRRORED_54, PARENTS


def test_every_joint_has_a_name_of_its_own() -> None:
    assert len(JOINTS_54) == len(set(JOINTS_54)) == 54 and JOINTS_54[:24] == JOINT_NAMES
    assert JOINTS_49[0] == JOINT["nose"] and JOINTS_49[25:27] == (JOINT["r_ankle"], JOINT["r_knee"])


def test_mirroring_twice_changes_nothing_and_keeps_the_tree() -> None:
    assert [MIRRORED_54[MIRRORED_54[joint]] for joint in range(54)] == list(range(54))
    assert MIRRORED_54[JOINT["l_heel"]] == JOINT["r_heel"] and MIRRORED_54[JOINT["neck"]] == JOINT["neck"]
    assert all(parent < 0 or PARENTS[MIRRORED_54[joint]] == MIRRORED_54[parent] for joint, parent in enumerate(PARENTS))
