"""The table of joints: a name each, and mirrors that agree with SMPL's tree."""

from __future__ import annotations

from vibe_cli.geometry.skeleton import (
    JOINT,
    JOINT_NAMES,
    JOINTS_49,
    JOINTS_54,
    MIRRORED_54,
    PARENTS,
    PARENTS_54,
    joints,
)


def test_every_joint_has_a_name_of_its_own() -> None:
    assert len(JOINTS_54) == len(set(JOINTS_54)) == 54 and JOINTS_54[:24] == JOINT_NAMES
    assert JOINTS_49[0] == JOINT["nose"] and JOINTS_49[25:27] == (JOINT["r_ankle"], JOINT["r_knee"])


def test_mirroring_twice_changes_nothing_and_keeps_the_tree() -> None:
    assert [MIRRORED_54[MIRRORED_54[joint]] for joint in range(54)] == list(range(54))
    assert MIRRORED_54[JOINT["l_heel"]] == JOINT["r_heel"] and MIRRORED_54[JOINT["neck"]] == JOINT["neck"]
    assert all(parent < 0 or PARENTS[MIRRORED_54[joint]] == MIRRORED_54[parent] for joint, parent in enumerate(PARENTS))


def test_every_joint_hangs_on_the_skeleton_alike_on_both_sides() -> None:
    assert len(PARENTS_54) == 54 and PARENTS_54[:24] == PARENTS and max(PARENTS_54) < 24
    assert all(p < 0 or PARENTS_54[MIRRORED_54[j]] == MIRRORED_54[p] for j, p in enumerate(PARENTS_54))
    assert PARENTS_54[JOINT["r_heel"]] == JOINT["r_ankle"] and PARENTS_54[JOINT["head_top_lsp"]] == JOINT["head"]


def test_a_name_without_its_side_stands_for_both() -> None:
    assert joints("pelvis", "knee", "r_wrist") == [0, 4, 5, 21]
