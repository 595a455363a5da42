"""Training as the papers have it: records of data sets, mixed batches, the papers' losses and weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.datasets.test_datasets import make_3dpw
from tests.helpers.tiny import ENCODER, TEMPORAL, install_model
from vibe_cli.body.body_models import load_body
from vibe_cli.datasets import open_dataset
from vibe_cli.datasets.sequence import ArrayFrames, Sequence
from vibe_cli.errors import InputError
from vibe_cli.geometry.rotations import matrix_from_axis_angle, sixd_from_matrix
from vibe_cli.networks import build_network
from vibe_cli.networks.open_encoder import KEYPOINTS_49
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.paths import models_dir
from vibe_cli.results import Track, TrackFeatures
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.bundle import write_bundle
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.mocap import Clip
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.poses import PoseBank, random_pose
from vibe_cli.training.configs import CONFIGS
from vibe_cli.training.distributed import ProcessContext
from vibe_cli.training.loop import LoopOptions
from vibe_cli.training.losses import project, soft_silhouette
from vibe_cli.training.paper_task import paper_network, read_records, surface_points
from vibe_cli.training.papers import PaperObjective, PaperTraining, cover_loss, train_paper
from vibe_cli.training.recording import SIDE, cover, gather, masks_of
from vibe_cli.training.records import Mixture, about_origin, load_records, record_of, save_records
from vibe_cli.training.task import Job

WINDOW, WIDTH = 8, ENCODER["features"]
TINY = PaperTraining(steps=3, batch=4, window=WINDOW, threads=1)


@pytest.fixture(scope="module")
def joints_of():
    body = KeypointBody.load(models_dir() / "open-body" / "weights.safetensors")
    return lambda rotations, betas: body(rotations, betas)[:, KEYPOINTS_49]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """People who hold a pose each."""
    rng = np.random.default_rng(0)
    return [Clip(str(i), np.repeat(random_pose(rng)[None], 40, 0).astype(np.float32)) for i in range(4)]


def sequence(frames: int = 12, **labels: object) -> Sequence:
    """A person who stands at (40, 30), in pictures of noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (frames, 64, 96, 3)).astype(np.uint8)
    return Sequence(
        name="one",
        length=frames,
        fps=25,
        frames=ArrayFrames(images),
        boxes=np.tile([40, 30, 20, 40], (frames, 1)),
        gender="neutral",
        **labels,
    )


def seen(of: Sequence) -> TrackFeatures:
    boxes = np.tile([40.0, 30, 48, 48], (len(of), 1)).astype(np.float32)
    return TrackFeatures(
        Track(1, np.arange(len(of)), of.boxes, of.valid.astype(np.float32), ~of.valid),
        boxes,
        np.random.default_rng(1).normal(size=(len(of), WIDTH)).astype(np.float32),
    )


def full_labels(frames: int = 12) -> dict:
    rng = np.random.default_rng(2)
    return {
        "joints2d": np.concatenate([rng.uniform(10, 60, (frames, 49, 2)), np.ones((frames, 49, 1))], -1),
        "joints3d": rng.normal(size=(frames, 49, 3)),
        "pose": rng.normal(0, 0.3, (frames, 24, 3)),
        "betas": rng.normal(size=(frames, 10)),
        "body": "open",
    }


def test_a_record_has_crop_coordinates_and_says_what_counts() -> None:
    labels = full_labels()
    labels["joints2d"][:, 0] = [40, 30, 1]
    labels["joints2d"][:, 1] = [64, 6, 1]
    labels["joints2d"][:, 2] = [0, 0, 0]
    valid = np.ones(12, bool)
    valid[3] = False
    one = sequence(valid=valid, **labels)
    record = record_of(one, seen(one), "open")
    assert record["joints2d"][0, 0].tolist() == [0, 0] and record["joints2d"][0, 1].tolist() == [1, -1]
    assert record["valid2d"][0, :3].tolist() == [1, 1, 0]
    assert torch.allclose(record["joints3d"][:, [27, 28]].mean(1), torch.zeros(12, 3), atol=1e-6)
    assert all(float(record[name][3].sum()) == 0 for name in ("valid2d", "valid3d", "valid_pose", "valid_betas"))
    assert record["valid_betas"].sum() == 11 and record_of(one, seen(one), "smpl")["valid_betas"].sum() == 0


