"""`vibe train`: named settings, runs that resume exactly, several processes, a bare machine."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.helpers.photographs import write_photographs
from vibe_cli.errors import InputError, UsageError
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.networks.keypoints import KeypointConfig
from vibe_cli.paths import models_dir
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.bundle import read_bundle, write_bundle
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.mocap import Clip
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.poses import random_pose
from vibe_cli.training.configs import CONFIGS, change, describe_settings, settings_from
from vibe_cli.training.curves import Curves, draw_curves, read_curves
from vibe_cli.training.distributed import ProcessContext, process_context
from vibe_cli.training.inputs import TrainingInputs
from vibe_cli.training.keypoints import KeypointTraining, train_keypoints
from vibe_cli.training.loop import Loop
from vibe_cli.training.parts import is_of, split_file
from vibe_cli.training.weights import pictures_weights

ROOT = Path(__file__).resolve().parents[2]
TINY_LIFTER = (
    "--set",
    "batch=8",
    "--set",
    "features=16",
    "--set",
    "hidden=16",
    "--set",
    "stills=40",
    "--set",
    "threads=1",
)
TINY = ("--set", "batch=2", "--set", "threads=1")
MPOSER = ("mposer", "--set", "hidden=8", "--set", "batch=3", "--set", "threads=1")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the open body and a few motions."""
    rng, swing = np.random.default_rng(0), np.sin(np.linspace(0, 12, 130))[:, None, None]
    clips = [
        Clip(
            str(i),
            (
                random_pose(rng)
                @ matrix_from_axis_angle(torch.from_numpy(swing * rng.normal(0, 0.3, (1, 24, 3)))).numpy()
            ).astype(np.float32),
        )
        for i in range(5)
    ]
    path = tmp_path_factory.mktemp("bundle") / "bundle.npz"
    write_bundle(
        path, SynthBody.load(models_dir() / "open-body" / "weights.safetensors", faces=None), clips, Pictures([])
    )
    return path


def process(*args: object, code: str | None = None) -> list[str]:
    """The command line of a training in a process of its own."""
    return [sys.executable, *(["-c", code] if code else ["-m", "vibe_cli.training"]), *map(str, args)]


def start(folder: Path, *args: object, **kinds: object) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        process(*args, **kinds),
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def weights(folder: Path, name: str) -> torch.Tensor:
    state = torch.load(folder / "weights.pt", weights_only=True)[name]
    return torch.cat([x.flatten().double() for x in state.values()])


def test_settings_are_changed_by_name_and_unknown_ones_are_refused() -> None:
    settings = CONFIGS["open-vibe"].settings
    changed = change(settings, ["rate=1e-5", "steps=7", "discriminator=true", "weights.velocity=3"])
    assert (changed.rate, changed.steps, changed.discriminator, changed.weights.velocity) == (1e-5, 7, True, 3.0)
    assert changed.weights.feature == settings.weights.feature
    assert settings_from(settings, json.loads(json.dumps(describe_settings(changed)))) == changed
    for wrong in ("speed=1", "weights.speed=1", "weights=1", "rate.x=1", "rate"):
        with pytest.raises(UsageError):
            change(settings, [wrong])
    for wrong in ("batch=many", "batch=1.5", "batch=true", "discriminator=1", "rate=null"):
        with pytest.raises(UsageError, match=wrong.partition("=")[0]):
            change(settings, [wrong])
    assert change(changed, ["steps=null"]).steps is None


def test_data_sets_are_given_as_a_list() -> None:
    settings = CONFIGS["vibe"].settings
    assert change(settings, ['data=["3dpw=a b", "records.pt"]', "data=[]"]).data == ()
    assert change(settings, ["data=3dpw=a b"]).data == ("3dpw=a b",)
    changed = change(settings, ['data=["3dpw=a b", "records.pt"]'])
    assert changed.data == ("3dpw=a b", "records.pt")
    assert settings_from(settings, json.loads(json.dumps(describe_settings(changed)))) == changed
    for wrong in ("data=[3dpw", "data=[1]", "data=null"):
        with pytest.raises(UsageError, match="data"):
            change(settings, [wrong])


