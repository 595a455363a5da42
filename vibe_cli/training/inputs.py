"""Inputs of trainings: a bundle (`vibe synth pack`), or the recipe's work folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from vibe_cli.errors import InputError, UsageError
from vibe_cli.networks.lifter import KeypointPrediction
from vibe_cli.networks.old_names import ENCODER, renamed
from vibe_cli.networks.rotation_tta import TTA
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.bundle import is_bundle, read_bundle
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.mocap import Clip, read_clips
from vibe_cli.synth.poses import PoseBank

CLIP_LENGTH = 24  # frames of the recipe's drawn clips


@dataclass(frozen=True, eq=False)
class TrainingInputs:
    """Bodies and motions, and a folder with what was drawn and seen, where there is one."""

    clips: list[Clip]
    synth_body: SynthBody | None
    folder: Path | None = None

    @cached_property
    def bank(self) -> PoseBank:
        """The motions for training."""
        return PoseBank(self.clips)

    @property
    def body(self) -> KeypointBody:
        """The keypoints of the open body."""
        return KeypointBody(self.need_body())

    def need_body(self) -> SynthBody:
        """The open body; UsageError where none was given."""
        if self.synth_body is None:
            raise UsageError("no body to train with", hint="name its file: --body models/open-body/weights.safetensors")
        return self.synth_body

    def need_folder(self) -> Path:
        """The work folder; UsageError where a bundle was given."""
        if self.folder is None:
            raise UsageError(
                "this training needs drawn pictures, which a bundle has not",
                hint="give --data a work folder: of make weights, or what python -m "
                "vibe_cli.synth.draw makes of the bundle",
            )
        return self.folder

    def seen(self, name: str) -> tuple[KeypointPrediction, dict[str, torch.Tensor]] | None:
        """Cached predictions for `stills` or `clips`, and their labels; None where there are none."""
        file = self.folder / f"seen_{name}.pt" if self.folder is not None else None
        if file is None or not file.exists():
            return None
        state = torch.load(file, weights_only=True)
        if renamed(state.get("tta") or state.get("looks") or {}, ENCODER) != TTA:
            raise InputError(
                f"{file}: an earlier version looked at these pictures, in another way",
                hint="remove seen_*.pt and keypoints.pt of that folder, and look anew: python -m "
                "vibe_cli.training.cache_predictions",
            )
        seen = {"solid": torch.ones(len(state["seen"]["depth"])), **state["seen"]}  # files of before do not say
        return KeypointPrediction(**seen), state["truth"]

    def describe(self) -> dict:
        """Facts about the inputs, for checkpoints."""
        return {
            "motions": len(self.clips),
            "frames": sum(len(clip.rotations) for clip in self.clips),
            "drawn": sorted(file.name for file in self.folder.glob("*_labels.npz")) if self.folder else [],
            "seen": sorted(file.name for file in self.folder.glob("seen_*.pt")) if self.folder else [],
        }


def open_inputs(path: Path | None, body: Path | None = None) -> TrainingInputs:
    """Of a bundle or a work folder; InputError for anything else. A work folder's body is in a file of its own."""
    if path is None:
        raise UsageError(
            "nothing to train on",
            hint="name a bundle or a work folder: --data PATH (the papers' "
            "trainings take the discriminator's motions and the open body from it, people from sets)",
        )
    if not path.exists():
        raise InputError(f"{path}: no such file or folder", hint="check the spelling of the path")
    if path.is_file():
        if body is not None:
            raise UsageError(f"{path} has a body of its own", hint="leave out --body, which is for a work folder")
        if not is_bundle(path):
            raise InputError(f"{path}: not a bundle", hint="write one with: vibe synth pack")
        bundle = read_bundle(path)
        return TrainingInputs(bundle.clips, bundle.body)
    if not (path / "mocap.npz").is_file():
        raise InputError(f"{path}: no mocap.npz in it", hint="give a bundle, or a work folder of make weights")
    return TrainingInputs(read_clips(path / "mocap.npz"), _body_of(path, body), path)


def _body_of(folder: Path, body: Path | None) -> SynthBody | None:
    """The body of a file, else the one that the folder was drawn with, where that was left there."""
    if body is not None:
        return SynthBody.load(body, faces=None)
    if (file := folder / "body.npz").is_file():
        with np.load(file, allow_pickle=False) as arrays:
            return SynthBody.from_arrays(dict(arrays))
    return None