def test_what_a_data_set_does_not_label_does_not_count() -> None:
    one = sequence(joints2d=full_labels()["joints2d"])
    record = record_of(one, seen(one), "open")
    assert record["valid2d"].all() and not any(record[n].any() for n in ("valid3d", "valid_pose", "valid_betas"))
    without_hip = np.ones((12, 49), bool)
    without_hip[:, [27, 8]] = False
    two = sequence(joints3d=full_labels()["joints3d"], joints3d_valid=without_hip)
    assert not record_of(two, seen(two), "open")["valid3d"].any()  # there is no origin


@pytest.fixture
def records() -> list[dict]:
    solid, flat = sequence(**full_labels()), sequence(6, joints2d=full_labels(6)["joints2d"])
    return [record_of(one, seen(one), "open") for one in (solid, flat)]


def test_batches_mix_3d_and_2d_labels_and_short_people_repeat_their_end(records) -> None:
    batch = Mixture(records, 0.5).draw(np.random.default_rng(0), 6, WINDOW)
    assert batch["features"].shape == (6, WINDOW, WIDTH)
    assert batch["valid_pose"].any(1).tolist() == [True] * 3 + [False] * 3
    assert batch["valid2d"][3:, :6].all() and not batch["valid2d"][3:, 6:].any()
    assert torch.equal(batch["features"][3, 6], batch["features"][3, 5])
    assert Mixture(records[1:], 0.5).draw(np.random.default_rng(0), 2, 4)["valid2d"].all()
    rng, few = np.random.default_rng(0), Mixture(records, 0.3)
    solid = [few.draw(rng, 1, 4)["valid_pose"].any().item() for _ in range(200)]
    assert 0.2 < np.mean(solid) < 0.4  # also of batches too small for a share
    with pytest.raises(InputError):
        Mixture([], 0.5)


def test_records_are_kept_in_a_file(records, tmp_path: Path) -> None:
    save_records(tmp_path / "records.pt", records, ["3DPW, train (research)"])
    again, sources = load_records(tmp_path / "records.pt")
    assert sources == ["3DPW, train (research)"]
    assert all(torch.equal(a[name], b[name]) for a, b in zip(records, again, strict=True) for name in a)
    (tmp_path / "other.pt").write_text("no")
    with pytest.raises(InputError, match="other.pt"):
        load_records(tmp_path / "other.pt")


def test_the_papers_weights() -> None:
    """VIBE 6.1, DTS-VIBE 3.2 (after equation 9), SPS-Net 4.1."""

    def of(name: str) -> dict:
        return vars(CONFIGS[name].settings)

    for name, wanted in {
        "vibe": {
            "joints3d": 300,
            "joints2d": 300,
            "pose": 60,
            "betas": 0.06,
            "adversary": 2,
            "rate": 5e-5,
            "discriminator_rate": 1e-4,
            "batch": 32,
            "window": 16,
        },
        "tcmr": {"discriminator": False, "steps": 30 * 500, "rate": 5e-5, "batch": 32, "patience": 5},
        "dts-vibe": {
            "joints3d": 300,
            "joints2d": 200,
            "pose": 120,
            "betas": 120,
            "adversary": 60,
            "squared": True,
            "discriminator_rate": 5e-4,
            "refinement_rate": 1e-5,
        },
        "sps-net": {
            "feature": 1,
            "camera": 0.1,
            "hidden_betas": 0.06,
            "hidden_pose": 60,
            "hidden_camera": 0.1,
            "mask": 300,
            "batch": 16,
            "window": 32,
            "steps": 120 * 500,
            "adversary": 2,
        },
    }.items():
        assert wanted.items() <= of(name).items(), name


def perfect(batch: dict, joints_of) -> MotionOutput:
    """Estimates that agree with the labels' pose and shape."""
    return MotionOutput(
        sixd_from_matrix(batch["rotations"]),
        batch["betas"],
        torch.tensor([1.0, 0, 0]).expand(*batch["betas"].shape[:2], 3),
    )


