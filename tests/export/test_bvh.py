"""Skeletons in motion: BVH is read and posed by pybvh, which knows nothing of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pybvh
import pytest

from vibe_cli.body.body_models import load_body
from vibe_cli.export.axes import from_camera
from vibe_cli.export.bvh import euler_angles
from vibe_cli.export.points import Points
from vibe_cli.export.rig import BONES
from vibe_cli.results import Result

BODY = load_body(None)


def posed(path: Path) -> tuple[pybvh.Bvh, np.ndarray]:
    """A file, and its 24 joints (T, 24, 3) in our order."""
    motion = pybvh.read_bvh_file(path, world_up="+y")
    places = np.asarray(motion.joint_positions())
    return motion, places[:, [motion.joint_names.index(name) for name in BONES]]


@pytest.mark.parametrize("axes", ["opengl", "blender", "unity"])
@pytest.mark.parametrize("order", ["ZXY", "XYZ"])
def test_a_foreign_reader_finds_every_joint_where_it_is(axes: str, order: str, vibe, run: Path, result: Result) -> None:
    answer = vibe("export", run, "-f", "bvh", "--order", order, *([] if axes == "opengl" else ["--axes", axes]))
    assert answer.code == 0 and answer.out.strip() == str(run / "bvh")
    assert sorted(path.name for path in (run / "bvh").iterdir()) == ["person_001.bvh", "person_004.bvh"]
    for person in result.people:
        motion, places = posed(run / "bvh" / f"person_{person.id:03d}.bvh")
        assert motion.frame_count == len(person) and motion.frame_time == pytest.approx(1 / 30, abs=1e-8)
        about = Points(BODY).about_pelvis(person)[:, :24]
        ours = (about + person.translation(result.video)[:, None]) @ from_camera(axes).T
        assert np.abs(places - ours).max() < 1e-3, "within a millimetre, at every frame"


def test_at_rest_it_stands_upright_in_a_t_pose_of_the_persons_size(vibe, run: Path, result: Result) -> None:
    assert vibe("export", run, "-f", "bvh").code == 0
    motion, _ = posed(run / "bvh" / "person_001.bvh")
    rest = dict(zip([node.name for node in motion.nodes], motion.rest_pose_positions(), strict=True))
    assert rest["Head"][1] > rest["Hips"][1] + 0.4 > rest["LeftFoot"][1] + 1
    assert rest["LeftHand"][0] > rest["LeftArm"][0] + 0.3 > rest["RightArm"][0] + 0.4, "the left is at +x"
    assert abs(rest["LeftHand"][1] - rest["LeftArm"][1]) < 0.15, "arms out"
    assert rest["LeftToeBase"][2] > rest["LeftFoot"][2] + 0.05, "it faces +z"
    sizes = {tuple(posed(run / "bvh" / f"person_{number}.bvh")[0].nodes[4].offset) for number in ("001", "004")}
    assert len(sizes) == 2, "each person has their own bones"


def test_channels_are_in_the_order_asked_for(vibe, run: Path) -> None:
    assert vibe("export", run, "-f", "bvh", "--order", "YXZ").code == 0
    text = (run / "bvh" / "person_001.bvh").read_text("ascii")
    assert "CHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation" in text
    assert text.count("CHANNELS 3 Yrotation Xrotation Zrotation") == 23


def test_who_enters_late_begins_with_the_clip_where_that_is_asked(vibe, run: Path) -> None:
    assert vibe("export", run, "-f", "bvh", "--from-start").code == 0
    motion, places = posed(run / "bvh" / "person_004.bvh")
    assert motion.frame_count == 35 and np.allclose(places[:2], places[2])


def test_a_chosen_rate_keeps_the_motions_speed(vibe, run: Path) -> None:
    assert vibe("export", run, "-f", "bvh").code == 0
    _, slow = posed(run / "bvh" / "person_001.bvh")
    assert vibe("export", run, "-f", "bvh", "--fps", "60").code == 0
    motion, fast = posed(run / "bvh" / "person_001.bvh")
    assert motion.frame_time == pytest.approx(1 / 60, abs=1e-8) and abs(motion.frame_count - 79) <= 1
    assert np.abs(fast[::2][:20] - slow[:20]).max() < 0.05


def test_angles_do_not_jump_where_the_rotation_does_not() -> None:
    from scipy.spatial.transform import Rotation

    way = np.linspace(0, 4 * np.pi, 400)
    turns = Rotation.from_euler("ZXY", np.stack([0.3 * np.sin(way), 0.5 * way, way], axis=1)).as_matrix()[:, None]
    angles = euler_angles(turns, "ZXY")
    assert np.abs(np.diff(angles[:, 0], axis=0)).max() < 5
    assert np.allclose(Rotation.from_euler("ZXY", angles[:, 0], degrees=True).as_matrix(), turns[:, 0], atol=1e-6)
