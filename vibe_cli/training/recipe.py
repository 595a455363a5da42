"""Make every shipped model from motion capture, the open body and pictures, within a stated budget.

    python -m vibe_cli.training.recipe --mocap cmu_mocap.tar.xz --photos photos --work work --minutes 150

Without labelled photographs (training/photographs.py and mosaics.py say what they are) people are drawn alone, and
real pictures are seen less well.

Each stage leaves its file in the work folder and is skipped when that file is there, so an interrupted run goes
on where it was; the long trainings also resume inside. A stage gets its share of the time that is left. Needs the
extra `vibe-cli[synth]`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vibe_cli.errors import InputError, UsageError, VibeError
from vibe_cli.importing.systems import SYSTEMS
from vibe_cli.run_folder import make_writable, write_json
from vibe_cli.synth.studio import check_sources, default_workers
from vibe_cli.training.budget import Budget
from vibe_cli.training.distributed import process_context
from vibe_cli.training.edition import BESIDE, write_models
from vibe_cli.training.inputs import CLIP_LENGTH

if TYPE_CHECKING:
    from vibe_cli.training.task import Task

SHARES = {
    "drawing": 0.08,
    "keypoints": 0.42,
    "detector": 0.14,
    "looking": 0.06,
    "lifting": 0.08,
    "vibe": 0.05,
    "tcmr": 0.05,
    "dts-vibe": 0.05,
    "sps-net": 0.04,
    "judging": 0.02,
    "prior": 0.01,
}
STILLS_A_MINUTE = 4000  # drawn by a worker
LOOKED_A_MINUTE = 2500  # crops that the keypoint network sees
SCENES_A_MINUTE = 250  # looked at twice
PRIOR_ROUNDS_A_MINUTE = 20
PHOTO_SIZE = 320  # pixels of the scenes that a detector on photographs learns from, and of frames that it sees
NO_PHOTOS = (
    "without --photos: people are drawn alone, and real ones will be found less well; it takes a folder of photographs "
    "of people with marks of their joints and boxes (vibe_cli/training/photographs.py and mosaics.py say which)"
)
PHOTO_FILES = ("lspet.tar", "lspet_labels.npz", "scenes.tar", "scenes.json")


def make_models(
    mocap: Path,
    backgrounds: Path | None,
    photos: Path | None,
    work: Path,
    out: Path,
    minutes: float,
    report: Callable[[str], None],
) -> None:
    """Run all stages and write the model folders' weights and configurations into `out`."""
    if not 0 < minutes < math.inf:
        raise UsageError(f"--minutes {minutes:g}: not a time", hint="give more than 0")
    check_sources(mocap, backgrounds)
    make_writable(work, "choose another --work")
    if photos is not None:
        check_photographs(photos)
    folders = {"backgrounds": backgrounds, "photos": photos}
    order = {"minutes": minutes, "mocap": mocap.name, **{k: v.name for k, v in folders.items() if v is not None}}
    _check_recipe(work / "recipe.json", order)
    budget = Budget(minutes, SHARES, work / "budget.json", report)
    report(f"making the models in {minutes:g} minutes")
    if photos is None:
        report(NO_PHOTOS)
    with budget.stage("drawing") as given:
        _draw(mocap, backgrounds, work, order, given, report)
    with budget.stage("keypoints") as given:
        _train_keypoints(work, photos, given, report)
    with budget.stage("detector") as given:
        _train_detector(work, photos, given, report)
    with budget.stage("looking") as given:
        _cache_predictions(work, given)
    with budget.stage("lifting") as given:
        _train_lifter(work, given, report)
    for system in SYSTEMS:
        with budget.stage(system) as given:
            _train_system(system, work, given, report)
    with budget.stage("judging") as given:
        _fit_rescorer(work, given, report)
    with budget.stage("prior") as given:
        _fit_prior(work, given)
    write_models(work, out)
    report(f"done in {sum(budget.spent.values()):.1f} of {minutes:g} minutes")


