"""Pictures of people with what is known of them → training crops, turned, scaled, cut, hidden and spoilt at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS, MIRRORED_KEYPOINTS, keypoints, pair
from vibe_cli.synth.crops import Labels
from vibe_cli.synth.faults import degrade
from vibe_cli.synth.layers import crop_axes

FLIP = np.diag([-1.0, 1, 1])
# Nobody can see where exactly these are: spine, collars and hands, which count less
LESS_CERTAIN = [*keypoints("spine1", "spine2", "spine3"), *pair("collar"), *pair("hand")]
LESS_CERTAIN_WEIGHT = 0.5
_HEAD, _SHOULDERS, _HIPS = keypoints("neck_lsp", "head_top_lsp"), pair("shoulder"), pair("hip_lsp")
_ARMS = [*_SHOULDERS, *pair("elbow"), *pair("wrist")]
# What a crop may be cut to: arms and head, trunk and arms, head and shoulders, all but the feet, legs
PARTS = [
    [*_ARMS, *_HEAD],
    [*_ARMS, *_HIPS, *_HEAD],
    [*_SHOULDERS, *_HEAD],
    [*_ARMS, *_HIPS, *_HEAD, *pair("knee")],
    [*pair("knee"), *pair("ankle"), *_HIPS],
]
LEAST_PART = 0.2  # of the person's side
BORDERS = (0.16, 0.16, 0.12, 0.56)  # how often which border cuts a person: left, right, above and, mostly, below
SHOWN = (0.3, 0.85)  # share of the box that such a border leaves


@dataclass(frozen=True, eq=False)
class Sample:
    """A person in a picture; K of our keypoints, P of their pairs; pixels count from the middle of the first one."""

    image: np.ndarray  # (H, W, 3) uint8 BGR
    points: np.ndarray  # (K, 2) pixels
    weights: np.ndarray  # (K,) 0..1; 0: nothing is known
    pairs: np.ndarray  # (P, 2, 2) pixels, two places of a pair
    pair_weights: np.ndarray  # (P,)
    box: np.ndarray  # (4,) centre x, centre y, width, height
    depth: np.ndarray  # (K,) metres behind the pelvis
    depth_weights: np.ndarray  # (K,) 0..1
    root: np.ndarray  # (3, 3) root rotation in camera axes
    root_weight: float  # 0..1


@dataclass(frozen=True, eq=False)
class TrainingCrops:
    """N crops of S pixels with what is known of them, points in −1..1 of the crop."""

    crops: np.ndarray  # (N, S, S, 3) uint8 RGB
    points: np.ndarray  # (N, K, 2)    float32
    weights: np.ndarray  # (N, K)       float32
    pairs: np.ndarray  # (N, P, 2, 2) float32
    pair_weights: np.ndarray  # (N, P)       float32
    depth: np.ndarray  # (N, K)       float32  metres behind the pelvis
    depth_weights: np.ndarray  # (N, K)       float32
    root: np.ndarray  # (N, 3, 3)    float32
    root_weights: np.ndarray  # (N,)         float32

    @classmethod
    def stack(cls, rows: Sequence[TrainingCrops]) -> TrainingCrops:
        """Several as one."""
        return cls(**{f.name: np.concatenate([getattr(row, f.name) for row in rows]) for f in fields(cls)})

    @classmethod
    def of_drawn(cls, crops: np.ndarray, labels: Labels) -> TrainingCrops:
        """Drawn people, of whom everything is known: crops (N, S, S, 3) and their labels."""
        count = len(crops)
        weights = np.ones((count, COUNT), np.float32)
        weights[:, LESS_CERTAIN] = LESS_CERTAIN_WEIGHT
        return cls(
            crops,
            labels.pixels,
            weights,
            known_pairs(labels.pixels),
            np.ones((count, len(LEFT_RIGHT_PAIRS)), np.float32),
            labels.points[..., 2],
            weights,
            labels.rotations[:, 0],
            np.ones(count, np.float32),
        )

    def mirrored(self) -> TrainingCrops:
        """The mirror images, of crops whose pixels were reversed: the grid starts at −1 but ends a pixel before 1."""
        shift = np.array([2 / self.crops.shape[1], 0], np.float32)
        flip, across = FLIP.astype(np.float32), np.array([-1, 1], np.float32)
        return TrainingCrops(
            self.crops[:, :, ::-1],
            self.points[:, MIRRORED_KEYPOINTS] * across - shift,
            self.weights[:, MIRRORED_KEYPOINTS],
            self.pairs[:, :, ::-1] * across - shift,
            self.pair_weights,
            self.depth[:, MIRRORED_KEYPOINTS],
            self.depth_weights[:, MIRRORED_KEYPOINTS],
            flip @ self.root @ flip,
            self.root_weights,
        )


@dataclass(frozen=True)
class Augmentation:
    """How a crop may differ from the person's box."""

    scale: float = 1.2  # side of the crop over the larger side of the box
    closer: float = 0.22  # largest logarithm by which it is smaller than that
    wider: float = 0.25  # and larger
    shift: float = 0.07  # of the side
    leaning: float = 0.52  # share of the crops that are turned a little,
    lean: float = 0.3  # radians, standard deviation
    turned: float = 0.08  # share of the crops that are turned by any angle
    part: float = 0.1  # share of the crops that are cut to a part of the person
    bordered: float = 0.2  # share of the crops of whom the picture's border cuts a part off
    hidden: float = 0.25  # share of the crops with things before the person