@pytest.mark.parametrize(
    "wrong",
    [
        "batch=0",
        "batch=-1",
        "steps=0",
        "rate=-1e-3",
        "rate=-1",
        "rate=NaN",
        "minutes=Infinity",
        "seed=-1",
        "weights.velocity=-2",
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong.partition("=")[0]):
        change(CONFIGS["open-vibe"].settings, [wrong])


def test_zero_is_a_weight_and_a_seed() -> None:
    changed = change(CONFIGS["open-vibe"].settings, ["seed=0", "weights.velocity=0", "simulated_share=0"])
    assert (changed.seed, changed.weights.velocity, changed.simulated_share) == (0, 0, 0)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_training_has_a_budget_that_can_be_changed(name: str) -> None:
    task = CONFIGS[name]
    assert task.with_budget(None, 30, 2.0).settings.pause == 2.0 and task.with_budget(None, 30).steps == 30
    assert task.with_budget(7.0).steps is None and type(task.with_budget(7.0)) is type(task)
    with pytest.raises(UsageError):
        task.with_budget(1.0, 30, None)
    with pytest.raises(UsageError, match="stop-after"):
        task.with_budget(None, 30, -1.0)
    for minutes, steps in ((0, None), (math.nan, None), (math.inf, None), (None, 0)):
        with pytest.raises(UsageError):
            task.with_budget(minutes, steps)


def test_the_trainings_are_listed(vibe) -> None:
    answer = vibe("train")
    assert answer.code == 0 and all(name in answer.out for name in CONFIGS)
    assert "discriminator_hidden=256" in answer.out and answer.out.count("small_share=") == 1
    assert vibe("train", "nothing").code == 2


def test_a_lifter_and_a_network_on_it_are_trained_from_a_bundle(vibe, home: Path, bundle: Path) -> None:
    answer = vibe("train", "lifter", "--data", bundle, "--steps", 6, *TINY_LIFTER)
    assert answer.code == 0 and "done" in answer.out, answer.err
    answer = vibe("train", "open-tcmr", "--data", bundle, "--start", "runs/lifter", "--steps", 4, *TINY, "--out", "net")
    assert answer.code == 0, answer.err
    state = torch.load(home / "net" / "weights.pt", weights_only=True)
    assert state["config"]["network"] == "tcmr" and state["config"]["features"] == 16
    run = json.loads((home / "net" / "run.json").read_text())
    assert run["data"]["motions"] == 5 and run["settings"]["batch"] == 2 and run == state["run"]
    assert len(run["start"]["sha256"]) == 64
    assert cv2.imread(str(home / "net" / "curves.png")).shape == (540, 960, 3)
    assert not list(home.rglob("*.part"))


def test_wrong_orders_are_refused_in_words(vibe, home: Path, bundle: Path) -> None:
    (home / "text.npz").write_text("no bundle")
    for args, code, word in (
        (("open-vibe", "--data", bundle), 2, "lifter"),
        (("mposer",), 2, "--data"),
        (("mposer", "--data", "text.npz"), 3, "bundle"),
        (("mposer", "--data", "gone"), 3, "gone"),
        (("keypoints", "--data", bundle, "--steps", 1), 2, "pictures"),
        (("mposer", "--data", bundle, "--body", "x.safetensors"), 2, "--body"),
        (("mposer", "--data", bundle, "--resume"), 3, "no run"),
        (("mposer", "--data", bundle, "--set", "micro_batches=0", "--steps", 1), 2, "micro_batches"),
        (("open-vibe", "--set", "simulated_share=1.5"), 2, "simulated_share"),
    ):
        answer = vibe("train", *args)
        assert answer.code == code and word in answer.err, answer.err
    assert vibe("train", *MPOSER, "--data", bundle, "--steps", 2).code == 0
    again = vibe("train", *MPOSER, "--data", bundle, "--steps", 2)
    assert again.code == 2 and "--resume" in again.err
    other = vibe("train", *MPOSER, "--data", bundle, "--set", "rate=0.5", "--resume", "--steps", 4)
    assert other.code == 2 and "rate" in other.err


@pytest.mark.parametrize(
    "args",
    [
        (*MPOSER,),
        ("lifter", *TINY_LIFTER),
        ("open-vibe", *TINY, "--set", "discriminator=true", "--set", "discriminator_hidden=8"),
    ],
    ids=lambda args: args[0],
)
def test_a_run_that_pauses_and_resumes_is_the_run_that_did_not(args: tuple, vibe, home: Path, bundle: Path) -> None:
    if args[0] == "open-vibe":
        assert vibe("train", "lifter", "--data", bundle, "--steps", 3, *TINY_LIFTER).code == 0
        args = (*args, "--start", "runs/lifter")
    assert vibe("train", *args, "--data", bundle, "--steps", 12, "--out", "whole").code == 0
    paused = vibe("train", *args, "--data", bundle, "--steps", 12, "--out", "cut", "--stop-after", 0)
    calls = 1
    while "to be resumed" in paused.out:
        paused = vibe("train", *args, "--data", bundle, "--out", "cut", "--resume", "--stop-after", 0)
        assert paused.code == 0, paused.err
        calls += 1
    assert calls > 10
    name = {"mposer": "mposer", "lifter": "lifter", "open-vibe": "network"}[args[0]]
    assert torch.equal(weights(home / "whole", name), weights(home / "cut", name))
    assert (home / "whole" / "curves.csv").read_bytes() == (home / "cut" / "curves.csv").read_bytes()


def test_parts_that_went_on_elsewhere_come_back(vibe, home: Path, bundle: Path) -> None:
    order = ("train", *MPOSER, "--data", bundle, "--steps", 12)
    assert vibe(*order, "--out", "here", "--stop-after", 0, "--parts").code == 0
    older = (home / "here" / "checkpoint.pt").read_bytes()
    shutil.copytree(home / "here", home / "there")
    assert vibe(*order, "--out", "there", "--resume", "--parts").code == 0
    shutil.copytree(home / "there" / "parts", home / "here" / "parts", dirs_exist_ok=True)
    (home / "here" / "parts" / "weights.pt.parts").unlink()
    back = vibe(*order, "--out", "here", "--resume")
    assert back.code == 0 and "goes on from the 12 steps in parts/, not from the 1 that were here" in back.err, back.err
    assert torch.equal(weights(home / "there", "mposer"), weights(home / "here", "mposer"))
    newer = (home / "here" / "checkpoint.pt").read_bytes()
    split_file(home / "here" / "checkpoint.pt", home / "here" / "parts")
    (home / "older.pt").write_bytes(older)
    split_file((home / "older.pt").rename(home / "checkpoint.pt"), home / "here" / "parts")
    assert "goes on from" not in vibe(*order, "--out", "here", "--resume").err
    assert len((home / "here" / "checkpoint.pt").read_bytes()) == len(newer)
    assert not list((home / "here").glob("*.carried"))


def test_a_killed_run_leaves_parts_of_its_last_checkpoint(vibe, home: Path, bundle: Path, monkeypatch) -> None:
    def killed(loop: Loop, *_: object) -> None:
        Loop.save(loop)
        raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "step", killed)
    vibe("train", *MPOSER, "--data", bundle, "--steps", 12, "--out", "run", "--parts")
    assert is_of(home / "run" / "parts" / "checkpoint.pt.parts", home / "run" / "checkpoint.pt")