def check_photographs(folder: Path) -> None:
    """InputError where a folder lacks what trainings on photographs read."""
    if missing := [name for name in PHOTO_FILES if not (folder / name).is_file()]:
        raise InputError(f"{folder}: no {missing[0]} in it", hint=f"labelled photographs are {', '.join(PHOTO_FILES)}")


def _photos(photos: Path | None) -> list[str]:
    """The setting of trainings on photographs."""
    return [] if photos is None else [f"photos={json.dumps(str(photos))}"]


def _check_recipe(file: Path, order: dict) -> None:
    """InputError where a work folder was made by another recipe, or its parts would not belong together."""
    try:
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else order
    except (OSError, ValueError):
        before = {}
    if before != order:
        told = ", ".join(f"{k} {v}" for k, v in before.items()) if isinstance(before, dict) else ""
        raise InputError(
            f"{file.parent}: was begun with {told or 'something else'}",
            hint="go on with the same, or remove that folder to begin anew",
        )


def _draw(
    mocap: Path, backgrounds: Path | None, work: Path, order: dict, minutes: float, report: Callable[[str], None]
) -> None:
    import torch

    from vibe_cli.synth.draw import draw_folder, plan
    from vibe_cli.synth.studio import open_studio

    workers = default_workers()
    stills = max(400, int(minutes * 0.5 * STILLS_A_MINUTE * workers))
    clips = max(20 * workers, int(minutes * 0.4 * STILLS_A_MINUTE * workers / CLIP_LENGTH))
    jobs = plan(stills, clips, CLIP_LENGTH, held_out=min(100, clips))
    drawn = [work / "body.npz", work / "mocap.npz", work / "backgrounds.npy", *(job.file(work) for job in jobs)]
    if all(file.exists() for file in drawn):
        return
    report("reading motion capture")
    studio = open_studio(mocap, backgrounds)
    write_json(work / "recipe.json", order)  # from here on the folder holds something of it
    draw_folder(studio, work, jobs, max(100, int(minutes * 140)), torch.device("cpu"), workers, report)


def _train(
    task: Task, work: Path, checkpoint: str, minutes: float, report: Callable[[str], None], start: Path | None = None
) -> dict[str, Any]:
    """A named training on the work folder, to its end; what it leaves."""
    from vibe_cli.training.inputs import open_inputs
    from vibe_cli.training.loop import LoopOptions
    from vibe_cli.training.task import Job

    job = Job(open_inputs(work), work / checkpoint, start, None, report, LoopOptions(process_context()))
    return task.with_budget(minutes).train(job)[1]


def _train_keypoints(work: Path, photos: Path | None, minutes: float, report: Callable[[str], None]) -> None:
    from vibe_cli.training.configs import CONFIGS, change

    task = CONFIGS["keypoints"]
    settings = change(task.settings, [*_photos(photos), f"workers={default_workers()}"])
    _train(task.of(settings), work, "keypoints.pt", minutes, report)


def _train_detector(work: Path, photos: Path | None, minutes: float, report: Callable[[str], None]) -> None:
    """On photographs a detector on lite0 from ImageNet, else one that begins at the keypoint network."""
    from vibe_cli.training.configs import CONFIGS, change

    task, other = CONFIGS["detector"], [] if photos is None else ["backbone=lite0", f"size={PHOTO_SIZE}"]
    settings = change(task.settings, [*_photos(photos), *other, f"workers={default_workers()}"])
    start = work / "keypoints.pt" if photos is None else None
    _train(task.of(settings), work, "detector.pt", minutes, report, start)


