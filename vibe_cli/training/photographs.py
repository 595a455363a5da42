"""Photographs of people with marks of different makers: what they agree on becomes a label.

A folder holds `lspet.tar` (pictures) and `lspet_labels.npz`, arrays of N pictures in pixels:
    names (N,)                  of the pictures in the archive
    human (N, 14, 3)            Leeds Sports Pose's joints by hand: x, y, visible; (0, 0, 0) where none is marked
    movenet (N, 2, 17, 3)       COCO's keypoints by a network on two crops: x, y, score
    blazepose (N, 33, 4)        BlazePose's landmarks: x, y, visibility, presence
    blazepose_world (N, 33, 3)  their metres from the hips' middle: right, down, into the picture
    boxes (M, 5), boxes_picture (M,)   everybody's x, y, width, height and score, and the row of their picture
Marks by hand are sometimes wrong, and sometimes of a person whose left and right are exchanged; networks err where
poses are rare. A joint counts fully where the hand and a network agree, less where the hand stands alone, and nothing
where they contradict each other. Where they agree but for the sides, the two places are known and not whose they are:
that is said of pairs (`PhotoLabels.pairs`), which the left/right-blind maps learn from. Depth and facing are
BlazePose's, of those whose trunk and limbs it has where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vibe_cli.geometry.skeleton import JOINT, LSP_14, joints
from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS, keypoints
from vibe_cli.people.keypoint_files import LAYOUTS

PAIRS = len(LEFT_RIGHT_PAIRS)
BLAZE_33 = LAYOUTS[33]
# The limbs' joints, left before right, and their rows with each maker
LIMB_NAMES = ("ankle", "knee", "hip_lsp", "wrist", "elbow", "shoulder")
LIMBS = joints(*LIMB_NAMES)
HUMAN, COCO, BLAZE = ([layout.index(joint) for joint in LIMBS] for layout in (LSP_14, LAYOUTS[17], BLAZE_33))
OURS = keypoints(*LIMB_NAMES)
OPPOSITE = [row + 1 if row % 2 == 0 else row - 1 for row in range(len(LIMBS))]
ANKLES, WRISTS = ([LIMBS.index(joint) for joint in joints(name)] for name in ("ankle", "wrist"))
HUMAN_NECK, HUMAN_TOP = (LSP_14.index(JOINT[name]) for name in ("neck_lsp", "head_top_lsp"))
NECK, TOP = keypoints("neck_lsp", "head_top_lsp")
# Nose, eyes and ears: ours, COCO's, BlazePose's
FACE = [
    (keypoints(name)[0], LAYOUTS[17].index(JOINT[name]), BLAZE_33.index(JOINT[name]))
    for name in ("nose", "l_eye", "r_eye", "l_ear", "r_ear")
]
BLAZE_HAND = [17, 19]  # the left little and index finger, which are none of our joints; the right ones follow each
# What lies beyond a limb's joint and BlazePose alone tells: row of the limb, ours, BlazePose's (the mean of several)
BEYOND: list[tuple[int, int, list[int]]] = [
    *(
        (row, keypoints(f"{side}_{name}")[0], [BLAZE_33.index(JOINT[f"{side}_{name}"])])
        for row, side in zip(ANKLES, "lr", strict=True)
        for name in ("big_toe", "heel")
    ),
    *(
        (row, keypoints(f"{side}_hand")[0], [finger + away for finger in BLAZE_HAND])
        for away, (row, side) in enumerate(zip(WRISTS, "lr", strict=True))
    ),
]
NEAR_OF_SIDE = 0.09  # of a person's larger side: marks of the same joint
FACE_NEAR_OF_SIDE = 0.05
APART_OF_SIDE = 0.15  # left and right that are this far from each other can be told to be exchanged
MOVENET_SCORE, BLAZEPOSE_SCORE, BLAZEPOSE_HIGH_SCORE = 0.25, 0.3, 0.5  # scores of networks' marks that count
EXCHANGED_SHARE = 0.25  # share of the limbs exchanged, from which the hand's other marks of a person are in doubt
ALONE_WEIGHT, BY_NETWORKS_WEIGHT = 0.6, 0.7  # of marks by the hand alone, by networks alone; what is agreed on has 1
BEYOND_WEIGHT, SIDES_UNKNOWN_WEIGHT = 0.6, 0.8
BOX_MARGIN = 1.1  # a person's box over that of the joints
TRUNK = [LIMBS.index(joint) for joint in joints("hip_lsp", "shoulder")]  # all but one BlazePose must have right
DEPTH_WEIGHT, ROOT_WEIGHT = 0.5, 0.6  # of what one network alone tells
SECTORS, EVENED = 12, (0.3, 2.0)  # directions that people face, and how much their weights are evened out


@dataclass(frozen=True, eq=False)
class PhotoLabels:
    """Labels of N people on photographs; K of our keypoints, P of their pairs; pixels of the picture."""

    points: np.ndarray  # (N, K, 2)    float32
    weights: np.ndarray  # (N, K)       float32  0..1; 0: nothing is known
    pairs: np.ndarray  # (N, P, 2, 2) float32  two places of a pair
    pair_weights: np.ndarray  # (N, P)       float32
    boxes: np.ndarray  # (N, 4)       float32  centre x, centre y, width, height, around all that is known
    depth: np.ndarray  # (N, K)       float32  metres behind the pelvis
    depth_weights: np.ndarray  # (N, K)       float32
    roots: np.ndarray  # (N, 3, 3)    float32  root rotation in camera axes
    root_weights: np.ndarray  # (N,)         float32


@dataclass(frozen=True, eq=False)
class _Limbs:
    """Twelve joints of N people as three makers mark them, (N, 12, 2) with NaN where there is no mark to count."""

    hand: np.ndarray
    near: np.ndarray  # the first network's on the nearer crop
    far: np.ndarray  # and on the farther one
    blaze: np.ndarray
    side: np.ndarray  # (N, 1) larger side of the person

    @property
    def networks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All but the hand."""
        return self.near, self.far, self.blaze

    def same(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, 12) bool: two makers' marks lie at one place."""
        return _distance(a, b) < NEAR_OF_SIDE * self.side