def test_a_perfect_estimate_costs_nothing_and_a_wrong_one_its_weight(joints_of) -> None:
    pose = torch.randn(1, WINDOW, 24, 3) * 0.3
    batch = {"rotations": matrix_from_axis_angle(pose), "betas": torch.zeros(1, WINDOW, 10)}
    points = joints_of(batch["rotations"][0], batch["betas"][0])[None]
    batch |= {
        "joints3d": about_origin(points, torch.ones(1, WINDOW, 49)),
        "joints2d": points[..., :2],
        "valid2d": torch.ones(1, WINDOW, 49),
        "valid3d": torch.ones(1, WINDOW, 49),
        "valid_pose": torch.ones(1, WINDOW),
        "valid_betas": torch.ones(1, WINDOW),
    }
    objective = PaperObjective(build_network(TEMPORAL["vibe"]), joints_of, TINY)
    loss, parts = objective._supervise(perfect(batch, joints_of), batch)
    assert loss.item() == pytest.approx(0, abs=0.02)
    moved = {**batch, "joints2d": batch["joints2d"] + torch.tensor([0.01, 0])}
    loss, _ = objective._supervise(perfect(batch, joints_of), moved)
    assert loss.item() == pytest.approx(300 * WINDOW * 0.01 * 7, rel=0.01)  # 49 joints: a norm of √49 · 0.01 a frame
    unlabelled = {**moved, "valid2d": torch.zeros(1, WINDOW, 49)}
    assert objective._supervise(perfect(batch, joints_of), unlabelled)[0].item() == pytest.approx(0, abs=0.02)


def test_3dpw_whose_hips_are_smpls_alone_teaches_joints_in_3d(tmp_path: Path, joints_of) -> None:
    body = KeypointBody.load(models_dir() / "open-body" / "weights.safetensors")
    poses = [np.random.default_rng(number).normal(0, 0.3, (4, 72)) for number in range(2)]
    world = [
        body(matrix_from_axis_angle(torch.from_numpy(pose.reshape(4, 24, 3)).float()), torch.zeros(4, 10))[:, :24]
        .numpy()
        .reshape(4, 72)
        + 0.5
        for pose in poses
    ]
    make_3dpw(tmp_path, poses=poses, jointPositions=world)
    one = next(iter(open_dataset("3dpw", tmp_path)))
    record = record_of(one, seen(one), "open")
    assert record["valid3d"][0, [8, 9, 12, 31]].all() and not record["valid3d"][:, [27, 28]].any()
    assert not record["valid3d"][2].any() and not record["joints3d"][:, 8].any()  # its third frame has no camera
    batch = {name: value[None] for name, value in record.items()}
    objective = PaperObjective(build_network(TEMPORAL["vibe"]), joints_of, TINY)
    assert objective._supervise(perfect(batch, joints_of), batch)[1]["joints3d"].item() == pytest.approx(0, abs=1e-4)
    wrong = perfect({**batch, "rotations": batch["rotations"].roll(1, 1)}, joints_of)
    assert objective._supervise(wrong, batch)[1]["joints3d"].item() > 1


def test_flow_follows_the_joints_from_crop_to_crop(joints_of) -> None:
    """A body at rest and a crop that moves by half its side: the flow leads back by as much."""
    net = build_network({**TEMPORAL["dts_vibe"], "flow_side": 32})
    objective = PaperObjective(net, joints_of, TINY)
    rest = MotionOutput(
        torch.tensor([1.0, 0, 0, 1, 0, 0]).expand(1, 3, 24, 6),
        torch.zeros(1, 3, 10),
        torch.tensor([0.2, 0, 0]).expand(1, 3, 3),
    )
    squares = torch.tensor([[[50.0, 50, 40], [60, 50, 40], [70, 50, 40]]])
    still = torch.zeros(1, 3, 3, 32, 32)
    still[:, :, 0] = -0.5 / 0.25  # 10 pixels of a half side of 20, to the left, in units of the full speed
    whole = {"squares": squares, "there": torch.ones(1, 3)}
    agree = objective._follow(rest, {**whole, "flow": still})
    differ = objective._follow(rest, {**whole, "flow": torch.zeros_like(still)})
    beyond = torch.tensor([[1.0, 1, 0]])  # the person's last frame, repeated
    flow = still * torch.tensor([1.0, 1, 0])[None, :, None, None, None]
    half = objective._follow(rest, {**whole, "there": beyond, "flow": flow})
    assert agree.item() == pytest.approx(0, abs=1e-9) and differ.item() == pytest.approx(2 * 49 * 0.25, rel=0.01)
    assert half.item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", TEMPORAL)