def _fit_rescorer(work: Path, minutes: float, report: Callable[[str], None]) -> None:
    """How the detector's second look weighs what it sees; rescorer.yaml in the work folder.

    A detector that was trained for minutes may find nothing it is that sure of: then it is asked for less. One on lite0
    is not looked at again.
    """
    import torch
    import yaml

    from vibe_cli.networks.centre import CentreConfig, CentreNet
    from vibe_cli.networks.open_encoder import OpenEncoder, OpenEncoderConfig
    from vibe_cli.people.detectors import CentreDetector
    from vibe_cli.people.rescore import LogisticRescorer, RescoredDetector
    from vibe_cli.training.cache_predictions import load_keypoints
    from vibe_cli.training.fit_rescorer import PROPOSALS_FROM, fit_rescorer, gather_evidence, rescore_settings

    if (work / "rescorer.yaml").exists():
        return
    state, keypoint_net = torch.load(work / "detector.pt", weights_only=True), load_keypoints(work)
    if state["config"]["backbone"] == "lite0":
        return
    net = CentreNet(CentreConfig(**state["config"]))
    net.load_state_dict(state["averaged"])
    encoder = OpenEncoder(OpenEncoderConfig(**asdict(keypoint_net.config)))
    encoder.keypoint_net.load_state_dict(keypoint_net.state_dict())
    for least in (PROPOSALS_FROM, PROPOSALS_FROM / 5, PROPOSALS_FROM / 25):
        proposer = CentreDetector(net, size=net.config.size, threshold=least)
        detector = RescoredDetector(proposer, encoder, LogisticRescorer(0, 1, 1, 1, 1))
        evidence, right = gather_evidence(detector, work, scenes=max(8, int(minutes * SCENES_A_MINUTE)))
        if len(right):
            break
    else:
        report("the detector finds nobody yet: its second look believes everything equally")
    rescorer = fit_rescorer(evidence, right) if len(right) else LogisticRescorer(0, 0, 0, 0, 0)
    (work / "rescorer.yaml").write_text(yaml.safe_dump(rescore_settings(rescorer, BESIDE, least)), encoding="utf-8")


def _cache_predictions(work: Path, minutes: float) -> None:
    """The keypoint network's predictions for stills and clips: seen_*.pt in the work folder."""
    from vibe_cli.training.cache_predictions import STILLS, cache_predictions

    count = max(20 * CLIP_LENGTH, int(minutes / 2 * LOOKED_A_MINUTE))
    cache_predictions(work, min(count, STILLS), count, process_context().device)


def _train_lifter(work: Path, minutes: float, report: Callable[[str], None]) -> None:
    """The lifter and the single-frame regressor; lifter.pt in the work folder."""
    from vibe_cli.training.cache_predictions import save
    from vibe_cli.training.configs import CONFIGS

    if not (work / "lifter.pt").exists():
        save(work / "lifter.pt", _train(CONFIGS["lifter"], work, "training-lifter.pt", minutes, report))


def _train_system(system: str, work: Path, minutes: float, report: Callable[[str], None]) -> None:
    """One temporal network; <system>.pt in the work folder."""
    from vibe_cli.training.cache_predictions import save
    from vibe_cli.training.configs import CONFIGS

    if not (work / f"{system}.pt").exists():
        weights = _train(CONFIGS[f"open-{system}"], work, f"training-{system}.pt", minutes, report)
        save(work / f"{system}.pt", weights)


def _fit_prior(work: Path, minutes: float) -> None:
    """The pose prior; its folder in the work folder."""
    from vibe_cli.synth.mocap import read_clips
    from vibe_cli.training.pose_prior import PriorTraining, make_prior

    if not (work / "open-pose-prior" / "config.yaml").exists():
        rounds = max(2, min(PriorTraining.rounds, int(minutes * PRIOR_ROUNDS_A_MINUTE)))
        make_prior(read_clips(work / "mocap.npz"), work / "open-pose-prior", PriorTraining(rounds=rounds))


def main() -> None:
    """The command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mocap", type=Path, required=True, help="folder or .tar of motion capture (CMU's, AMASS)")
    parser.add_argument(
        "--backgrounds",
        type=Path,
        help="folder of pictures, panoramas (.hdr) and things cut out (.png); without it: drawn, and free photographs",
    )
    parser.add_argument("--photos", type=Path, help="folder of labelled photographs; without it: drawn people alone")
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for everything on the way")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of the models")
    parser.add_argument("--minutes", type=float, default=150, help="budget of the whole recipe")
    options = parser.parse_args()
    try:
        make_models(
            options.mocap,
            options.backgrounds,
            options.photos,
            options.work,
            options.out,
            options.minutes,
            lambda line: print(line, flush=True),
        )
    except VibeError as error:
        sys.stderr.write(f"error: {error.message}\nhint: {error.hint}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