def agree(human: np.ndarray, movenet: np.ndarray, blazepose: np.ndarray, world: np.ndarray) -> PhotoLabels:
    """Labels of what the makers agree on; arrays as in the module's text."""
    marked = np.where(human[..., 2:] > 0.5, human[..., :2], np.nan).astype(np.float64)
    side = BOX_MARGIN * np.nanmax(np.nanmax(marked, 1) - np.nanmin(marked, 1), axis=1)[:, None]
    limbs = _Limbs(
        marked[:, HUMAN],
        _sure(movenet[:, 0, COCO], MOVENET_SCORE),
        _sure(movenet[:, 1, COCO], MOVENET_SCORE),
        _sure(blazepose[:, BLAZE], BLAZEPOSE_SCORE),
        side,
    )
    points, weights = np.full((len(human), COUNT, 2), np.nan), np.zeros((len(human), COUNT))
    points[:, OURS], weights[:, OURS], exchanged = _settle(limbs)
    mistaken = exchanged.sum(1) / np.maximum((exchanged | (weights[:, OURS] == 1)).sum(1), 1)
    weights[:, OURS] *= np.where((weights[:, OURS] < 1) & (mistaken[:, None] >= EXCHANGED_SHARE), 0, 1)
    _add_head(points, weights, marked, movenet, blazepose, side)
    _add_beyond(points, weights, limbs, blazepose)
    weights[~np.isfinite(points[..., 0])] = 0
    weights[mistaken >= 2 * EXCHANGED_SHARE] *= 0.5
    pairs, pair_weights = _pairs(points, weights, limbs.hand, exchanged)
    known = np.where(weights[..., None] > 0, points, np.nan)
    return PhotoLabels(
        np.nan_to_num(points).astype(np.float32),
        weights.astype(np.float32),
        np.nan_to_num(pairs).astype(np.float32),
        pair_weights.astype(np.float32),
        _boxes(np.concatenate([known, marked], axis=1)),
        *_solid(points[:, OURS], weights[:, OURS], side, blazepose, world),
    )