def test_every_system_learns_from_mixed_batches(name: str, records, joints_of, clips) -> None:
    torch.manual_seed(0)
    net = build_network({**TEMPORAL[name], **({"flow_side": 32} if name == "dts_vibe" else {})})
    for record in records:
        record |= {
            "flow": torch.randn(len(record["features"]), 3, 32, 32).clamp(-1, 1).half(),
            "hidden": record["features"] + 0.1,
            "mask": torch.ones(len(record["features"]), 32, 32).half(),
            "valid_mask": torch.ones(len(record["features"])),
        }
    before = {key: value.clone() for key, value in net.named_parameters()}
    options = replace(TINY, discriminator=name != "tcmr", rate=1e-3, refinement=0.4)
    heard: list[dict] = []
    loop = train_paper(
        net,
        joints_of,
        Mixture(records, 0.5),
        PoseBank(clips),
        options,
        print,
        surface_of=joints_of,
        how=LoopOptions(watch=lambda _, parts: heard.append(parts)),
    )
    assert [key for key, value in net.named_parameters() if torch.equal(value, before[key])] == []
    assert {"joints3d", "joints2d", "pose", "betas"} <= set(heard[0])
    own = {
        "vibe": {"adversary"},
        "tcmr": {"past", "future"},
        "dts_vibe": {"adversary"},
        "sps_net": {"feature", "same_camera", "mask", "hidden_pose", "hidden_betas", "hidden_camera", "adversary"},
    }
    assert own[name] <= set(heard[0]) and ("flow" in heard[-1]) == (name == "dts_vibe")
    last = loop.optimiser.param_groups[0]["lr"]
    assert last == (options.refinement_rate if name == "dts_vibe" else pytest.approx(loop.rate()))


def test_the_refinement_has_its_own_rate_whatever_the_schedule_says(records, joints_of, clips) -> None:
    for record in records:
        record["flow"] = torch.zeros(len(record["features"]), 3, 32, 32).half()
    options = replace(TINY, rate=0.0, refinement=0.5)
    loop = train_paper(
        build_network({**TEMPORAL["dts_vibe"], "flow_side": 32}),
        joints_of,
        Mixture(records, 0.5),
        PoseBank(clips),
        options,
        print,
    )
    assert loop.rate() == 0 and loop.optimiser.param_groups[0]["lr"] == options.refinement_rate


def test_the_rate_falls_by_the_reconstruction_and_not_by_the_judge(records, joints_of, clips, monkeypatch) -> None:
    monkeypatch.setattr("vibe_cli.training.papers.EPOCH", TINY.steps)
    heard: list[dict] = []
    loop = train_paper(
        build_network(TEMPORAL["vibe"]),
        joints_of,
        Mixture(records, 0.5),
        PoseBank(clips),
        TINY,
        print,
        how=LoopOptions(watch=lambda _, parts: heard.append(parts)),
    )
    for parts in heard:
        supervised = sum(getattr(TINY, name) * parts[name] for name in ("joints3d", "joints2d", "pose", "betas"))
        assert parts["supervised"] == pytest.approx(supervised, rel=1e-5) and parts["adversary"] > 0.01
    assert loop._plateau["best"] == pytest.approx(np.mean([parts["supervised"] for parts in heard]))


def test_masks_are_cut_out_of_the_frames_as_crops_are() -> None:
    masks = np.zeros((12, 64, 96), np.uint8)
    masks[:, 20:40, 30:50], masks[:, :10] = 2, 1
    one = sequence(masks=masks, mask_number=2)
    mask, known = masks_of(one, seen(one).boxes[:, :3])  # 48 pixels about (40, 30): its middle, and half as wide
    assert mask.shape == (12, 32, 32) and known.all()
    assert mask[0, 10:22, 10:22].min() == 1 and mask[0].float().mean().item() == pytest.approx((20 / 48) ** 2, rel=0.05)
    middles = (torch.arange(32) + 0.5) / 16 - 1  # of the silhouette's pixels
    weight = mask[0].float() / mask[0].float().sum()
    assert (weight * middles).sum().item() == pytest.approx(-0.5 / 24, abs=5e-3)  # pixels 30 to 49 about 39.5, not 40
    assert (weight * middles[:, None]).sum().item() == pytest.approx(-0.5 / 24, abs=5e-3)
    none, unknown = masks_of(sequence(), seen(one).boxes[:, :3])
    assert not none.any() and not unknown.any()
    with pytest.raises(ValueError, match="masks"):
        sequence(masks=masks[:3])


