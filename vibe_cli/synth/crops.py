"""Compose cut-outs with backgrounds, company and occluders into training crops, with labels that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from vibe_cli.geometry.skeleton import joints
from vibe_cli.networks.skeleton import MIRRORED_JOINTS, MIRRORED_KEYPOINTS
from vibe_cli.synth.clutter import hold_things, lay_clutter
from vibe_cli.synth.faults import bordered, degrade, smeared, tone_curve
from vibe_cli.synth.layers import Layer, Placement, with_fourth
from vibe_cli.synth.people import MARGIN, SIZE, Picture

# Points whose bounding box a tight crop may be cut to: upper body, head and arms, legs, head and hips.
CUTS = [
    joints("neck", "head", "shoulder", "elbow", "wrist", "spine1", "spine2", "spine3", "pelvis", "hip"),
    joints("neck", "head", "shoulder", "spine3", "spine2", "elbow", "hand"),
    joints("pelvis", "hip", "knee", "ankle"),
    joints("head", "shoulder", "neck", "wrist", "elbow", "pelvis", "hip", "knee"),
]
SCALE = 1.2  # side of a crop over the person's extent
WRISTS = joints("wrist")
SHOWN = 0.7  # of the body's upward axis in the picture's plane: who shows less is seen from the head or the feet
FLIP = np.array([-1.0, 1, 1], np.float32)
FIELDS = ("rotations", "betas", "points", "pixels")  # of Labels


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of N crops; K points."""

    rotations: np.ndarray  # (N, 24, 3, 3) float32
    betas: np.ndarray  # (N, 10)
    points: np.ndarray  # (N, K, 3) metres from the pelvis, camera axes
    pixels: np.ndarray  # (N, K, 2) in −1..1 of the crop


