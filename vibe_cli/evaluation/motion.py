"""Motion in 3D: every model on every sequence, in the true boxes, by the same code as `vibe demo`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.evaluation import metrics
from vibe_cli.evaluation.truth import FACINGS, H36M, LSP, Geometry, Truth
from vibe_cli.options import MotionOptions

if TYPE_CHECKING:
    from vibe_cli.datasets.features import Features
    from vibe_cli.datasets.sequence import Sequence
    from vibe_cli.evaluation.candidates import Candidate, Run
    from vibe_cli.results import Person, TrackFeatures
    from vibe_cli.zoo.model import Model


@dataclass(frozen=True, eq=False)
class Score:
    """One run on one sequence of T frames; NaN in frames that do not count."""

    name: str
    errors: np.ndarray  # (T, 14) mm
    aligned: np.ndarray  # (T, 14) mm
    exchanged: np.ndarray  # (T, 14) mm; as `errors`, by the better of left and right as found and exchanged
    swapped: np.ndarray  # (T,)    1 where exchanging left and right would be nearer
    vertices: np.ndarray  # (T,)    mm; NaN where no mesh is known
    accel: np.ndarray  # (T,)    mm/frame²
    accel_err: np.ndarray  # (T,)    mm/frame²
    facing: np.ndarray  # (T,)    index into FACINGS or −1


@dataclass
class Scores:
    """Scores of a run over all sequences."""

    run: Run
    joints: str  # which 14: truth.LSP or truth.H36M
    sequences: list[Score] = field(default_factory=list)


def evaluate_motion(
    datasets: Callable[[int], Iterable[Sequence]],
    candidates: list[Candidate[Model]],
    features: Features,
    options: MotionOptions,
    geometry: Geometry,
) -> dict[str, list[Scores]]:
    """Every run of every contender over a data set, sequence by sequence; scores of the runs by label.

    `datasets(size)` opens the data set for crops of `size` pixels: models that see crops of one size share a pass.
    """
    found = {c.label: [Scores(run, geometry.kind_of_joints(run.model.body)) for run in c.runs] for c in candidates}
    everybody = [scores for runs in found.values() for scores in runs]
    if len({scores.joints for scores in everybody}) > 1:  # one truth for all
        for scores in everybody:
            scores.joints = LSP
    for size in sorted({scores.run.model.crop_size for scores in everybody}):
        group = [scores for scores in everybody if scores.run.model.crop_size == size]
        for sequence in datasets(size):
            truth = geometry.truth_of(sequence, group[0].joints)
            for scores in group:
                scores.joints = LSP if truth.body == "open" else scores.joints  # the open body has no other
                model = scores.run.model
                person = recover_sequence(features.of(sequence, model), model, options, sequence.fps)
                kind = scores.joints if model.body.kind == "smpl" else LSP
                betas = np.tile(person.betas, (len(person), 1))
                joints, vertices = geometry.posed(model.body, person.pose, betas, kind)
                scores.sequences.append(compare(sequence.name, joints, vertices, model.body.kind, truth))
    return found


def recover_sequence(seen: TrackFeatures, model: Model, options: MotionOptions, fps: float) -> Person:
    """Track features of a sequence → its motion."""
    from vibe_cli.motion.regress import estimate_motion
    from vibe_cli.motion.smooth import smooth_person

    return smooth_person(estimate_motion(seen, model, options), options.smooth, fps)


def compare(name: str, joints: np.ndarray, vertices: np.ndarray | None, body: str, truth: Truth) -> Score:
    """Estimated joints (T, 14, 3) and vertices (T, V, 3) against the truth."""
    count, valid = len(joints), truth.valid
    errors, aligned = metrics.joint_errors(joints, truth.joints), metrics.aligned_errors(joints, truth.joints)
    swapped = metrics.sides_exchanged(joints, truth.joints)
    other = metrics.joint_errors(joints[:, metrics.SIDES_EXCHANGED_14], truth.joints)
    exchanged = np.where(swapped[:, None], other, errors)
    mesh = np.full(count, np.nan)
    if vertices is not None and truth.vertices is not None and truth.body == body:
        mesh = metrics.vertex_errors(vertices, truth.vertices)
    accel, accel_err = np.full(count, np.nan), np.full(count, np.nan)
    if count > 2:
        inner = metrics.whole(valid)
        accel[1:-1] = np.where(inner, metrics.accelerations(joints), np.nan)
        accel_err[1:-1] = np.where(inner, metrics.acceleration_errors(joints, truth.joints), np.nan)

    def counted(values: np.ndarray) -> np.ndarray:
        return np.where(valid.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)

    return Score(
        name,
        counted(errors),
        counted(aligned),
        counted(exchanged),
        counted(swapped.astype(float)),
        counted(mesh),
        accel,
        accel_err,
        np.where(valid, truth.facing, -1),
    )


def summarise(scores: list[Score]) -> dict:
    """The numbers of one run over all its frames: mm, mm/frame², shares 0..1; None where there is nothing to count."""
    joined = {
        name: np.concatenate([getattr(score, name) for score in scores])
        for name in Score.__dataclass_fields__
        if name != "name"
    }
    counted = ~np.isnan(joined["swapped"])
    per_joint = {
        name: {"mpjpe": mean(joined["errors"][:, row]), "pa_mpjpe": mean(joined["aligned"][:, row])}
        for row, name in enumerate(metrics.NAMES_14)
    }
    by_orientation = {}
    for number, name in enumerate(FACINGS):
        rows = counted & (joined["facing"] == number)
        if rows.any():
            by_orientation[name] = _numbers(joined, rows) | {"frames": int(rows.sum())}
    return {
        **_numbers(joined, counted),
        "frames": int(counted.sum()),
        "sequences": len(scores),
        "per_joint": per_joint,
        "by_orientation": by_orientation,
    }


def _numbers(joined: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, float | None]:
    errors = joined["errors"][rows]
    within = np.where(np.isnan(errors), np.nan, errors <= metrics.PCK_THRESHOLD_MM)
    return {
        "pa_mpjpe": mean(joined["aligned"][rows]),
        "mpjpe": mean(errors),
        "pve": mean(joined["vertices"][rows]),
        "accel": mean(joined["accel"][rows]),
        "accel_err": mean(joined["accel_err"][rows]),
        "pck": mean(within),
        "swapped": mean(joined["swapped"][rows]),
        "mpjpe_if_never_swapped": mean(joined["exchanged"][rows]),
    }


def mean(values: np.ndarray) -> float | None:
    """Mean of what is not NaN; None where nothing is left."""
    left = values[~np.isnan(values)]
    return float(left.mean()) if left.size else None


def protocol(
    scores: dict[str, list[Scores]], geometry: Geometry, options: MotionOptions, sequences: int, frames: int
) -> dict[str, str]:
    """How the numbers came about, line by line."""
    everybody = [one for runs in scores.values() for one in runs]
    kinds = {one.joints for one in everybody}
    genders = sorted({f"{body}{' ' + gender if gender else ''}" for body, gender in geometry.bodies})
    steps = [
        f"fitted to keypoints: {'yes' if options.refine else 'no'}",
        f"smoothing: {options.smooth:g}" if options.smooth else "smoothing: none",
        f"window: {options.window or 'as trained'}",
        f"stride: {options.stride or 'half a window'}",
    ]
    lines = {
        "frames": f"{frames} in {sequences} sequences",
        "joints": f"{', '.join(sorted(kinds))}; about the pelvis, the mean of the hips",
        "alignment": "MPJPE: the pelvis; PA-MPJPE: scale, rotation and translation, frame by frame; "
        "PVE: none, about the body's own origin",
        "acceleration": "mm/frame²: x[t−1] − 2x[t] + x[t+1]; frames with an invisible neighbour left out",
        "PCK": f"within {metrics.PCK_THRESHOLD_MM:g} mm",
        "boxes": "the data set's, not a tracker's",
        "body of the truth": ", ".join(genders) or "none: joints only",
        "motion": "; ".join(steps),
    }
    bodies = sorted({one.run.model.body.kind for one in everybody})
    lines["body of the models"] = ", ".join(bodies)
    if bodies != ["open"] and kinds == {LSP} and geometry.regressor is None:
        lines["note"] = f"not the published protocol, which takes the {H36M}: import J_regressor_h36m.npy"
    return lines | {f"note {n}": note for n, note in enumerate(dict.fromkeys(geometry.notes), 1)}