@pytest.mark.parametrize("kind", ["whole", "of a bundle"])
def test_the_true_body_covers_its_mask_and_another_one_does_not(kind: str) -> None:
    file = models_dir() / "open-body" / "weights.safetensors"
    body = load_body(None) if kind == "whole" else SynthBody.load(file, faces=None)
    surface_of = surface_points(body, torch.device("cpu"))
    rotations = torch.diag(torch.tensor([1.0, -1, -1])).repeat(1, 1, 1, 1)
    pose = torch.cat([rotations, torch.eye(3).repeat(1, 23, 1, 1)], 1)[None]
    camera = torch.tensor([[[0.9, 0.0, 0.2]]])
    there = MotionOutput(sixd_from_matrix(pose), torch.zeros(1, 1, 10), camera)
    aside = MotionOutput(there.pose6d, there.betas, camera + torch.tensor([0, 0.5, 0]))
    flat = project(surface_of(pose[0], torch.zeros(1, 10))[None], camera)[0]
    mask = (soft_silhouette(flat, 32, 0.02) > 0.9).float()[None]
    assert 0.1 < mask.mean() < 0.5  # somebody with the arms spread
    right, wrong = (cover_loss(surface_of, one, mask, torch.ones(1, 1)).item() for one in (there, aside))
    assert right < 0.01 and wrong > 20 * right and cover_loss(surface_of, aside, mask, torch.zeros(1, 1)).item() == 0


def test_hidden_regions_are_three_to_five_and_as_large_as_the_paper_says() -> None:
    rng, white = np.random.default_rng(0), np.full((SIDE, SIDE, 3), 255, np.uint8)
    for _ in range(20):
        dark = cover(rng, white, np.full((9, 2), SIDE / 2))[..., 0] == 0
        rows, columns = dark.any(1).sum(), dark.any(0).sum()
        assert 2 * 25 <= min(rows, columns) and max(rows, columns) <= 2 * 50 + 1
    assert white.min() == 255 and cover(rng, white, np.zeros((0, 2))).min() == 255


def test_data_sets_are_gathered_through_an_encoder_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_model(home / ".vibe" / "models")
    people = [sequence(**full_labels()), Sequence(name="motion only", length=3, fps=25)]
    monkeypatch.setattr("vibe_cli.datasets.threedpw.read", lambda folder, split: people if split == "train" else [])
    told: list[str] = []
    found, sources = gather((f"3dpw={home}",), "tiny-encoder", "open", home, told.append, flow=("dis", 32), hidden=True)
    assert told == ["3dpw-train: 1 people"] and len(found) == 1 and sources == ["3DPW, train (non-commercial research)"]
    assert [folder.name for folder in (home / "features").iterdir()] == ["3dpw-train"]
    assert found[0]["features"].shape == found[0]["hidden"].shape == (12, WIDTH)
    assert not torch.equal(found[0]["features"], found[0]["hidden"])
    assert found[0]["flow"].shape == (12, 3, 32, 32) and not found[0]["flow"][0].any() and found[0]["flow"][1:].any()
    again, of = gather((str(home / "records.pt"),), "none", "open", home, told.append)
    assert torch.equal(again[0]["features"], found[0]["features"]) and len(told) == 1 and of == sources
    people.pop(0)
    with pytest.raises(InputError, match="nobody in 3DPW is seen in a picture") as caught:
        gather((f"3dpw={home}",), "tiny-encoder", "open", home, told.append)
    assert "vibe synth pack --mocap" in caught.value.hint


@pytest.fixture
def bundle(home: Path, clips: list[Clip]) -> Path:
    """The open body and a few motions."""
    write_bundle(
        home / "bundle.npz",
        SynthBody.load(models_dir() / "open-body" / "weights.safetensors", faces=None),
        clips,
        Pictures([]),
    )
    return home / "bundle.npz"


