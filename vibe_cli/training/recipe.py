"""Make every shipped model from nothing but motion capture and the open body, within a stated budget.

    python -m vibe_cli.training.recipe --mocap cmu_mocap.tar.xz --work work --minutes 150

Each stage leaves its file in the work folder and is skipped when that file is there, so an interrupted run goes
on where it was; the two long trainings also resume inside. Needs the extra `vibe-cli[synth]`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vibe_cli.networks.keypoints import KeypointNet

SHARES = {"cache": 0.08, "keypoints": 0.48, "detector": 0.16, "collect": 0.06, "lifting": 0.1, "temporal": 0.1,
          "judge": 0.02}
STILLS_A_MINUTE = 6000   # drawn by two workers on two cores
CLIP_LENGTH = 24
WORKERS = 2
SCENES_A_MINUTE = 250    # looked at twice


def make_models(mocap: Path, work: Path, out: Path, minutes: float, report: Callable[[str], None]) -> None:
    """Run all stages and write the model folders' weights and configurations into `out`."""
    import torch

    work.mkdir(parents=True, exist_ok=True)
    body = out / "open-body" / "weights.safetensors"
    budget = {name: share * minutes for name, share in SHARES.items()}
    _draw(mocap, work, body, budget["cache"], report)
    _train_keypoints(work, budget["keypoints"], report)
    _train_detector(work, budget["detector"], report)
    states = work / "temporal.pt"
    if not states.exists():
        torch.save(_train_motion(work, body, budget, report), states)
    _fit_judge(work, budget["judge"], report)
    write_models(work, out)


