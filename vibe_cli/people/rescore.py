"""A second look at detected people: the keypoint network says how much of a person is there, and where it ends.

A centre detector trained on synthetic scenes alone proposes well and judges poorly: it takes textures for people
and parts for wholes. Each proposal is therefore cropped, its box moved to the points found in it, and looked at
again; proposals that come to the same box are one person. Four pieces of evidence, weighed as a logistic
regression on synthetic scenes found best (training/fit_rescorer.py), give the score. The surer the points, the more
the person's box is theirs, and the less the proposals'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from vibe_cli.geometry import boxes as box_maths
from vibe_cli.geometry.camera import crop_points_to_image
from vibe_cli.networks.lifter import FULL_PROBABILITY, decode_points
from vibe_cli.people.crops import crop_person, normalise
from vibe_cli.results import Detections

if TYPE_CHECKING:
    from vibe_cli.networks.open_encoder import OpenEncoder
    from vibe_cli.people.detectors import Detector

LOOK_SIZE = 96  # pixels of the crops looked at; the network was trained on this size too
PROPOSALS = 6  # best proposals of a frame that are looked at
SURE = 0.35  # share of full confidence from which a point counts and shapes the box
MARGIN = 0.06  # of the points' larger extent, on each side: flesh around the joints
TRUSTED = 0.6, 0.9  # shares of full confidence, the points' mean, where their box begins to count and alone counts
OVERLAP = 0.5  # of two people who overlap more than this (IoU) the surer is kept


@dataclass(frozen=True)
class LogisticRescorer:
    """Weights of the evidence; the logistic function of their sum is the score."""

    bias: float
    proposal_logit: float  # log odds, by their own scores, that any proposal merged into this person is right
    mean_confidence: float  # mean confidence of the points
    confident_share: float  # share of points that are sure
    self_iou: float  # overlap (IoU) of the boxes after the first and the second look

    def scores(self, evidence: np.ndarray) -> np.ndarray:
        """Evidence (N, 4) → scores (N,) in 0..1."""
        weights = np.array([self.proposal_logit, self.mean_confidence, self.confident_share, self.self_iou])
        return 1 / (1 + np.exp(-(evidence @ weights + self.bias)))


class RescoredDetector:
    """A detector whose finds are looked at again by the open encoder's keypoint network."""

    min_mean_score = 0.55  # its scores are chances: surer than not

    def __init__(
        self, proposer: Detector, encoder: OpenEncoder, rescorer: LogisticRescorer, threshold: float = 0.3
    ) -> None:
        self.proposer, self.encoder, self.rescorer = proposer, encoder.eval(), rescorer
        self.threshold, self.name = threshold, proposer.name

    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        """The people of each RGB uint8 frame (H, W, 3), best first."""
        proposed = self.proposer.detect(frames)
        return [self._rescore(frame, found) for frame, found in zip(frames, proposed, strict=True)]

    def _rescore(self, frame: np.ndarray, found: Detections) -> Detections:
        boxes, evidence = self.gather(frame, found)
        scores = self.rescorer.scores(evidence)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self.threshold]
        order = order[~suppressed(boxes[order], scores[order])]
        return Detections(clip_boxes(boxes[order], *frame.shape[1::-1]), scores[order])

    def gather(self, frame: np.ndarray, found: Detections) -> tuple[np.ndarray, np.ndarray]:
        """Look twice at the best proposals → people's boxes (N, 4) and the evidence for them (N, 4)."""
        first, proposal_logit = found.boxes[:PROPOSALS], found.scores[:PROPOSALS].astype(float)
        if not len(first):
            return np.zeros((0, 4)), np.zeros((0, 4))
        second, _ = self._look(frame, first)
        boxes, confidence = self._look(frame, second)
        overlap, mean = box_maths.iou(boxes, boxes), confidence.mean(axis=1)
        left, people, evidence = np.ones(len(boxes), bool), [], []
        for i in np.argsort(-mean, kind="stable"):
            if left[i]:
                here = left & (overlap[i] > OVERLAP)
                here[i] = True
                left &= ~here
                chance = np.clip(1 - np.prod(1 - proposal_logit[here]), 1e-3, 1 - 1e-3)
                people.append(
                    _between(np.average(first[here], axis=0, weights=proposal_logit[here]), boxes[i], mean[i])
                )
                confident_share = (confidence[i] > SURE * FULL_PROBABILITY).mean()
                self_iou = box_maths.iou(second[i : i + 1], boxes[i : i + 1])[0, 0]
                evidence.append([np.log(chance / (1 - chance)), mean[i], confident_share, self_iou])
        return np.array(people), np.array(evidence)

    def _look(self, frame: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) moved to the points found in them, and the points' confidence (N, K)."""
        squares = box_maths.square(boxes, self.encoder.config.scale)
        crops = normalise(np.stack([crop_person(frame, square, LOOK_SIZE) for square in squares]))
        with torch.inference_mode():
            found, sure = decode_points(self.encoder.predict_maps(crops.to(self.encoder.gain.device)))
        points = crop_points_to_image(found.cpu().numpy(), squares)
        confidence = sure.cpu().numpy()
        moved = [box_of_points(*row) for row in zip(points, confidence / FULL_PROBABILITY, boxes, strict=True)]
        return np.stack(moved), confidence


