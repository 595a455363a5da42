"""The example clip is what its script makes, and the scripts do what they say on it, with the shipped models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from tests.helpers.people import make_person, make_result
from vibe_cli.body.body_models import joints_of, load_body
from vibe_cli.evaluation.metrics import pa_mpjpe
from vibe_cli.export import ExportOptions, format_writer
from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.progress import quiet
from vibe_cli.results import Result
from vibe_cli.video.reader import open_video

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CLIP = EXAMPLES / "dance.mp4"
SCALE = 0.25


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    """The scripts import each other as they do when they are run."""
    sys.path.insert(0, str(EXAMPLES))
    yield
    sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def make_clip() -> ModuleType:
    import make_clip

    return make_clip


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The example clip, recovered by the example script."""
    import recover_clip

    target = tmp_path_factory.mktemp("example") / "dance.npz"
    recover_clip.main(CLIP, target)
    return Result.load(target)


def test_the_clip_is_small_and_plays_everywhere() -> None:
    assert CLIP.stat().st_size < 400_000
    with open_video(CLIP) as video:
        shapes = {frame.shape for _, frame in video}
        info = video.info
    assert (info.frames, info.fps, shapes) == (120, 25, {(480, 640, 3)})


@pytest.fixture(scope="module")
def small(make_clip: ModuleType) -> list[np.ndarray]:
    """Three frames of the clip, drawn anew at a quarter of the size: walking, arms raised, waving."""
    view, person = make_clip.camera(SCALE), make_clip.Person.dress(load_body(None))
    room = make_clip.paint_room(view, make_clip.SAMPLES)
    rng = np.random.default_rng(make_clip.SEED)
    return [make_clip.draw(person, view, room, number / 25, rng) for number in (5, 50, 70)]


def test_the_clip_is_what_its_script_draws(small: list[np.ndarray]) -> None:
    with open_video(CLIP) as video:
        frames = [frame for index, frame in video if index in (5, 50, 70)]
    for drawn, frame in zip(small, frames, strict=True):
        shown = cv2.resize(frame, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA)
        assert np.abs(shown.astype(float) - drawn).mean() < 4
    assert np.abs(small[0].astype(float) - small[1]).mean() > 6, "another moment is another picture"


def test_the_person_in_the_clip_is_found_once_and_throughout(result: Result) -> None:
    (person,) = result.people
    assert person.id == 1 and len(person) >= 0.98 * result.video.frames


def test_the_arms_go_up_when_hers_do(result: Result) -> None:
    joints = joints_of(result.people[0], load_body(None))
    frames = result.people[0].frames
    wrists, nose = (joints[:, [JOINTS_49.index(joint) for joint in some], 1].mean(axis=1) for some in ((20, 21), (24,)))
    low = dict(zip(frames.tolist(), (wrists - nose).tolist(), strict=True))  # metres below the nose
    walking = np.median([low[frame] for frame in range(30)])
    assert walking > 0.4, "beside the body while she walks"
    assert all(low[frame] < walking - 0.25 for frame in range(47, 54)), "well above that at about two seconds"


def test_the_recovered_pose_is_near_the_true_one(result: Result, make_clip: ModuleType) -> None:
    person, body = result.people[0], load_body(None)
    rotations = np.stack([make_clip.pose_at(frame / 25) for frame in person.frames])
    rotations[:, 0] = np.diag([1.0, -1, -1]) @ rotations[:, 0]
    true = body(torch.from_numpy(rotations).float(), torch.zeros(len(person), 10)).joints[:, 25:39].numpy()
    assert pa_mpjpe(joints_of(person, body)[:, 25:39], true) < 110, "millimetres, of the 14 evaluation joints"


@pytest.mark.parametrize("name", ["npz", "pkl"])
def test_results_are_read_without_our_library(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    import read_result

    person = make_person(frames=6)
    person.pose[:, read_result.LEFT_KNEE, 0] = np.radians(np.linspace(5, 80, 6))
    made = make_result([person], frames=6)
    path = tmp_path / "result.npz"
    if name == "npz":
        made.save(path)
    else:
        (path,) = format_writer("pkl").write(made, load_body(None), tmp_path, ExportOptions(vertices=False), quiet)
    read_result.main(path)
    assert capsys.readouterr().out == "person 1: 6 frames, the left knee bends 5 to 80 degrees\n"


@pytest.mark.skipif(os.name == "nt", reason="a script for Slurm")
def test_the_script_for_slurm_starts_ray_and_a_batch_with_a_worker_a_gpu(tmp_path: Path) -> None:
    programs = {
        "scontrol": 'echo node1; echo "$SLURM_NODES_MORE"',
        "srun": 'echo "srun $*" >> "$SAID"',
        "ray": "echo ' 1 node_a'; echo ' 1 node_b'",
        "vibe": 'echo "vibe $*" >> "$SAID"',
        "sleep": ":",
    }
    for name, words in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{words}\n")
        (tmp_path / name).chmod(0o755)
    told = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "4", "SAID": "said"}
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_NODES_MORE": "node2", **told}
    script = ["bash", EXAMPLES / "slurm_batch.sh"]
    run = subprocess.run([*script, "in", "out", "--render"], cwd=tmp_path, env=environment, capture_output=True)
    assert run.returncode == 0, run.stderr
    said = (tmp_path / "said").read_text().splitlines()
    assert said[-1] == "vibe batch in -o out --engine ray --address node1:20007 --workers 8 --render"
    assert sum(line.startswith("srun") for line in said) == 2
    assert subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True).returncode == 2