def test_a_run_goes_on_elsewhere_from_its_parts(vibe, home: Path, bundle: Path) -> None:
    assert vibe("train", *MPOSER, "--data", bundle, "--steps", 12, "--out", "whole").code == 0
    cut = ("--steps", 12, "--out", "here", "--stop-after", 0, "--parts")
    assert vibe("train", *MPOSER, "--data", bundle, *cut).code == 0
    (home / "there").mkdir()
    shutil.copy(home / "here" / "run.json", home / "there")
    shutil.copytree(home / "here" / "parts", home / "there" / "parts")
    on = vibe("train", *MPOSER, "--data", bundle, "--out", "there", "--resume", "--parts")
    assert on.code == 0, on.err
    assert torch.equal(weights(home / "whole", "mposer"), weights(home / "there", "mposer"))
    assert (home / "there" / "parts" / "weights.pt.parts").is_file()
    (home / "there" / "checkpoint.pt").unlink()
    anew = vibe("train", *MPOSER, "--data", bundle, "--steps", 12, "--out", "there", "--set", "rate=0.5")
    assert anew.code == 2 and "--resume" in anew.err, "a run in parts is a run"
    next((home / "there" / "parts").glob("checkpoint.pt.part0*")).write_bytes(b"not it")
    harmed = vibe("train", *MPOSER, "--data", bundle, "--out", "there", "--resume")
    assert harmed.code == 3 and "checkpoint.pt.part0" in harmed.err