class CropSource:
    """Cut-outs of a work folder, composed anew at every call."""

    def __init__(self, folder: Path, name: str = "stills") -> None:
        stems = [p.with_suffix("") for p in sorted(folder.glob(f"{name}_*.npy"))]
        labels = [np.load(f"{stem}_labels.npz") for stem in stems]
        self._take(
            [np.load(f"{stem}.npy", mmap_mode="r") for stem in stems],
            Labels(*(np.concatenate([x[k] for x in labels]) for k in FIELDS)),
            np.load(folder / "backgrounds.npy", mmap_mode="r"),
        )

    @classmethod
    def of(cls, pictures: list[Picture], backgrounds: np.ndarray) -> CropSource:
        """The same from cut-outs in memory, with backgrounds (n, B, B, 3) uint8 BGR."""
        source = cls.__new__(cls)
        source._take(
            [np.stack([p.rgba for p in pictures])],
            Labels(*(np.stack([getattr(p, k) for p in pictures]).astype(np.float32) for k in FIELDS)),
            backgrounds,
        )
        return source

    def _take(self, images: list[np.ndarray], labels: Labels, backgrounds: np.ndarray) -> None:
        self.images, self.labels, self.backgrounds = images, labels, backgrounds
        self.ends = np.cumsum([len(i) for i in images])
        inside = (self.labels.pixels[:, :24] > 0) & (self.labels.pixels[:, :24] < SIZE)
        self.whole = np.all(inside, axis=(1, 2))
        self.complete = np.flatnonzero(self.whole)
        self.frontal = np.flatnonzero(self.labels.rotations[:, 0, 0, 0] > 0.5)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def cutout(self, index: int) -> np.ndarray:
        """(SIZE, SIZE, 4) premultiplied BGRA."""
        part = int(np.searchsorted(self.ends, index, "right"))
        return np.ascontiguousarray(self.images[part][index - (self.ends[part - 1] if part else 0)])

    def draw(self, rng: np.random.Generator, count: int, frontal: float) -> np.ndarray:
        """(count,) random indices, a share `frontal` of them facing the camera."""
        index = rng.integers(len(self), size=count)
        front = rng.random(count) < frontal
        index[front] = rng.choice(self.frontal, front.sum())
        return index

    def batch(
        self, rng: np.random.Generator, index: np.ndarray, size: int, augment: bool = True, easy: float = 0.0
    ) -> tuple[np.ndarray, Labels]:
        """Compose crops (N, size, size, 3) uint8 RGB of the people at `index`, with their labels.

        A share `easy` of them shows the whole person, alone, clearly.
        """
        placed = [self._compose(rng, int(i), size, augment, rng.random() < easy) for i in index]
        crops = (smeared(crop, -p.angle if p.flip else p.angle) if p.stood_up else crop for crop, p in placed)
        return (
            np.stack([cv2.cvtColor(crop, cv2.COLOR_BGR2RGB) for crop in crops]),
            move_labels(self.labels, index, [p for _, p in placed]),
        )

    def masked(self, rng: np.random.Generator, index: int, size: int) -> tuple[np.ndarray, np.ndarray, Placement]:
        """One crop (size, size, 3) uint8 RGB, how much of a pixel is the person (size, size) uint8, and its place."""
        image, place = self._compose(rng, index, size, augment=True, masked=True)
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB), cv2.extractChannel(image, 3), place

    def clip(self, rng: np.random.Generator, first: int, length: int, size: int) -> tuple[np.ndarray, Labels]:
        """Compose a clip's frames, (length, size, size, 3) uint8 RGB, on one background under one camera's defects.

        The crop follows the person as a tracker's boxes do: nearly, not exactly.
        """
        state, half = int(rng.integers(1 << 31)), SIZE / 2 * SCALE / MARGIN * math.exp(rng.uniform(-0.15, 0.2))
        angle, flip = rng.normal() * 0.1 if rng.random() < 0.3 else 0.0, rng.random() < 0.5
        wander = _smooth_noise(rng, length, 3) * [0.06, 0.06, 0.06]
        shift = rng.uniform(-0.08, 0.08, 2)
        background = self._background(rng, size)
        hidden = slice(*np.sort(rng.integers(0, length + 1, 2))) if rng.random() < 0.3 else slice(0, 0)
        blocked = self._occlude(rng, np.zeros((size, size, 3), np.uint8))
        frames, places = [], []
        for t in range(length):
            centre = SIZE / 2 + (shift + wander[t, :2]) * half
            place = Placement(centre, half * math.exp(wander[t, 2]), angle, flip)
            image = background.copy()
            place.layer(self.cutout(first + t), size).lay(image)
            if hidden.start <= t < hidden.stop:
                image = np.where(blocked.any(axis=-1, keepdims=True), blocked, image)
            frames.append(cv2.cvtColor(degrade(np.random.default_rng(state), image), cv2.COLOR_BGR2RGB))
            places.append(place)
        return np.stack(frames), move_labels(self.labels, np.arange(first, first + length), places)

    def _compose(
        self, rng: np.random.Generator, index: int, size: int, augment: bool, easy: bool = False, masked: bool = False
    ) -> tuple[np.ndarray, Placement]:
        """A crop (size, size, 3) uint8 BGR of a person, and their place in it.

        Not augmented it shows them as they were drawn, `easy` whole and clearly, else among others, hidden in part and
        through a camera's defects. A `masked` one has how much of a pixel is the person as a fourth channel.
        """
        if not augment:
            place, image = Placement(np.full(2, SIZE / 2), SIZE / 2 * SCALE / MARGIN), self._background(rng, size)
            place.layer(self.cutout(index), size).lay(image)
            return image, place
        place = _place(rng, self.labels.pixels[index], easy, bool(self.whole[index]))
        place = place if masked else _stand_up(rng, place, self.labels.rotations[index, 0])
        cutout = self.cutout(index)
        if rng.random() < 0.6:  # a lens draws no hard edges; premultiplied, colour and mask soften alike
            cutout = cv2.GaussianBlur(cutout, (3, 3), rng.uniform(0.4, 0.9))
        person, image = place.layer(cutout, size), self._background(rng, size)
        if easy:
            person.lay(image)
            return cv2.LUT(self._cut_off(rng, image, place, cutout[..., 3]), tone_curve(rng)), place
        wrists = place.points(self.labels.pixels[index])[WRISTS]
        image = self._cut_off(rng, self._among(rng, image, person, place, wrists, masked), place, cutout[..., 3])
        if rng.random() < 0.15:
            lay_clutter(rng, image)
        return _spoilt(rng, image, masked), place

    def _among(
        self,
        rng: np.random.Generator,
        image: np.ndarray,
        person: Layer,
        place: Placement,
        wrists: np.ndarray,
        masked: bool,
    ) -> np.ndarray:
        """The person laid on a background among others, behind and before them, with things held and in the way."""
        size = len(image)
        if rng.random() < 0.1:  # a crowd far behind
            for _ in range(int(rng.integers(3, 9))):
                self._somebody(rng, place.half * rng.uniform(1.6, 4), size).lay(image)
        company, before = self._company(rng, place.half, size)
        for other, near in zip(company, before, strict=True):
            if not near:
                other.lay(image)
        person.lay(image)
        if masked:  # a fourth channel goes through all that follows
            image = with_fourth(image, person.opacity(size))
        if rng.random() < 0.15:
            hold_things(rng, image, wrists)
        for other, near in zip(company, before, strict=True):
            if near:
                other.lay(image)
        return self._occlude(rng, image) if rng.random() < 0.3 else image

    def _cut_off(self, rng: np.random.Generator, image: np.ndarray, place: Placement, alpha: np.ndarray) -> np.ndarray:
        """The occluder of a person who is seen in part: the picture's end, a table, a wall, or nothing."""
        if place.ends is None:
            return image
        size = len(image)
        unit, matrix = np.arange(size) * 2 / size - 1, place.matrix()
        left, top, right, bottom = place.ends.astype(int).clip(1, SIZE - 2)
        for axis, sign, end, beyond in (
            (0, -1, left, alpha[:, :left]),
            (1, -1, top, alpha[:top]),
            (0, 1, right, alpha[:, right:]),
            (1, 1, bottom, alpha[bottom:]),
        ):
            kind = rng.random()
            if kind > 0.75 or not beyond.any():
                continue
            tilt = 0.0 if kind < 0.4 else rng.normal(0, 0.1)
            # how far a pixel lies beyond, of which a column and a row each have their share
            column, row = sign * (matrix[axis, :2] + tilt * matrix[1 - axis, :2])
            start = sign * (place.centre[axis] + tilt * (place.centre[1 - axis] - SIZE / 2) - end) - rng.normal(0, 2)
            hidden = (unit * column + (unit * row + start)[:, None] > 0).view(np.uint8)
            cover = np.zeros_like(image) if kind < 0.4 else self._background(rng, size, image.shape[2])
            image = cv2.copyTo(cover, hidden, image.copy())
        return image

    def _background(self, rng: np.random.Generator, size: int, channels: int = 3) -> np.ndarray:
        source, share = self.backgrounds[rng.integers(len(self.backgrounds))], rng.uniform(0.35, 1)
        half = share * len(source) / 2
        centre = len(source) / 2 + rng.uniform(-1, 1, 2) * (len(source) / 2 - half)
        image = Placement(centre, half, flip=rng.random() < 0.5).sample(np.ascontiguousarray(source), size)
        if rng.random() < 0.5:
            image = image.take(rng.permutation(3), axis=2)
        return image if channels == 3 else with_fourth(image)

    def _company(self, rng: np.random.Generator, half: float, size: int) -> tuple[list[Layer], list[bool]]:
        """Who is near the person, and which of them are nearer to the camera: nobody, a few, or a throng.

        In a throng those in front stand aside, or the crop would be of them.
        """
        if rng.random() < 0.12:
            before = [rng.random() < 0.35 for _ in range(int(rng.integers(3, 7)))]
            return [self._somebody(rng, half, size, 0.85, 0.24 * near) for near in before], before
        company = [self._somebody(rng, half, size) for _ in range(rng.choice(4, p=(0.55, 0.27, 0.12, 0.06)))]
        return company, [rng.random() < 0.25 for _ in company]

    def _somebody(
        self, rng: np.random.Generator, half: float, size: int, spread: float = 1.12, aside: float = 0.0
    ) -> Layer:
        """Somebody else within `spread` and farther than `aside` to the side, in shares of SIZE."""
        away = rng.uniform(-0.5, 0.5, 2) * [spread, 0.45]
        away[0] = np.copysign(max(abs(away[0]), aside), away[0])
        centre = SIZE / 2 + away * SIZE
        place = Placement(centre, half * math.exp(rng.uniform(-0.3, 0.5)), rng.normal() * 0.15, rng.random() < 0.5)
        return place.layer(self.cutout(int(rng.choice(self.complete))), size)

    def _occlude(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        size = len(image)
        mask, centre = np.zeros((size, size), np.uint8), tuple(int(v) for v in rng.integers(0, size, 2))
        a, b, angle = (
            int(rng.uniform(0.04, 0.25) * size),
            int(rng.uniform(0.03, 0.18) * size),
            float(rng.uniform(0, 180)),
        )
        if rng.random() < 0.5:
            cv2.ellipse(mask, centre, (a, b), angle, 0, 360, 1, -1)
        else:
            cv2.fillPoly(mask, [cv2.boxPoints((centre, (2 * a, 2 * b), angle)).astype(np.int32)], 1)
        return cv2.copyTo(self._background(rng, size, image.shape[2]), mask, np.array(image))


def move_labels(labels: Labels, index: np.ndarray, places: list[Placement]) -> Labels:
    """The labels at `index` as the crops show them: turned in the plane and mirrored."""
    rotations, points = labels.rotations[index].copy(), labels.points[index].copy()
    pixels = np.stack([p.points(labels.pixels[i]) for p, i in zip(places, index, strict=True)]).astype(np.float32)
    angle = np.array([p.angle for p in places])
    turn = np.zeros((len(index), 3, 3), np.float32)
    turn[:, 0, 0], turn[:, 0, 1] = np.cos(angle), np.sin(angle)
    turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = -np.sin(angle), np.cos(angle), 1
    rotations[:, 0] = turn @ rotations[:, 0]
    points = points @ turn.swapaxes(1, 2)
    moved, flip = Labels(rotations, labels.betas[index], points, pixels), np.array([p.flip for p in places])
    mirrored = mirror_labels(moved)
    for name in ("rotations", "points"):
        getattr(moved, name)[flip] = getattr(mirrored, name)[flip]
    pixels[flip] = pixels[flip][:, MIRRORED_KEYPOINTS]  # Placement.points has mirrored the coordinate already
    return moved


def mirror_labels(labels: Labels) -> Labels:
    """The labels of the mirrored crops."""
    return Labels(
        FLIP[:, None] * labels.rotations[:, MIRRORED_JOINTS] * FLIP,
        labels.betas,
        (labels.points * FLIP)[:, MIRRORED_KEYPOINTS],
        (labels.pixels * FLIP[:2])[:, MIRRORED_KEYPOINTS],
    )


def _spoilt(rng: np.random.Generator, image: np.ndarray, masked: bool) -> np.ndarray:
    """A crop with a camera's defects; its mask, where it has one as a fourth channel, stays sharp."""
    if not masked:
        return bordered(rng, degrade(rng, image, borders=False))
    seen = degrade(rng, cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), borders=False)
    return bordered(rng, with_fourth(seen, cv2.extractChannel(image, 3)))