def _draw(mocap: Path, work: Path, body: Path, minutes: float, report: Callable[[str], None]) -> None:
    from vibe_cli.training.mocap import read_mocap
    from vibe_cli.training.synth.cache import CacheJob, draw_all, draw_backgrounds, write_clips

    clips = work / "mocap.npz"
    if not clips.exists():
        report("reading motion capture")
        write_clips(clips, read_mocap(mocap))
    stills = max(400, int(minutes * 0.5 * STILLS_A_MINUTE))
    frames = max(20, int(minutes * 0.4 * STILLS_A_MINUTE / CLIP_LENGTH)) * CLIP_LENGTH
    base = CacheJob(work, "", body, clips, 0, 0)
    jobs = [replace(base, name="held", count=min(1000, stills // 4), seed=901, held_out=True),
            replace(base, name="heldclips", count=min(100 * CLIP_LENGTH, frames), seed=801, length=CLIP_LENGTH,
                    held_out=True)]
    jobs += [replace(base, name="stills", count=stills // WORKERS, seed=1 + i) for i in range(WORKERS)]
    jobs += [replace(base, name="clips", count=frames // WORKERS // CLIP_LENGTH * CLIP_LENGTH, seed=101 + i,
                     length=CLIP_LENGTH) for i in range(WORKERS)]
    left = [job for job in jobs if not (work / f"{job.name}_{job.seed}.npy").exists()]
    for first in range(0, len(left), WORKERS):
        report("drawing " + ", ".join(f"{job.count} {job.name}" for job in left[first:first + WORKERS]))
        draw_all(left[first:first + WORKERS])
    if not (work / "backgrounds.npy").exists():
        draw_backgrounds(work / "backgrounds.npy", max(100, int(minutes * 140)), seed=7)


def _train_keypoints(work: Path, minutes: float, report: Callable[[str], None]) -> None:
    from vibe_cli.networks.keypoints import KeypointConfig
    from vibe_cli.training.keypoints import KeypointTraining, train_keypoints

    train_keypoints(work, work / "keypoints.pt", KeypointConfig(), KeypointTraining(minutes=minutes), report)


def _train_detector(work: Path, minutes: float, report: Callable[[str], None]) -> None:
    from vibe_cli.networks.centre import CentreConfig
    from vibe_cli.training.detector import DetectorTraining, train_detector

    train_detector(work, work / "detector.pt", work / "keypoints.pt", CentreConfig(),
                   DetectorTraining(minutes=minutes), report)


def _fit_judge(work: Path, minutes: float, report: Callable[[str], None]) -> None:
    """How the detector's second look weighs what it sees; judge.yaml in the work folder."""
    import torch
    import yaml

    from vibe_cli.detect import CentreDetector
    from vibe_cli.networks.centre import CentreConfig, CentreNet
    from vibe_cli.networks.open_encoder import OpenEncoder, OpenEncoderConfig
    from vibe_cli.training.judging import PROPOSALS_FROM, fit_judge, gather_evidence, verify_settings
    from vibe_cli.verify import Judge, VerifiedDetector

    if (work / "judge.yaml").exists():
        return
    report("weighing the evidence of the second look")
    state, eye = torch.load(work / "detector.pt", weights_only=True), load_keypoints(work)
    net = CentreNet(CentreConfig(**state["config"]))
    net.load_state_dict(state["averaged"])
    encoder = OpenEncoder(OpenEncoderConfig(**asdict(eye.config)))
    encoder.eye.load_state_dict(eye.state_dict())
    proposer = CentreDetector(net, size=net.config.size, threshold=PROPOSALS_FROM)
    detector = VerifiedDetector(proposer, encoder, Judge(0, 1, 1, 1, 1))
    judge = fit_judge(*gather_evidence(detector, work, scenes=max(20, int(minutes * SCENES_A_MINUTE))))
    (work / "judge.yaml").write_text(yaml.safe_dump(verify_settings(judge)), encoding="utf-8")


def load_keypoints(work: Path) -> KeypointNet:
    """The trained keypoint network."""
    import torch

    from vibe_cli.networks.keypoints import KeypointConfig, KeypointNet
    state = torch.load(work / "keypoints.pt", weights_only=True)
    net = KeypointNet(KeypointConfig(**state["config"]))
    net.load_state_dict(state["averaged"])
    return net.eval()


def _train_motion(work: Path, body: Path, budget: dict[str, float], report: Callable[[str], None]) -> dict:
    from vibe_cli.networks.lifter import Lifter, LifterConfig
    from vibe_cli.networks.regressor import Regressor
    from vibe_cli.networks.vibe import Vibe, VibeConfig
    from vibe_cli.training.lifting import LiftingTraining, collect, tensors, train_lifter
    from vibe_cli.training.points import PointBody
    from vibe_cli.training.starting import start_from
    from vibe_cli.training.synth.cache import read_clips
    from vibe_cli.training.synth.crops import CropSource
    from vibe_cli.training.synth.poses import PoseBank
    from vibe_cli.training.temporal import TemporalTraining, collect_clips, train_temporal

    net, points = load_keypoints(work), PointBody.load(body)
    stills, clips = CropSource(work, "stills"), CropSource(work, "clips")
    lifter = Lifter(LifterConfig(pooled=8 * net.config.width))
    config = VibeConfig(features=lifter.config.features, hidden=512, bidirectional=True, regressor_hidden=512,
                        dropout=0.1)
    regressor, network = Regressor(config.regressor), Vibe(config)
    report("looking at stills")
    seen = _keep(work / "seen_stills.pt", lambda: collect(
        net, stills, min(max(1000, int(budget["collect"] * 2500)), 40000), seed=5))
    train_lifter(lifter, regressor, points, tensors(stills.labels), seen, LiftingTraining(
        simulated_minutes=budget["lifting"] / 3, seen_minutes=budget["lifting"] * 2 / 3), report)
    report("looking at clips")
    count = min(len(clips) // CLIP_LENGTH, max(20, int(budget["collect"] * 2500 / CLIP_LENGTH)))
    watched = _keep(work / "seen_clips.pt", lambda: collect_clips(net, clips, CLIP_LENGTH, count, seed=6))
    start_from(network, regressor)
    bank = PoseBank(read_clips(work / "mocap.npz"))
    train_temporal(network, lifter, points, *watched, CLIP_LENGTH, bank, TemporalTraining(minutes=budget["temporal"]),
                   report)
    return {"lifter": lifter.state_dict(), "regressor": regressor.state_dict(), "vibe": network.state_dict(),
            "config": asdict(config), "lifter_config": asdict(lifter.config)}


def _keep(path: Path, look: Callable[[], tuple]) -> tuple:
    """Observations and labels, from their file when it is there."""
    import torch

    from vibe_cli.networks.lifter import Observation
    if not path.exists():
        seen, truth = look()
        torch.save({"seen": vars(seen), "truth": truth}, path)
    state = torch.load(path, weights_only=True)
    return Observation(**state["seen"]), state["truth"]


def write_models(work: Path, out: Path) -> None:
    """Weights (float16) and configurations of the three trained models; cards are written by people."""
    import torch
    import yaml

    from vibe_cli.networks.centre import CentreConfig
    from vibe_cli.networks.open_encoder import OpenEncoderConfig
    from vibe_cli.networks.vibe import VibeConfig
    from vibe_cli.training.shipping import halved, write_model

    eye = torch.load(work / "keypoints.pt", weights_only=True)
    motion = torch.load(work / "temporal.pt", weights_only=True)
    detector = torch.load(work / "detector.pt", weights_only=True)
    lifter = motion["lifter_config"]
    encoder = {f"eye.{k}": v for k, v in eye["averaged"].items()}
    encoder |= {f"lifter.{k}": v for k, v in motion["lifter"].items()}
    sizes = OpenEncoderConfig(**eye["config"], features=lifter["features"], hidden=lifter["hidden"],
                              blocks=lifter["blocks"])
    write_model(out / "open-encoder", {"task": "encoder"}, halved(encoder), sizes)
    verify = yaml.safe_load((work / "judge.yaml").read_text(encoding="utf-8"))
    write_model(out / "open-detector", {"task": "detector", "verify": verify}, halved(detector["averaged"]),
                CentreConfig(**detector["config"]))
    write_model(out / "open-vibe", {"task": "temporal", "encoder": "open-encoder", "body": "open-body"},
                halved(motion["vibe"]), VibeConfig(**motion["config"]))


def main() -> None:
    """The command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mocap", type=Path, required=True, help="folder or .tar of motion capture (CMU's, AMASS)")
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for everything on the way")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of the models; holds open-body")
    parser.add_argument("--minutes", type=float, default=150, help="budget of the whole recipe")
    options = parser.parse_args()
    make_models(options.mocap, options.work, options.out, options.minutes,
                lambda line: sys.stdout.write(line + "\n") and sys.stdout.flush())


if __name__ == "__main__":
    main()