def test_a_run_that_is_killed_and_resumed_is_the_run_that_was_not(tmp_path: Path, bundle: Path) -> None:
    """SIGKILL, at whatever moment: in a step, or while a checkpoint is written."""
    args = (*MPOSER, "--data", bundle, "--steps", 300, "--set", "save_every=0.05")
    whole = start(tmp_path, *args, "--out", "whole")
    killed = start(tmp_path, *args, "--out", "killed")
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert 0 < torch.load(checkpoint, weights_only=True)["steps"] < 300
    resumed = start(tmp_path, *args, "--out", "killed", "--resume")
    for one in (whole, resumed):
        text, _ = one.communicate()
        assert one.returncode == 0, text
    assert torch.equal(weights(tmp_path / "whole", "mposer"), weights(tmp_path / "killed", "mposer"))
    assert len(read_curves(tmp_path / "whole" / "curves.csv")) == 30
    assert (tmp_path / "whole" / "curves.csv").read_bytes() == (tmp_path / "killed" / "curves.csv").read_bytes()


def test_two_processes_do_what_one_does_with_twice_the_pieces(tmp_path: Path, bundle: Path) -> None:
    """torchrun with two CPU processes; each writes its weights, to be compared."""
    code = (
        "import sys, os, torch\n"
        "from vibe_cli.training import runs, __main__\n"
        "first = runs.Loop._descend\n"
        "def descend(self, *args):\n"
        "    first(self, *args)\n"
        "    rank = os.environ.get('RANK', 'alone')\n"
        "    torch.save(self.network.state_dict(), f'rank_{rank}.pt')\n"
        "runs.Loop._descend = descend\n"
        "sys.exit(__main__.main(sys.argv[1:]))\n"
    )
    (tmp_path / "program.py").write_text(code)
    args = (*MPOSER, "--data", bundle, "--steps", 4, "--set", "micro_batches=2", "--device", "cpu")
    alone = start(
        tmp_path,
        tmp_path / "program.py",
        *args,
        "--out",
        "one",
        code=("import sys, runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"),
    )
    text, _ = alone.communicate()
    assert alone.returncode == 0, text
    launch = "import sys; from torch.distributed.run import main; main(sys.argv[1:])"
    both = start(
        tmp_path,
        "--nproc-per-node",
        2,
        "--master-port",
        29000 + os.getpid() % 2000,
        tmp_path / "program.py",
        *args,
        "--out",
        "two",
        code=launch,
    )
    text, _ = both.communicate()
    assert both.returncode == 0, text
    zero, one, single = (torch.load(tmp_path / f"rank_{rank}.pt") for rank in ("0", "1", "alone"))
    assert all(torch.equal(zero[key], one[key]) for key in zero)
    assert all(torch.allclose(zero[key], single[key], atol=1e-5) for key in zero)
    assert torch.allclose(weights(tmp_path / "one", "mposer"), weights(tmp_path / "two", "mposer"), atol=1e-5)


def test_networks_of_pictures_begin_at_a_runs_folder_or_a_checkpoint(tmp_path: Path) -> None:
    torch.save({"averaged": {"backbone.x": torch.ones(1), "pyramid.x": torch.ones(1)}}, tmp_path / "weights.pt")
    for start_at in (tmp_path, tmp_path / "weights.pt"):
        assert set(pictures_weights(start_at, ("backbone", "pyramid"))) == {"backbone.x", "pyramid.x"}
    with pytest.raises(InputError, match="holds no depth"):
        pictures_weights(tmp_path, ("backbone", "depth"))
    torch.save([1], tmp_path / "weights.pt")
    with pytest.raises(InputError, match="holds no averaged"):
        pictures_weights(tmp_path, ("backbone",))


def test_layers_that_have_learnt_nothing_are_not_frozen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="begin with"):
        train_keypoints(tmp_path, tmp_path / "run.pt", KeypointConfig(), KeypointTraining(frozen=True), print)


def test_what_was_seen_otherwise_than_encoders_see_is_not_learnt_from(tmp_path: Path) -> None:
    torch.save({"seen": {}, "truth": {}}, tmp_path / "seen_clips.pt")
    with pytest.raises(InputError, match="in another way") as refused:
        TrainingInputs([], None, tmp_path).seen("clips")
    assert "vibe_cli.training.cache_predictions" in refused.value.hint


def test_auto_is_bfloat16_for_networks_of_pictures_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vibe_cli.training.distributed.fast_bfloat16", lambda: True)
    product = torch.ones(2, 2)
    for precision, pictures, others in (
        ("auto", torch.bfloat16, torch.float32),
        ("float32", *[torch.float32] * 2),
        ("bfloat16", *[torch.bfloat16] * 2),
    ):
        context = ProcessContext(precision=precision)
        with context.pictures():
            assert (product @ product).dtype == pictures
        with context.autocast():
            assert (product @ product).dtype == others


