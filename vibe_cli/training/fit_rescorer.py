"""Find the weights of the evidence by which the detector's proposals are judged, on synthetic scenes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from vibe_cli.geometry import boxes as box_maths
from vibe_cli.people.rescore import LogisticRescorer, RescoredDetector
from vibe_cli.synth.scenes import MIN_VISIBLE, SceneSource

PROPOSALS_FROM = 0.05  # score of the detector's proposals from which they are looked at
RIGHT, WRONG = 0.5, 0.3  # overlap (IoU) with a person from which a find is right, and below which it is wrong


def gather_evidence(
    detector: RescoredDetector, cache: Path, scenes: int, seed: int = 77, size: int = 320
) -> tuple[np.ndarray, np.ndarray]:
    """Evidence (N, 4) for the detector's finds in random scenes, and whether they are right (N,)."""
    source, rng, evidence, right = SceneSource(cache, size), np.random.default_rng(seed), [], []
    for _ in range(scenes):
        image, people, visible = source.scene(rng)
        boxes, found = detector.gather(image, detector.proposer.detect([image])[0])
        if len(boxes):
            overlap = box_maths.iou(boxes, people).max(axis=1) if len(people) else np.zeros(len(boxes))
            hidden = people[visible < MIN_VISIBLE] if len(people) else people
            doubtful = box_maths.iou(boxes, hidden).max(axis=1) > WRONG if len(hidden) else np.zeros(len(boxes), bool)
            clear = ((overlap > RIGHT) | (overlap < WRONG)) & ~doubtful
            evidence.append(found[clear])
            right.append(overlap[clear] > RIGHT)
    if not evidence:
        return np.zeros((0, 4)), np.zeros(0, bool)
    return np.concatenate(evidence), np.concatenate(right)


def fit_rescorer(evidence: np.ndarray, right: np.ndarray, penalty: float = 1e-3) -> LogisticRescorer:
    """Logistic regression with a small ridge penalty on standardised evidence."""
    mean, scale = evidence.mean(axis=0), evidence.std(axis=0) + 1e-6
    x, sign = np.c_[(evidence - mean) / scale, np.ones(len(evidence))], np.where(right, 1.0, -1.0)

    def loss(w: np.ndarray) -> float:
        return float(np.logaddexp(0, -sign * (x @ w)).mean() + penalty * (w[:-1] ** 2).sum())

    w = minimize(loss, np.zeros(x.shape[1])).x
    weights = w[:-1] / scale
    return LogisticRescorer(float(w[-1] - weights @ mean), *(float(v) for v in weights))


def rescore_settings(rescorer: LogisticRescorer, encoder: str, proposals_from: float) -> dict:
    """The rescoring section of a detector's config.yaml."""
    return {
        "encoder": encoder,
        "proposals_from": proposals_from,
        "weights": {k: round(v, 4) for k, v in asdict(rescorer).items()},
    }
