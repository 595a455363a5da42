"""Our networks compute what the published ones compute, held by fixtures outside the repository.

The folder is VIBE_PARITY_DIR, else shared/parity beside the repository. Its seeded.py makes every weight and
input from its name; its .npz files hold what the published VIBE and TCMR give for them. Checkpoints and an
SMPL file are built in their official form and go through the real importer. No licensed file is involved.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import joblib
import numpy as np
import pytest
import torch

from tests.helpers.bodies import write_official_pickle
from tests.helpers.tiny import BrightDetector, make_walk
from vibe_cli.body.body_models import load_body
from vibe_cli.evaluation import metrics
from vibe_cli.geometry import boxes, camera
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.importing.library import find_body, import_file, list_imported, missing
from vibe_cli.importing.safe_read import read_safetensors
from vibe_cli.networks import build_network, load_network
from vibe_cli.networks.outputs import split_theta
from vibe_cli.results import Result

FOLDER = Path(os.environ.get("VIBE_PARITY_DIR", Path(__file__).resolve().parents[2] / "shared" / "parity"))
FILES = ("seeded.py", "vibe_expected.npz", "tcmr_expected.npz")
ABSENT = [name for name in FILES if not (FOLDER / name).is_file()]
pytestmark = pytest.mark.skipif(
    bool(ABSENT), reason=f"{FOLDER} lacks {', '.join(ABSENT)}; set VIBE_PARITY_DIR to the fixtures' folder"
)


def close(row: str, ours: object, theirs: object, tolerance: float, relative: bool = False) -> None:
    """Assert that arrays agree within `tolerance` (times the expected one's deviation if relative)."""
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert ours.shape == theirs.shape, f"{row}: shape {ours.shape}, expected {theirs.shape}"
    difference = np.abs(ours - theirs).max() / (theirs.std() if relative else 1)
    print(f"parity {row}: {difference:.2e} (tolerance {tolerance:.0e}{' of its std' if relative else ''})")
    assert difference < tolerance, f"{row}: off by {difference:.3g}"


@pytest.fixture(scope="module")
def seeded() -> ModuleType:
    """The fixtures' own generator of weights and inputs."""
    spec = importlib.util.spec_from_file_location("parity_seeded", FOLDER / "seeded.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def expected() -> SimpleNamespace:
    """What the published models give."""
    return SimpleNamespace(vibe=np.load(FOLDER / "vibe_expected.npz"), tcmr=np.load(FOLDER / "tcmr_expected.npz"))


def weights_of(seeded: ModuleType, name: str, prefix: str, inner: str = "") -> dict[str, torch.Tensor]:
    """Seeded weights of a published network, named as `seeded` asks: prefix, then the published name."""
    mean = {f"init_{key}": value[None] for key, value in seeded.mean_params().items()}
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in build_network({"network": name}).state_dict().items()}
    values = {
        key: mean[key.split(".")[-1]] if key.split(".")[-1] in mean else seeded.param(prefix + inner + key, shape)
        for key, shape in shapes.items()
    }
    return {inner + key: torch.as_tensor(np.asarray(value)) for key, value in values.items()}


def body_buffers(seeded: ModuleType, prefix: str) -> dict[str, torch.Tensor]:
    """The seeded SMPL as checkpoints hold it."""
    model = seeded.smpl_model()
    arrays = {
        "v_template": model["v_template"],
        "shapedirs": model["shapedirs"],
        "posedirs": model["posedirs"].reshape(-1, 207).T,
        "J_regressor": model["J_regressor"],
        "lbs_weights": model["weights"],
        "J_regressor_extra": seeded.j_regressor_extra(),
    }
    buffers = {prefix + name: torch.tensor(value, dtype=torch.float32) for name, value in arrays.items()}
    return buffers | {
        prefix + "parents": torch.tensor(seeded.PARENTS),
        prefix + "faces_tensor": torch.tensor(model["f"].astype(np.int64)),
    }


@pytest.fixture(scope="module")
def root(seeded, tmp_path_factory) -> Iterator[Path]:
    """The user's model folder, filled by the real importer from official-looking files."""
    folder, home = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("home")
    checkpoint = folder / "checkpoint.pth.tar"

    def keep(**content: object) -> None:
        torch.save(content, checkpoint, _use_new_zipfile_serialization=False)
        import_file(checkpoint, home / "models")
        checkpoint.unlink()

    keep(
        model=weights_of(seeded, "backbone", "hmr.")
        | weights_of(seeded, "regressor", "hmr.")
        | body_buffers(seeded, "smpl.")
    )
    keep(
        gen_state_dict=weights_of(seeded, "vibe", "vibe.") | body_buffers(seeded, "regressor.smpl."),
        epoch=43,
        performance=np.float64(51.9),
        disc_motion_state_dict=weights_of(seeded, "discriminator", "disc."),
    )
    keep(gen_state_dict=weights_of(seeded, "tcmr", "tcmr.") | body_buffers(seeded, "regressor.smpl."), epoch=12)
    write_official_pickle(folder / "SMPL_NEUTRAL.pkl", seeded.smpl_model())
    np.save(folder / "J_regressor_extra.npy", seeded.j_regressor_extra())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIBE_HOME", str(home))
        for name in ("SMPL_NEUTRAL.pkl", "J_regressor_extra.npy"):
            import_file(folder / name)
        assert [entry.kind for entry in list_imported()] == ["joints-extra", "smpl", "spin", "tcmr", "vibe"]
        assert not any(missing(entry) for entry in list_imported())
        yield home / "models"
    shutil.rmtree(home)


def network_of(root: Path, name: str, part: str = "weights") -> torch.nn.Module:
    """An imported network."""
    entry = next(entry for entry in list_imported(root) if entry.kind == name)
    config = entry.config["network"] if part == "weights" else {"network": part}
    path = entry.folder / f"{part}.safetensors"
    return load_network(config, read_safetensors(path), path)


@pytest.fixture(scope="module", params=["vibe", "tcmr"])
def estimate(request, root, seeded, expected) -> SimpleNamespace:
    """A temporal network's estimate over the seeded features, with its body, beside the published one's."""
    network = network_of(root, request.param)
    body = load_body(find_body())
    with torch.inference_mode():
        features = torch.as_tensor(seeded.features())
        output = network(features)
        posed = body(output.rotations.flatten(0, 1), output.betas.flatten(0, 1))
        scores = network.encoder(features).scores if request.param == "tcmr" else None
    frames = output.camera.shape[:2]
    joints, vertices = posed.joints.unflatten(0, frames), posed.vertices.unflatten(0, frames)
    return SimpleNamespace(
        name=request.param,
        output=output,
        joints=joints,
        vertices=vertices,
        scores=scores,
        theirs=getattr(expected, request.param),
    )


def shaped(ours: torch.Tensor, theirs: np.ndarray) -> torch.Tensor:
    """The published TCMR drops the axis of its one frame."""
    return ours.squeeze(1) if ours.ndim > theirs.ndim else ours


def test_theta(estimate):
    camera_, pose, betas = split_theta(torch.as_tensor(estimate.theirs["theta"]))
    rotations = matrix_from_axis_angle(pose.unflatten(-1, (24, 3)))
    close(f"{estimate.name} theta: camera", shaped(estimate.output.camera, camera_), camera_, 1e-3)
    close(f"{estimate.name} theta: betas", shaped(estimate.output.betas, betas), betas, 1e-3)
    close(f"{estimate.name} theta: rotations", shaped(estimate.output.rotations, rotations), rotations, 1e-3)
    ours = split_theta(estimate.output.theta)[1]
    packed = matrix_from_axis_angle(ours.unflatten(-1, (24, 3)))
    close(f"{estimate.name} theta: packed pose", shaped(packed, rotations), rotations, 1e-3)


def test_joints_in_space(estimate):
    theirs = estimate.theirs["kp_3d"]
    close(f"{estimate.name} kp_3d", shaped(estimate.joints, theirs), theirs, 1e-3, relative=True)


def test_joints_in_the_crop(estimate):
    theirs = estimate.theirs["kp_2d"]
    ours = camera.project_crop(estimate.joints, estimate.output.camera)
    close(f"{estimate.name} kp_2d", shaped(ours, theirs), theirs, 1e-3, relative=True)


def test_vertices(estimate):
    theirs = estimate.theirs["verts_sample"]
    close(f"{estimate.name} verts_sample", shaped(estimate.vertices[..., ::137, :], theirs), theirs, 1e-3, True)


def test_attention_scores(estimate):
    if estimate.name == "tcmr":
        close("tcmr scores", estimate.scores, estimate.theirs["scores"], 1e-4)


def test_the_body_inside_the_checkpoint_is_the_same_body(root, estimate):
    body = load_body(root / estimate.name)
    with torch.inference_mode():
        posed = body(estimate.output.rotations[:, 0], estimate.output.betas[:, 0])
    assert torch.allclose(posed.vertices, estimate.vertices[:, 0], atol=1e-5)
    assert torch.allclose(posed.joints, estimate.joints[:, 0], atol=1e-5)


def test_crop_features(root, seeded, expected):
    backbone = network_of(root, "spin")
    with torch.inference_mode():
        features = backbone(torch.as_tensor(seeded.crops())).features
    for name in ("vibe", "tcmr"):
        close(f"{name} crop_feature", features, getattr(expected, name)["crop_feature"], 1e-3, relative=True)


def test_motion_discriminator(root, seeded, expected):
    network = network_of(root, "vibe", "discriminator")
    with torch.inference_mode():
        close("disc", network(torch.as_tensor(seeded.motion())), expected.vibe["disc"], 1e-5)


def test_crop(seeded, expected):
    from vibe_cli.people.crops import crop_person, normalise

    image = cv2.GaussianBlur(seeded.image(), (0, 0), 3)
    crop = crop_person(image, boxes.square(seeded.BOXES[0], 1.1), 224)
    close("crop", normalise(crop[None])[0, :, ::8, ::8], expected.vibe["crop"], 0.02)


def test_cameras_and_coordinates_in_the_image(seeded, expected):
    ours = camera.crop_to_image_camera(seeded.CAMS, seeded.BOXES, 320, 240)
    close("orig_cam", ours, expected.vibe["orig_cam"], 1e-6)
    points = np.linspace(-1, 1, 20).reshape(2, 5, 2)
    close("coords", camera.crop_points_to_image(points, seeded.BOXES), expected.vibe["coords"], 1e-4)


def test_metrics(seeded, expected):
    truth, predicted = seeded.joints_pair()
    close("mpjpe", metrics.mpjpe(predicted, truth), expected.vibe["mpjpe"], 1e-2)
    close("pampjpe", metrics.pa_mpjpe(predicted, truth), expected.vibe["pampjpe"], 1e-2)
    close("accel", metrics.accel(predicted), expected.vibe["accel"], 1e-2)
    close("accel_err", metrics.accel_err(predicted, truth), expected.vibe["accel_err"], 1e-2)


def test_one_euro_filter(seeded, expected):
    from vibe_cli.motion.filters import one_euro

    close("euro", one_euro(seeded.jittery_pose(), 0.004, 0.7, 1.0), expected.vibe["euro"], 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vibe", "tcmr"])
def test_an_official_checkpoint_runs_from_clip_to_export(name, root, vibe, tmp_path, monkeypatch):
    """With nothing but SPIN's checkpoint beside it: the body is the one inside, no SMPL file is there."""
    own = tmp_path / "home" / "models"
    own.mkdir(parents=True)
    for kind in ("spin", name):
        (own / kind).symlink_to(root / kind, target_is_directory=True)
    monkeypatch.setenv("VIBE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(
        "vibe_cli.zoo.reader.load_detector", lambda chosen, device, loaded: (BrightDetector(), "bright")
    )
    monkeypatch.chdir(tmp_path)
    assert find_body(prefer=own / name) == own / name / "body.safetensors"
    answer = vibe(
        "demo", make_walk(tmp_path / "walk.mp4", frames=6), "--model", name, "--device", "cpu", "--format", "pkl"
    )
    assert answer.code == 0, answer.err
    result = Result.load(tmp_path / "output" / "walk" / "result.npz")
    assert result.model == name and result.body == "smpl" and len(result.people[0]) == 6
    report = json.loads((tmp_path / "output" / "walk" / "run.json").read_text())
    assert report["model"] == name and not [line for line in report["warnings"] if "open-" in line]
    vertices = joblib.load(tmp_path / "output" / "walk" / "vibe_output.pkl")[1]["verts"]
    assert vertices.shape == (6, 6890, 3) and np.isfinite(vertices).all()
