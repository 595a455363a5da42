"""The names that scripts of users import: they stay, wherever what they name may move."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

PROMISED = {
    "vibe_cli": ("recover", "load_model", "list_models", "Person", "Result", "__version__"),
    "vibe_cli.results": ("Person", "Result", "VideoInfo"),
    "vibe_cli.body": ("Body", "load_body", "joints_of", "vertices_of"),
    "vibe_cli.camera": (
        "crop_points_to_image",
        "crop_to_image_camera",
        "default_intrinsics",
        "image_points_to_crop",
        "metric_translation",
        "project_image",
    ),
    "vibe_cli.skeleton": ("EVALUATION_14", "JOINTS_49", "JOINT_NAMES", "PARENTS", "POINT_NAMES"),
}


@pytest.mark.parametrize("module", PROMISED)
def test_promised_names_are_there(module: str) -> None:
    home = import_module(module)
    assert not [name for name in PROMISED[module] if not hasattr(home, name)]
    assert set(home.__all__ if hasattr(home, "__all__") else PROMISED[module]) == set(PROMISED[module])


def test_they_are_the_things_themselves() -> None:
    import vibe_cli
    from vibe_cli import body, camera, pipeline, results, skeleton
    from vibe_cli.geometry import camera as cameras
    from vibe_cli.geometry import skeleton as joints

    assert vibe_cli.recover is pipeline.recover and vibe_cli.Result is results.Result
    assert camera.crop_points_to_image is cameras.crop_points_to_image and skeleton.JOINTS_49 is joints.JOINTS_49
    assert isinstance(body.load_body(), body.Body)


def test_they_cost_nothing_before_they_are_used() -> None:
    code = "import sys, vibe_cli, vibe_cli.camera, vibe_cli.skeleton; assert not {'torch', 'cv2'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
