"""The open trainings, each put together from a run's settings and inputs (runs.py); the recipe takes them too."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vibe_cli.networks import describe
from vibe_cli.networks.centre import CentreConfig
from vibe_cli.networks.keypoints import DEEP, KeypointConfig
from vibe_cli.networks.lifter import Lifter, LifterConfig
from vibe_cli.networks.mposer import Mposer, MposerConfig
from vibe_cli.networks.regressor import Regressor, RegressorConfig
from vibe_cli.synth.crops import CropSource
from vibe_cli.training.adversary import MposerTraining, train_mposer
from vibe_cli.training.detector import DetectorTraining, train_detector
from vibe_cli.training.inputs import CLIP_LENGTH
from vibe_cli.training.keypoints import KeypointTraining, train_keypoints
from vibe_cli.training.lifting import LiftingTraining, draw_stills, tensors, together, train_lifter
from vibe_cli.training.loop import Loop
from vibe_cli.training.run_models import (
    write_detector,
    write_keypoint_net,
    write_single_frame_network,
    write_temporal_network,
)
from vibe_cli.training.simulate import simulate_clips
from vibe_cli.training.task import Job, OneStage, Task, Trained, load_lifter, load_mposer_run, warm_start_file
from vibe_cli.training.temporal import TemporalTraining, open_network, train_temporal, windows_of
from vibe_cli.training.warm_start import warm_start


@dataclass(frozen=True)
class OpenTemporal(OneStage):
    """A temporal network on the open encoder's features, begun at a trained lifter and single-frame regressor."""

    settings: TemporalTraining
    system: str  # systems.SYSTEMS

    def train(self, job: Job) -> Trained:
        """On drawn clips and simulated motions, or on the latter alone."""
        o = self.settings
        lifter, regressor = load_lifter(warm_start_file(job))
        torch.manual_seed(o.seed)
        network, drawn = open_network(self.system, lifter.config.features), job.inputs.seen("clips")
        body, bank = job.inputs.body, job.inputs.bank
        if not job.checkpoint.exists():
            some, length = drawn, CLIP_LENGTH
            if some is None:
                length, rng = 2 * network.window, np.random.default_rng(o.seed)
                some = simulate_clips(rng, bank, body, 64, length, lifter.config.pooled)
            warm_start(network, regressor, windows_of(lifter, some[0], length, network.window))
        prior = load_mposer_run(job.prior).to(job.how.context.device) if job.prior is not None else None
        loops: list[Loop] = []
        train_temporal(
            network,
            lifter,
            body,
            drawn,
            CLIP_LENGTH,
            bank,
            o,
            job.report,
            prior,
            job.checkpoint,
            loops.append,
            job.how,
        )
        return loops, {"network": network.state_dict(), "config": describe(network.config)}

    def export(self, job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
        """The network, and the encoder that it reads beside it."""
        write_temporal_network(job, name, weights, out)


@dataclass(frozen=True)
class MotionPrior(OneStage):
    """VIBE's motion prior."""

    settings: MposerTraining

    def train(self, job: Job) -> Trained:
        """On motion capture."""
        o = self.settings
        torch.manual_seed(o.seed)
        network = Mposer(MposerConfig(hidden=o.hidden, window=o.window)).to(job.how.context.device)
        loop = train_mposer(network, job.inputs.bank, o, job.report, job.checkpoint, job.how)
        return [loop], {"mposer": loop.averaged.state_dict(), "config": asdict(network.config)}

    def export(self, job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
        """Nothing: it is no model of the zoo."""


@dataclass(frozen=True)
class Lifting(Task):
    """The lifter and the single-frame regressor, in two stages: simulated keypoints, then drawn people as seen."""

    settings: LiftingTraining

    def train(self, job: Job) -> Trained:
        """On drawn people, or on motion capture alone."""
        self.one_process(job, "the lifter")
        o, folder, body = self.settings, job.inputs.folder, job.inputs.body
        torch.manual_seed(o.seed)
        stills = (
            tensors(CropSource(folder, "stills").labels)
            if folder is not None and any(folder.glob("stills_*_labels.npz"))
            else draw_stills(job.inputs.bank, body, o.stills, o.seed)
        )
        lifter = Lifter(LifterConfig(o.features, o.hidden))
        regressor = Regressor(RegressorConfig(o.features, hidden=o.features, dropout=0.1))
        seen = together(job.inputs.seen("stills"), job.inputs.seen("clips"))
        loops = train_lifter(lifter, regressor, body, stills, seen, o, job.report, job.checkpoint, job.how)
        return loops, {
            "lifter": lifter.state_dict(),
            "lifter_config": asdict(lifter.config),
            "regressor": regressor.state_dict(),
            "regressor_config": asdict(regressor.config),
        }

    def export(self, job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
        """The regressor as a temporal network of one frame, and the encoder with the lifter beside it."""
        write_single_frame_network(job, name, weights, out)

    @property
    def steps(self) -> int | None:
        """Steps of both stages; None where the budget of one is a time."""
        first, second = self.settings.simulated_steps, self.settings.seen_steps
        return None if first is None or second is None else first + second

    def budget(self, minutes: float | None, steps: int | None) -> dict[str, float | int | None]:
        """Of the two stages, a third is the first's."""
        if steps is not None:
            first = -(-steps // 3)
            return {"simulated_steps": first, "seen_steps": steps - first}
        if minutes is None:
            return {}
        return {
            "simulated_minutes": minutes / 3,
            "seen_minutes": minutes * 2 / 3,
            "simulated_steps": None,
            "seen_steps": None,
        }


@dataclass(frozen=True)
class Keypoints(OneStage):
    """The open encoder's keypoint network."""

    settings: KeypointTraining

    def train(self, job: Job) -> Trained:
        """On drawn crops, and photographs where the settings name them."""
        self.one_process(job, "keypoints")
        config, folder = KeypointConfig(layers=DEEP), job.inputs.need_folder()
        loop = train_keypoints(folder, job.checkpoint, config, self.settings, job.report, job.start, job.how)
        return [loop], {"averaged": loop.averaged.state_dict(), "config": asdict(config)}

    def export(self, job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
        """An encoder with the shipped one's lifter."""
        write_keypoint_net(weights, out)


@dataclass(frozen=True)
class Detecting(OneStage):
    """The open detector."""

    settings: DetectorTraining

    def train(self, job: Job) -> Trained:
        """On drawn scenes, and photographs where the settings name them."""
        self.one_process(job, "detector")
        o, folder = self.settings, job.inputs.need_folder()
        config = CentreConfig(o.backbone, layers=DEEP, size=o.size)
        loop = train_detector(folder, job.checkpoint, job.start, config, o, job.report, job.how)
        return [loop], {"averaged": loop.averaged.state_dict(), "config": asdict(config)}

    def export(self, job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
        """The detector, with the shipped one's second look where it needs one."""
        write_detector(job, name, self.settings, weights, out)
