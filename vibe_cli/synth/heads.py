"""Faces, hair, hats and glasses, as colours and displacements of a body's vertices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.geometry.skeleton import JOINT, joints
from vibe_cli.synth.textures import colour, waves

if TYPE_CHECKING:
    from vibe_cli.synth.bodies import SynthBody

HAIR = np.array([0.08, 0.1, 0.13])  # BGR, times up to 2.5
HEAD = JOINT["head"]


def add_face(rng: np.random.Generator, body: SynthBody, colours: np.ndarray) -> None:
    """Eyes, brows, lips, perhaps a beard or glasses, painted on the head's vertices in place.

    `colours` (V, 3) BGR.
    """
    points, eye, ear = body.vertices, body.face_landmarks["eye"], body.face_landmarks["ear"]
    front = np.flatnonzero(body.moved_by(HEAD) & (points[:, 2] > ear[2] + 0.02))
    side, rise = np.abs(points[front, 0]), points[front, 1] - eye[1]
    dark, tones = HAIR * rng.uniform(0.1, 2), colours[front]
    skin = tones.mean(axis=0)

    def paint(where: np.ndarray, tone: np.ndarray, share: float) -> None:
        tones[where] = tones[where] * (1 - share) + tone * share

    paint((side - eye[0]) ** 2 / 0.026**2 + (rise - 0.004) ** 2 / 0.016**2 < 1, skin * 0.6, 0.6)  # sockets
    paint((side - eye[0]) ** 2 / 0.014**2 + rise**2 / 0.008**2 < 1, dark * 0.5, 0.85)
    paint((np.abs(side - eye[0]) < 0.024) & (np.abs(rise - 0.024) < 0.006), dark, rng.uniform(0.2, 0.9))
    paint((side < 0.024) & (np.abs(rise + 0.072) < 0.008), skin * [0.6, 0.55, 0.85], rng.uniform(0.3, 0.9))
    if rng.random() < 0.2:
        chin = (rise < -0.055 - rng.uniform(0, 0.02)) | ((side > 0.04) & (rise < -0.03))
        paint(chin, dark, rng.uniform(0.3, 0.9))
    if rng.random() < 0.15:
        paint((np.abs(rise) < rng.uniform(0.012, 0.026)) & (side < 0.065), colour(rng) * 0.3, rng.uniform(0.5, 1))
    colours[front] = tones


def add_hair(rng: np.random.Generator, body: SynthBody, colours: np.ndarray, displacement: np.ndarray) -> None:
    """Hair, a hood, a cap or a helmet on the scalp, in place; `displacement` (V,) metres along the normal."""
    points, eye, ear = body.vertices, body.face_landmarks["eye"], body.face_landmarks["ear"]
    head = body.moved_by(HEAD)
    if rng.random() < 0.9:
        line = 0.045 + rng.uniform(-0.005, 0.02)
        scalp = head & (
            (points[:, 1] > eye[1] + line)
            | ((points[:, 2] < ear[2] + rng.uniform(-0.01, 0.02)) & (points[:, 1] > ear[1] - 0.05))
        )
        tone = HAIR * rng.uniform(0.1, 2.5) if rng.random() < 0.7 else colour(rng) * 0.8
        colours[scalp] = tone * (1 + 0.5 * waves(rng, points[scalp], 60)[:, None])
        displacement[scalp] += rng.uniform(0, 0.03)
        if rng.random() < 0.35:
            long = (
                (points[:, 2] < ear[2] + 0.01)
                & (points[:, 1] > 0.33 + rng.uniform(0, 0.15))
                & (np.abs(points[:, 0]) < 0.11)
                & body.moved_by(*joints("spine3", "neck", "collar", "head"))
            )
            colours[long] = tone * (1 + 0.4 * waves(rng, points[long], 60)[:, None])
            displacement[long] += rng.uniform(0.01, 0.035)
    if rng.random() < 0.3:
        _add_hat(rng, points, eye, ear, head, colours, displacement)


def _add_hat(
    rng: np.random.Generator,
    points: np.ndarray,
    eye: np.ndarray,
    ear: np.ndarray,
    head: np.ndarray,
    colours: np.ndarray,
    displacement: np.ndarray,
) -> None:
    kind, cover = rng.random(), eye[1] + rng.uniform(0.03, 0.055)
    hat = head & (points[:, 1] > cover)
    if kind < 0.35:  # a hood or helmet that leaves the face
        hat = head & ((points[:, 1] > cover) | (points[:, 2] < ear[2] + rng.uniform(0.0, 0.05)))
    elif kind < 0.7:  # a cap with its peak, in front or behind
        front = 1 if rng.random() < 0.85 else -1
        peak = (
            head
            & (np.abs(points[:, 1] - cover) < 0.012)
            & (front * points[:, 2] > 0.07)
            & (np.abs(points[:, 0]) < 0.06)
        )
        displacement[peak] += 0.06
        hat |= peak
    colours[hat] = colour(rng) * (1 + 0.1 * waves(rng, points[hat], 20)[:, None])
    displacement[hat] += rng.uniform(0.005, 0.04)