def _place(rng: np.random.Generator, pixels: np.ndarray, easy: bool, whole: bool) -> Placement:
    """A crop of a cut-out as a detector's box would be: `whole` says that the cut-out shows all of the person."""
    half = SIZE / 2 * SCALE / MARGIN * math.exp(rng.uniform(-0.28, 0.18))
    angle = rng.normal() * 0.2 if rng.random() < 0.5 else 0.0
    flip = rng.random() < 0.5
    centre = SIZE / 2 + rng.uniform(-0.15, 0.15, 2) * half
    if not whole:
        edge = SIZE / 2 / MARGIN * math.exp(rng.uniform(-0.1, 0.15))
        return Placement(centre, half, angle, flip, SIZE / 2 + np.array([-edge, -edge, edge, edge]))
    if not easy and rng.random() < 0.15:  # only a part of the person is in the box
        seen = pixels[CUTS[rng.integers(len(CUTS))]]
        low, high = seen.min(axis=0), seen.max(axis=0)
        centre = (low + high) / 2 + rng.normal(size=2) * 4
        half = max(float((high - low).max()) * 0.6 * math.exp(rng.uniform(-0.15, 0.25)), 22.0)
        return Placement(centre, half, angle, flip, np.concatenate([low - 3, high + 3]))
    return Placement(centre, half, angle, flip)


def _stand_up(rng: np.random.Generator, place: Placement, root: np.ndarray) -> Placement:
    """The crop turned so that somebody who lies or hangs, by their root rotation (3, 3), nearly stands, or as it is.

    Half of them, as the second look at such people sees them (networks/rotation_tta.py).
    """
    import torch  # here, since whoever only draws starts without it in a fifth of the time

    from vibe_cli.networks.rotation_tta import LEAN_RAD, room

    lean = math.atan2(root[0, 1], -root[1, 1])
    if abs(lean) < LEAN_RAD or np.hypot(root[0, 1], root[1, 1]) < SHOWN or rng.random() < 0.5:
        return place
    found = lean + rng.normal(0, 0.3)
    wider = float(room(torch.tensor(found, dtype=torch.float64)))
    return replace(place, angle=found, half=place.half * wider, stood_up=True)


def _smooth_noise(rng: np.random.Generator, length: int, columns: int) -> np.ndarray:
    """(length, columns) of slow noise of about unit size."""
    knots = max(2, length // 6 + 2)
    at = np.linspace(0, knots - 1, length)
    return np.stack([np.interp(at, np.arange(knots), rng.normal(size=knots)) for _ in range(columns)], axis=1)