@dataclass(frozen=True)
class _View:
    """Which square of a picture a crop shows."""

    centre: np.ndarray
    side: float
    angle: float = 0.0
    flip: bool = False

    @property
    def axes(self) -> np.ndarray:
        """(2, 2): −1..1 of the crop → pixels of the picture from the centre."""
        return crop_axes(self.side / 2, self.angle, self.flip)

    def points(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of the picture (…, 2) → −1..1 of the crop."""
        return (pixels - self.centre) @ np.linalg.inv(self.axes).T

    def sample(self, image: np.ndarray, size: int) -> np.ndarray:
        """The crop (size, size, 3), pixel d at 2d / size − 1; zeros outside the picture."""
        axes, start = self.axes * (2 / size), self.centre - self.axes.sum(axis=1)
        shrink = self.side / size / 1.5
        if shrink > 4 / 3:  # averaged down first, or it would be sampled with gaps
            small = cv2.resize(image, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
            scale = np.array([small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]])
            axes, start, image = scale[:, None] * axes, scale * (start + 0.5) - 0.5, small
        warp = np.column_stack([axes, start])
        return cv2.warpAffine(image, warp, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def cut(
    rng: np.random.Generator,
    sample: Sample,
    size: int,
    options: Augmentation | None,
    other: np.ndarray | None = None,
) -> TrainingCrops:
    """One crop of a person; `options` None: their box as it is, at the usual scale.

    Things that hide a part of them are pieces of the picture `other`, or of one colour.
    """
    if options and rng.random() < options.bordered:
        sample = border(rng, sample)
    view = _look(rng, sample, options) if options else _View(sample.box[:2], _side(sample) * Augmentation.scale)
    crop = view.sample(sample.image, size)
    order: slice | list[int] = slice(None)
    if options:
        if rng.random() < options.hidden:
            crop = _hide(rng, crop, other)
        crop = degrade(rng, crop)
    pairs, root = view.points(sample.pairs), sample.root
    if view.flip:
        order, pairs = MIRRORED_KEYPOINTS, pairs[:, ::-1]
    c, s = math.cos(view.angle), math.sin(view.angle)
    root = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ root
    root = FLIP @ root @ FLIP if view.flip else root
    values = {
        "crops": cv2.cvtColor(crop, cv2.COLOR_BGR2RGB),
        "points": view.points(sample.points)[order],
        "weights": sample.weights[order],
        "pairs": pairs,
        "pair_weights": sample.pair_weights,
        "depth": sample.depth[order],
        "depth_weights": sample.depth_weights[order],
        "root": root,
        "root_weights": sample.root_weight,
    }
    return TrainingCrops(**{k: v[None] if k == "crops" else np.float32(v)[None] for k, v in values.items()})


def border(rng: np.random.Generator, sample: Sample) -> Sample:
    """The same picture with a border that cuts through the person, whose box is what is left of them.

    The points beyond stay known: where somebody's feet must be can be told from their knees.
    """
    axis, far = divmod(int(rng.choice(4, p=BORDERS)), 2)  # far: what lies beyond the border has the larger coordinates
    low, high = sample.box[:2] - sample.box[2:] / 2, sample.box[:2] + sample.box[2:] / 2
    share = rng.uniform(*SHOWN)
    at = low[axis] + share * sample.box[2 + axis] if far else high[axis] - share * sample.box[2 + axis]
    at = int(np.clip(np.rint(at), 1, sample.image.shape[1 - axis] - 1))
    image = sample.image.copy()
    beyond = slice(at, None) if far else slice(None, at)
    image[(slice(None), beyond) if axis == 0 else beyond] = 0  # as a crop is beyond its picture
    (high if far else low)[axis] = at
    return replace(sample, image=image, box=np.concatenate([(low + high) / 2, np.maximum(high - low, 1)]))


def _side(sample: Sample) -> float:
    return max(float(sample.box[2:].max()), 1.0)


def _look(rng: np.random.Generator, sample: Sample, options: Augmentation) -> _View:
    centre, side = sample.box[:2].astype(float), _side(sample)
    if rng.random() < options.part:
        part = [k for k in PARTS[rng.integers(len(PARTS))] if sample.weights[k] > 0]
        low, high = (f(sample.points[part], axis=0) for f in (np.min, np.max)) if len(part) > 2 else (centre, centre)
        if (high - low).max() > LEAST_PART * side:
            centre, side = (low + high) / 2, 1.25 * float((high - low).max())
    side *= options.scale * math.exp(rng.uniform(-options.closer, options.wider))
    centre = centre + rng.uniform(-options.shift, options.shift, 2) * side
    kind, angle = rng.random(), 0.0
    if kind < options.turned:
        angle = rng.uniform(-math.pi, math.pi)
    elif kind < options.turned + options.leaning:
        angle = rng.normal(0, options.lean)
    return _View(centre, side, angle, bool(rng.random() < 0.5))


def _hide(rng: np.random.Generator, crop: np.ndarray, other: np.ndarray | None) -> np.ndarray:
    """One to three things before the person: pieces of another picture, or of one colour."""
    size = len(crop)
    for _ in range(int(rng.integers(1, 4))):
        mask = np.zeros((size, size), np.uint8)
        middle, sides = rng.uniform(-0.05, 1.05, 2) * size, rng.uniform(0.06, 0.35, 2) * size
        shape = (tuple(map(float, middle)), tuple(map(float, sides)), float(rng.uniform(0, 180)))
        if rng.random() < 0.5:
            cv2.ellipse(mask, shape, 1, -1)
        else:
            cv2.fillPoly(mask, [cv2.boxPoints(shape).astype(np.int32)], 1)
        if other is not None and rng.random() < 0.7:
            cover = cv2.resize(other, (size, size), interpolation=cv2.INTER_AREA)
        else:
            cover = np.full_like(crop, rng.uniform(0, 255, 3))
        crop = cv2.copyTo(cover, mask, crop.copy())
    return crop


def known_pairs(points: np.ndarray) -> np.ndarray:
    """The places of all pairs (…, P, 2, 2) of points (…, K, 2)."""
    return points[..., np.array(LEFT_RIGHT_PAIRS), :]