def _solid(
    points: np.ndarray, weights: np.ndarray, side: np.ndarray, blazepose: np.ndarray, world: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Depth (N, K), its weights, roots (N, 3, 3) and their weights, of limbs' points (N, 12, 2) and weights (N, 12).

    The root's axes are the hips' line and the trunk. Most of those whom BlazePose has right face the camera: each
    direction weighs as if it were about as common as any other, or a network takes every back for a front.
    """
    off = _distance(points, blazepose[:, BLAZE, :2]) / side
    known = (weights > BLAZEPOSE_HIGH_SCORE) & np.isfinite(off)
    right = known & (off < NEAR_OF_SIDE) & (blazepose[:, BLAZE, 2] > BLAZEPOSE_SCORE)
    wrong = known & (off > APART_OF_SIDE)
    good = (right[:, TRUNK].sum(1) >= len(TRUNK) - 1) & (wrong.sum(1) <= 1) & np.isfinite(world).all((1, 2))
    world = np.where(good[:, None, None], world, 0)
    depth, depth_weights = np.zeros((2, len(points), COUNT), np.float32)
    left_hip, right_hip, left_shoulder, right_shoulder = (world[:, BLAZE[row]] for row in TRUNK)
    hips = (left_hip + right_hip) / 2
    depth[:, OURS] = world[:, BLAZE, 2] - hips[:, None, 2]
    depth_weights[:, OURS] = DEPTH_WEIGHT * (good[:, None] & right)
    across = _unit(left_hip - right_hip)
    up = (left_shoulder + right_shoulder) / 2 - hips
    up = _unit(up - (up * across).sum(-1, keepdims=True) * across)
    roots = np.stack([across, up, np.cross(across, up)], axis=-1)
    roots[~good] = np.eye(3)
    yaw = np.arctan2(roots[:, 0, 2], -roots[:, 2, 2])
    sector = np.round(yaw / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    share = np.bincount(sector[good], minlength=SECTORS) / max(1, good.sum())
    even = np.clip(1 / SECTORS / np.maximum(share[sector], 1e-3), *EVENED)
    return depth, depth_weights, roots.astype(np.float32), (ROOT_WEIGHT * good * even).astype(np.float32)


def _settle(limbs: _Limbs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (N, 12, 2) and weights (N, 12) of the limbs' joints, and which the hand has on the wrong side."""
    hand, marked = limbs.hand, np.isfinite(limbs.hand[..., 0])
    votes = [limbs.same(hand, other) for other in limbs.networks]
    backed = np.any(votes, axis=0)
    shares = [np.ones_like(hand[..., 0])] + [0.5 * vote for vote in votes]
    place = sum(s[..., None] * np.nan_to_num(p) for s, p in zip(shares, (hand, *limbs.networks), strict=True))
    place = place / np.sum(shares, axis=0)[..., None]
    apart = _distance(hand, hand[:, OPPOSITE]) > APART_OF_SIDE * limbs.side
    crossed = sum(limbs.same(hand[:, OPPOSITE], other).astype(int) for other in limbs.networks) >= 2
    exchanged = marked & ~backed & apart & crossed
    united = limbs.same(limbs.near, limbs.far) & (
        limbs.same(limbs.near, limbs.blaze) | limbs.same(limbs.far, limbs.blaze)
    )
    alone, by_networks = marked & ~backed & ~exchanged & ~united, ~marked & united
    place = np.where(backed[..., None], place, hand)
    place = np.where(by_networks[..., None], (limbs.near + limbs.far) / 2, place)
    return place, backed * 1.0 + alone * ALONE_WEIGHT + by_networks * BY_NETWORKS_WEIGHT, exchanged


def _add_head(
    points: np.ndarray,
    weights: np.ndarray,
    marked: np.ndarray,
    movenet: np.ndarray,
    blazepose: np.ndarray,
    side: np.ndarray,
) -> None:
    """Neck and top by the hand where the face lies near; the face where the crops agree, near the top."""
    face, top = movenet[:, 0, :5, :2].mean(1), marked[:, HUMAN_TOP]
    unseen = movenet[:, 0, :5, 2].mean(1) < 0.35
    close = _distance(top, face) < 0.22 * side[:, 0]
    for ours, theirs in ((NECK, HUMAN_NECK), (TOP, HUMAN_TOP)):
        points[:, ours] = marked[:, theirs]
        weights[:, ours] = np.where(unseen, 0.5, np.where(close, 0.9, 0))
    for ours, coco, blaze in FACE:
        near, far = (_sure(movenet[:, crop, coco], BLAZEPOSE_SCORE) for crop in (0, 1))
        there = ~(_distance(top, near) >= 0.25 * side[:, 0])
        agreed = (_distance(near, far) < FACE_NEAR_OF_SIDE * side[:, 0]) & there
        third = _distance(near, blazepose[:, blaze, :2]) < FACE_NEAR_OF_SIDE * side[:, 0]
        points[:, ours] = (near + far) / 2
        weights[:, ours] = np.where(agreed, np.where(third, 1.0, 0.6), 0)


def _add_beyond(points: np.ndarray, weights: np.ndarray, limbs: _Limbs, blazepose: np.ndarray) -> None:
    """Heels, toes and hands by BlazePose, where it has the ankle or the wrist right."""
    for row, ours, landmarks in BEYOND:
        joint = points[:, OURS[row]]
        off = joint - limbs.blaze[:, row]
        right = (weights[:, OURS[row]] == 1) & (np.linalg.norm(off, axis=1) < FACE_NEAR_OF_SIDE * limbs.side[:, 0])
        points[:, ours] = blazepose[:, landmarks, :2].mean(1) + off / 2
        seen = blazepose[:, landmarks, 2].min(1) > BLAZEPOSE_HIGH_SCORE
        weights[:, ours] = np.where(right & seen, BEYOND_WEIGHT, 0)


def _pairs(
    points: np.ndarray, weights: np.ndarray, hand: np.ndarray, exchanged: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, P, 2, 2) of pairs and their weights (N, P): known by side, or only as two places."""
    places, out = np.zeros((len(points), PAIRS, 2, 2)), np.zeros((len(points), PAIRS))
    for number, (left, right) in enumerate(LEFT_RIGHT_PAIRS):
        if left not in OURS:
            continue
        rows = [OURS.index(left), OURS.index(right)]
        blind = np.all(exchanged[:, rows], axis=1)
        places[:, number] = np.where(blind[:, None, None], hand[:, rows], points[:, [left, right]])
        out[:, number] = np.where(blind, SIDES_UNKNOWN_WEIGHT, weights[:, [left, right]].min(1))
    return places, out


def _boxes(points: np.ndarray) -> np.ndarray:
    """(N, 4) around points (N, J, 2), some of them NaN."""
    low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    return np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)


def _sure(marks: np.ndarray, least: float) -> np.ndarray:
    """Marks (…, 3 or more) with a score of at least so much → (…, 2), NaN elsewhere."""
    return np.where(marks[..., 2:3] > least, marks[..., :2], np.nan).astype(np.float64)


def _unit(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # of who is not known, and is not asked for
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between points (…, 2); NaN, which is less than nothing, where one is missing."""
    return np.linalg.norm(a - b, axis=-1)