def test_bodies_are_posed_in_full_precision_whatever_the_networks_compute_in() -> None:
    body = KeypointBody.load(models_dir() / "open-body" / "weights.safetensors")
    rotations = torch.from_numpy(random_pose(np.random.default_rng(0))).float()[None]
    exact = body(rotations, torch.zeros(1, 10))
    with torch.autocast("cpu", torch.bfloat16):
        inside = body(rotations, torch.zeros(1, 10))
        assert body(rotations.bfloat16(), torch.zeros(1, 10)).dtype == torch.float32
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16, "and autocast goes on after it"
    assert torch.equal(exact, inside)


def test_a_run_is_resumed_in_its_own_precision(vibe, home: Path, bundle: Path, monkeypatch) -> None:
    monkeypatch.setattr("vibe_cli.training.distributed.fast_bfloat16", lambda: True)
    begun = ("train", *MPOSER, "--data", bundle, "--steps", 2, "--out", "half", "--stop-after", 0)
    assert vibe(*begun, "--precision", "bfloat16").code == 0
    other = vibe("train", *MPOSER, "--data", bundle, "--out", "half", "--resume")
    assert other.code == 2 and "precision" in other.err
    assert vibe("train", *MPOSER, "--data", bundle, "--out", "half", "--resume", "--precision", "bfloat16").code == 0


def test_pieces_that_cannot_be_shared_are_refused() -> None:
    assert ProcessContext(rank=1, count=2).share(4) == [1, 3]
    with pytest.raises(UsageError) as refused:
        ProcessContext(rank=0, count=2).share(1)
    assert "micro_batches=2" in refused.value.hint


def test_precisions_that_this_machine_lacks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vibe_cli.training.distributed.fast_bfloat16", lambda: False)
    for device, precision in (("cpu", "float16"), ("cpu", "bfloat16"), ("tpu", "float32"), ("cpu", "int8")):
        with pytest.raises(UsageError):
            process_context(device, precision)
    monkeypatch.setattr("vibe_cli.training.distributed.fast_bfloat16", lambda: True)
    with process_context("cpu", "bfloat16").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


BARE = """
import sys, importlib.abc
class Bare(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {'click', 'rich', 'safetensors', 'yaml', 'torchvision', 'ultralytics',
            'smplx', 'PIL', 'joblib', 'ffmpeg', 'imageio_ffmpeg', 'pyrender', 'OpenGL', 'trimesh',
            'filterpy', 'matplotlib', 'skimage', 'anny'}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Bare())
from vibe_cli.training.__main__ import main
bundle = sys.argv[1]
tiny = ['--steps', '2', '--set', 'threads=1']
"""  # a bare machine: every other dependency cannot be imported


def test_training_needs_no_more_than_torch_numpy_scipy_and_opencv(tmp_path: Path, bundle: Path) -> None:
    done = start(
        tmp_path,
        bundle,
        code=BARE
        + """
import vibe_cli.training.keypoints, vibe_cli.training.detector, vibe_cli.training.parts
tiny += ['--data', bundle]
assert main(['lifter', *tiny, '--set', 'batch=4', '--set', 'features=16', '--set', 'stills=9']) == 0
for name in ('open-vibe', 'open-tcmr', 'open-dts-vibe', 'open-sps-net'):
    assert main([name, *tiny, '--set', 'batch=2', '--start', 'runs/lifter']) == 0, name
""",
    )
    text, _ = done.communicate()
    assert done.returncode == 0, text
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [
        "lifter",
        "open-dts-vibe",
        "open-sps-net",
        "open-tcmr",
        "open-vibe",
    ]