def _between(proposed: np.ndarray, found: np.ndarray, confidence: float) -> np.ndarray:
    """The box (4,) of the proposals, that of the points, or one between them by the points' mean confidence.

    Points that are unsure are often of what is hidden, or of somebody else.
    """
    low, high = TRUSTED
    return proposed + np.clip((confidence / FULL_PROBABILITY - low) / (high - low), 0, 1) * (found - proposed)


@dataclass(frozen=True)
class Suppression:
    """When a box is taken for a part, or a second view, of somebody beside it; ratios are of areas or scores."""

    part_inside: float = 0.4  # share of a part's area within the whole, or within its enlarged box
    part_ratio: float = 2.5  # least area of the whole, over the part's
    part_score: float = 0.1  # least score of the whole, over the part's
    limb_reach: float = 1.3  # factor by which the whole's box is enlarged to find limbs that stick out of it,
    limb_ratio: float = 10.0  # and the least area of that whole, over the limb's
    double_inside: float = 0.4  # share of the smaller box in common from which two boxes are one person
    same_size: float = 1.3  # ratio of areas up to which two boxes are of one size
    larger_score: float = 0.4  # least score of the larger of two such boxes, over the smaller's, for it to be kept


def suppressed(boxes: np.ndarray, scores: np.ndarray, options: Suppression | None = None) -> np.ndarray:
    """(N,) bool: boxes (N, 4) that are parts of others, limbs beside them, or second views of them."""
    options = options or Suppression()
    rules = (inside_a_whole, limb_of_a_whole, double)
    return np.any([rule(boxes, scores, options) for rule in rules], axis=0)


def inside_a_whole(boxes: np.ndarray, scores: np.ndarray, options: Suppression) -> np.ndarray:
    """(N,) bool: a box that lies largely in a much larger one, whose score is not negligible: a hand, a head."""
    area, score = _ratios(boxes, scores)
    shared = box_maths.shared(boxes, boxes) > options.part_inside
    return np.any(shared & (area > options.part_ratio) & (score > options.part_score), axis=1)


def limb_of_a_whole(boxes: np.ndarray, scores: np.ndarray, options: Suppression) -> np.ndarray:
    """(N,) bool: a box just beside a far larger one, whose score is not negligible."""
    area, score = _ratios(boxes, scores)
    around = boxes * [1, 1, options.limb_reach, options.limb_reach]
    shared = box_maths.shared(boxes, around) > options.part_inside
    return np.any(shared & (area > options.limb_ratio) & (score > options.part_score), axis=1)


def double(boxes: np.ndarray, scores: np.ndarray, options: Suppression) -> np.ndarray:
    """(N,) bool: the lesser of two boxes that share much of the smaller: the smaller one, unless it is much surer."""
    area, score = _ratios(boxes, scores)
    near = (area < options.part_ratio) & (area > 1 / options.part_ratio)
    larger, smaller = area > options.same_size, area < 1 / options.same_size
    least = np.where(larger, options.larger_score, np.where(smaller, 1 / options.larger_score, 1.0))
    other_wins = (box_maths.shared(boxes, boxes) > options.double_inside) & near & (score > least)
    np.fill_diagonal(other_wins, False)
    return np.any(other_wins, axis=1)


def _ratios(boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) area and score of the other box (column) over those of one's own (row)."""
    area = boxes[:, 2:].prod(axis=1)
    return area[None] / area[:, None], scores[None] / np.maximum(scores[:, None], 1e-9)


def box_of_points(points: np.ndarray, confidence: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The box (4,) around the sure ones of points (K, 2), with a margin; the given box where fewer than 6 are."""
    sure = confidence >= SURE
    if sure.sum() < 6:
        return box.astype(float)
    low, high = points[sure].min(axis=0), points[sure].max(axis=0)
    extent = high - low + 2 * MARGIN * (high - low).max()
    return np.concatenate([(low + high) / 2, extent])


def clip_boxes(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Boxes (N, 4) cut at the borders of the image."""
    corners = np.clip(box_maths.to_corners(boxes), 0, [width, height, width, height])
    return box_maths.from_corners(corners)