def test_records_of_another_system_are_refused(vibe, home: Path, bundle: Path, records) -> None:
    save_records(home / "records.pt", records, ["3DPW, train (research)"])
    order = ("train", "--data", "bundle.npz", "--steps", 1, "--set", 'data=["records.pt"]', "--set", "batch=2")
    answer = vibe(*order, "dts-vibe")
    assert answer.code == 3 and "lack flow" in answer.err and "name the data sets" in answer.err
    wider = [record | {"features": torch.zeros(len(record["features"]), 2 * WIDTH)} for record in records[:1]]
    save_records(home / "records.pt", wider + records[1:], [])
    answer = vibe(*order, "vibe", "--out", "other")
    assert answer.code == 3 and "different widths" in answer.err


@pytest.mark.parametrize("name", ["vibe", "tcmr", "sps-net"])
def test_a_papers_network_begins_at_a_lifters_run(name: str, vibe, home: Path, bundle: Path, records) -> None:
    lifter = ("--set", "batch=4", "--set", "features=16", "--set", "hidden=16", "--set", "stills=20")
    assert vibe("train", "lifter", "--data", bundle, "--steps", 2, *lifter).code == 0
    save_records(home / "records.pt", records, ["3DPW, train (research)"])
    order = (
        "train",
        name,
        "--data",
        bundle,
        "--start",
        "runs/lifter",
        "--steps",
        1,
        "--set",
        "batch=2",
        "--set",
        'data=["records.pt"]',
        "--set",
        "window=4",
    )
    answer = vibe(*order)
    assert answer.code == 0, answer.err
    config = yaml.safe_load((home / "runs" / name / "config.yaml").read_text("utf-8"))
    assert config["data"] == "3DPW, train (research)" and config["licence"] == f"as its data allow: {config['data']}"
    state = torch.load(home / "runs" / name / "weights.pt", weights_only=True)
    single = torch.load(home / "runs" / "lifter" / "weights.pt", weights_only=True)["regressor"]
    assert (state["config"]["regressor_hidden"], paper_network(name, 16, 4).config.regressor_hidden) == (16, 1024)
    for key, value in single.items():  # a step of 5e-5 from there
        assert torch.allclose(state["network"][f"regressor.{key}"], value, atol=1e-3), key
    save_records(home / "records.pt", [{**r, "features": r["features"].repeat(1, 2)} for r in records], [])
    answer = vibe(*order, "--out", "wider")
    assert answer.code == 2 and "features" in answer.err and "--set encoder=runs/lifter/encoder" in answer.err


def test_a_resumed_run_reads_no_data_set_again(vibe, home: Path, bundle: Path) -> None:
    install_model(home / ".vibe" / "models")
    make_3dpw(home / "set", "train")
    order = (
        "train",
        "sps-net",
        "--data",
        bundle,
        "--set",
        'data=["3dpw=set"]',
        "--set",
        "encoder=tiny-encoder",
        "--set",
        "batch=2",
        "--set",
        "window=3",
        "--steps",
        2,
    )
    paused = vibe(*order, "--stop-after", 0)
    assert paused.code == 0 and "3dpw-train: 2 people" in paused.err and "to be resumed" in paused.out, paused.err
    shutil.rmtree(home / "set")
    resumed = vibe(*order, "--resume")
    assert resumed.code == 0 and "people" not in resumed.err and "done" in resumed.out, resumed.err


@pytest.mark.parametrize("resumed", [False, True])
def test_the_first_process_reads_and_each_waits_once(resumed: bool, tmp_path: Path, records, monkeypatch) -> None:
    """Or one of them would wait for ever."""
    read, waited = [], []
    monkeypatch.setattr("vibe_cli.training.paper_task.gather", lambda *_: read.append(True) or (records, []))
    monkeypatch.setattr(ProcessContext, "broadcast", lambda context, number: waited.append(context.rank) or number)
    save_records(tmp_path / "records.pt", records, [])
    if resumed:
        (tmp_path / "checkpoint.pt").touch()
    for context in (ProcessContext(rank=0, count=2), ProcessContext(rank=1, count=2)):
        job = Job(None, tmp_path / "checkpoint.pt", None, None, print, LoopOptions(context))
        assert len(read_records(job, PaperTraining(data=("3dpw=set",)), "vibe", "open")[0]) == 2
    assert waited == [0, 1] and len(read) == 1 - resumed