def test_a_bundle_leads_to_every_open_model_on_such_a_machine(tmp_path: Path, bundle: Path) -> None:
    """CONTRIBUTING's steps: draw, train the eye, look, train the lifter and a temporal network on what it saw."""
    kept, noise = read_bundle(bundle), np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    clips = [*kept.clips, *(Clip(f"{clip.name} again", clip.rotations) for clip in kept.clips)]
    body = SynthBody.load(models_dir() / "open-body" / "weights.safetensors", faces=None)
    write_bundle(tmp_path / "bundle.npz", body, clips, Pictures([noise]))
    write_photographs(tmp_path / "photos")
    done = start(
        tmp_path,
        "bundle.npz",
        code=BARE
        + """
from vibe_cli.training import cache_predictions
from vibe_cli.synth import draw
sys.argv[1:] = [bundle, 'work', '--stills', '40', '--clips', '4', '--backgrounds', '3', '--workers', '1']
draw.main()
more = ['--set', 'workers=1', '--set', 'photos=photos', '--set', 'real=0.5']
assert main(['keypoints', *tiny, '--data', 'work', '--set', 'batch=2', *more]) == 0
sys.argv[1:] = ['work', 'runs/keypoints', '--crops', '192']
cache_predictions.main()
assert main(['lifter', *tiny, '--data', 'work', '--set', 'batch=4']) == 0
assert main(['open-vibe', *tiny, '--data', 'work', '--set', 'batch=2', '--start', 'runs/lifter']) == 0
""",
    )
    text, _ = done.communicate()
    assert done.returncode == 0, text
    seen = torch.load(tmp_path / "work" / "seen_clips.pt", weights_only=True)
    assert len(seen["truth"]["betas"]) == 96, "four clips of 24 frames"
    state = torch.load(tmp_path / "runs" / "open-vibe" / "weights.pt", weights_only=True)
    assert state["run"]["data"]["seen"] == ["seen_clips.pt", "seen_stills.pt"]


def test_tensorboard_shows_the_same_curves(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = Curves(tmp_path, every=2)
    for step in range(1, 5):
        curves(step, {"loss": float(step)})
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [(point.step, point.value) for point in shown] == [(2, 1.5), (4, 3.5)]
    assert curves.board_note == ""


def test_curves_go_back_to_their_checkpoint(tmp_path: Path) -> None:
    curves = Curves(tmp_path, every=2)
    for step in range(1, 6):
        curves(step, {"loss": step})
    state = curves.state_dict()
    curves(6, {"loss": 6, "late": 1})
    assert read_curves(curves.file) == [
        {"step": 2, "loss": 1.5},
        {"step": 4, "loss": 3.5},
        {"step": 6, "loss": 5.5, "late": 1},
    ]
    again = Curves(tmp_path, every=2)
    again.load_state_dict(state)
    assert read_curves(again.file) == [{"step": 2, "loss": 1.5}, {"step": 4, "loss": 3.5}]
    again(6, {"loss": 6, "late": 1})
    again(1, {"loss": 9}), again(2, {"loss": 11})  # the next stage
    assert read_curves(again.file)[2:] == [{"step": 6, "loss": 5.5, "late": 1}, {"step": 8, "loss": 10}]


def test_a_falling_loss_is_drawn_falling(tmp_path: Path) -> None:
    rows = [{"step": step, "loss": 10.0 ** -(step / 50)} for step in range(1, 101)]
    image = cv2.imread(str(draw_curves(rows, tmp_path / "curves.png")))
    assert image.shape == (540, 960, 3)
    line = (np.abs(image.astype(int) - (180, 119, 31)).sum(-1) < 60)[:, :780]
    columns = np.flatnonzero(line.any(0))
    heights = [np.flatnonzero(line[:, x]).mean() for x in (columns[5], columns[len(columns) // 2], columns[-5])]
    assert heights[0] < heights[1] < heights[2]


def test_a_plateau_lowers_the_rate_to_a_tenth() -> None:
    from vibe_cli.training.loop import Loop, Schedule

    net = torch.nn.Linear(1, 1)
    loop = Loop(net, Schedule(1, 1e-3, steps=100, warmup_steps=0, shape="plateau", epoch=5, patience=2), print, "net")
    rates = []
    while loop.goes_on():
        rates.append(loop.rate())
        loop.step(net.weight.sum() * 0 + 1, {})
    assert rates[0] == 1e-3 and rates[19] == 1e-3 and rates[20] == pytest.approx(1e-4)  # after 4 epochs, 3 of them bad


def test_a_checkpoint_of_other_parts_is_refused(tmp_path: Path) -> None:
    from vibe_cli.training.loop import Loop, Schedule

    class Judge:
        def state_dict(self) -> dict:
            return {}

        def load_state_dict(self, state: dict) -> None:
            raise AssertionError

    net = torch.nn.Linear(1, 1)
    Loop(net, Schedule(1, 1e-3, steps=1), print, "net", tmp_path / "c.pt").save()
    with pytest.raises(InputError, match="judge"):
        Loop(net, Schedule(1, 1e-3, steps=1), print, "net", tmp_path / "c.pt", others={"judge": Judge()})
