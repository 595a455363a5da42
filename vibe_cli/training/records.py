"""Labelled people of data sets with what an encoder saw of them, and batches that mix those with 3D and 2D labels.

A record is a mapping of tensors over T frames, with 0 wherever a label is missing and a mask that says so:
features (T, F); joints2d (T, 49, 2) in −1..1 of the crop, valid2d (T, 49); joints3d (T, 49, 3) metres from their
origin (`about_origin`), valid3d (T, 49); rotations (T, 24, 3, 3), valid_pose (T,); betas (T, 10), valid_betas (T,);
squares (T, 3) centre and side of the crop in pixels. Records for DTS-VIBE hold flow (T, 3, S, S) as well, and those for
SPS-Net hidden (T, F): the features of the same crops with parts hidden, and mask (T, S, S) in 0..1, valid_mask (T,).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vibe_cli.errors import InputError
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from vibe_cli.datasets.sequence import Sequence
    from vibe_cli.results import TrackFeatures

HIPS = (27, 28)  # of the 49, LSP's
PELVIS = 8  # of the 49, SMPL's own: the origin where a data set labels SMPL's skeleton alone, as 3DPW does
MASKS = ("valid2d", "valid3d", "valid_pose", "valid_betas", "valid_mask")
Record = dict[str, Tensor]


def record_of(sequence: Sequence, seen: TrackFeatures, body: str) -> Record:
    """A person of a data set and what the encoder saw; betas of another body than `body` (open | smpl) do not count."""
    count, valid = len(sequence), torch.from_numpy(sequence.valid).float()
    squares = torch.from_numpy(np.ascontiguousarray(seen.boxes[:, :3])).float()
    record = {
        "features": torch.from_numpy(seen.features).float(),
        "squares": squares,
        "joints2d": torch.zeros(count, 49, 2),
        "valid2d": torch.zeros(count, 49),
        "joints3d": torch.zeros(count, 49, 3),
        "valid3d": torch.zeros(count, 49),
        "rotations": torch.eye(3).repeat(count, 24, 1, 1),
        "valid_pose": torch.zeros(count),
        "betas": torch.zeros(count, 10),
        "valid_betas": torch.zeros(count),
    }
    if sequence.joints2d is not None:
        points = torch.from_numpy(sequence.joints2d)
        record["valid2d"] = (points[..., 2] > 0).float() * valid[:, None]
        record["joints2d"] = (points[..., :2] - squares[:, None, :2]) / (squares[:, None, 2:] / 2)
    if sequence.joints3d is not None:
        known = torch.from_numpy(sequence.joints3d_valid).float()
        origin = torch.maximum(known[:, HIPS].prod(1), known[:, PELVIS])  # without it nothing can be compared
        record["valid3d"] = known * (origin * valid)[:, None]
        record["joints3d"] = about_origin(torch.from_numpy(sequence.joints3d), known)
    if sequence.pose is not None:
        known = torch.from_numpy(sequence.smpl_valid).float() * valid
        record["rotations"] = matrix_from_axis_angle(torch.from_numpy(sequence.pose))
        record["valid_pose"] = known
        if sequence.betas is not None and sequence.body == body:
            record["betas"], record["valid_betas"] = torch.from_numpy(sequence.betas), known
    for name in ("joints2d", "joints3d"):
        record[name] = record[name].nan_to_num()
    return record


def about_origin(joints: Tensor, known: Tensor) -> Tensor:
    """The 49 joints (…, 49, 3) about the middle of LSP's hips, or about the pelvis where those are not both known.

    `known` (…, 49) says what is labelled: a record's valid3d, for labels and estimates alike.
    """
    hips = (known[..., HIPS] > 0).all(-1)[..., None, None]
    return joints - torch.where(hips, joints[..., HIPS, :].mean(-2, keepdim=True), joints[..., PELVIS, None, :])


class Mixture:
    """Batches of windows of records: a stated share has 3D labels, the rest 2D ones alone.

    A person is drawn as often as their number of frames says. Edge rule: a record shorter than a window repeats its
    last frame; `there` (B, T) is 0 in the repeated frames, whose labels and flow count for nothing. A discriminator
    sees them.
    """

    def __init__(self, records: list[Record], share_3d: float) -> None:
        if not records:
            raise InputError("no labelled people to train on", hint="name data sets: --set 'data=[\"3dpw=FOLDER\"]'")
        solid = [bool(record["valid3d"].any() or record["valid_pose"].any()) for record in records]
        self.groups = [[r for r, has in zip(records, solid, strict=True) if has == wanted] for wanted in (True, False)]
        self.share = share_3d if all(self.groups) else float(bool(self.groups[0]))

    def draw(self, rng: np.random.Generator, count: int, frames: int) -> Record:
        """`count` windows of `frames` frames, (B, T, …) by name; the share is kept on average."""
        solid = int(count * self.share + rng.random())
        windows = [self._window(rng, self.groups[0 if row < solid else 1], frames) for row in range(count)]
        return {name: torch.stack([window[name] for window in windows]) for name in windows[0]}

    @staticmethod
    def _window(rng: np.random.Generator, records: list[Record], frames: int) -> Record:
        lengths = np.array([len(record["features"]) for record in records], float)
        record = records[int(rng.choice(len(records), p=lengths / lengths.sum()))]
        length = len(record["features"])
        first = int(rng.integers(max(1, length - frames + 1)))
        at = torch.arange(first, first + frames).clamp(max=length - 1)
        beyond = torch.arange(first, first + frames) >= length
        window = {name: value[at].float() for name, value in record.items()}
        window["there"] = (~beyond).float()
        for name in MASKS:
            if name in window:
                window[name][beyond] = 0
        return window


def save_records(path: Path, records: list[Record], sources: list[str]) -> None:
    """All records in one file, for other runs and machines, and where they are from."""
    with replacing_file(path) as part:
        torch.save({"records": records, "sources": sources}, part)


def load_records(path: Path) -> tuple[list[Record], list[str]]:
    """The inverse of save_records; InputError for another file."""
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        return content["records"], content.get("sources", [f"{path.name}, which does not say whose people it holds"])
    except Exception as error:  # torch raises whatever it likes
        raise InputError(
            f"{path}: holds no records ({type(error).__name__})",
            hint="name records.pt of a run that read the data sets",
        ) from None
