"""Where the shipped models fail, as one picture each beside their cards: the worst of the recipe's held-out people.

usage: python benchmarks/failures.py WORK MODEL [MODEL …]

WORK is the recipe's work folder. Of an encoder: the crops whose keypoints are farthest off, found beside true. Of a
temporal model: of the worst clips the worst frame (PA-MPJPE), the crop, the estimate over it, and estimate and truth
from the side. Of a detector: the scenes with most people missed and most false finds, at the tracker's least score.
Writes MODEL's folder/failures.jpg.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from vibe_cli.datasets import open_dataset
from vibe_cli.datasets.features import Features, load_encoder
from vibe_cli.datasets.sequence import Sequence
from vibe_cli.evaluation.motion import compare, recover_sequence
from vibe_cli.evaluation.people import RIGHT
from vibe_cli.evaluation.truth import FACINGS, LSP, Geometry
from vibe_cli.geometry import boxes as box_maths
from vibe_cli.geometry.camera import crop_to_image_camera
from vibe_cli.geometry.skeleton import EVALUATION_14
from vibe_cli.options import RAW
from vibe_cli.rendering.place import from_the_side
from vibe_cli.rendering.renderer import Mesh, Renderer
from vibe_cli.synth.scenes import SceneSource
from vibe_cli.training.detector import MIN_VISIBLE
from vibe_cli.zoo.reader import Entry, find_model, load_detector, load_model

SIDE, ROWS, COLUMNS, QUALITY = 176, 3, 2, 82
LIMBS = [(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (2, 3), (8, 9), (12, 13), (2, 8), (3, 9)]
LEFT, RIGHT_HAND, MIDDLE = (90, 200, 255), (255, 150, 60), (240, 240, 240)  # RGB
SCENES, SURE = 60, 0.4  # scenes looked at, and the score from which a find counts


def main(work: Path, names: list[str]) -> None:
    """Draw a picture for each model; what an encoder sees is kept while they are drawn, for those that share it."""
    with TemporaryDirectory() as kept:
        features = Features(Path(kept), "failures", 16, print)
        for name in names:
            entry = find_model(name)
            draw = {"encoder": encoder_sheet, "temporal": temporal_sheet, "detector": detector_sheet}[entry.task]
            target = entry.folder / "failures.jpg"
            cv2.imwrite(str(target), draw(work, entry, features)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            print(target)


def encoder_sheet(work: Path, entry: Entry, features: Features) -> np.ndarray:
    """Crops with found and with true keypoints."""
    encoder, worst = load_encoder(entry, torch.device("cpu"), torch.float32), []
    for sequence in open_dataset("synthetic", work, "heldclips", None, size=encoder.crop_size):
        found = features.of(sequence, encoder).keypoints[:, EVALUATION_14, :2]
        true = sequence.joints2d[:, EVALUATION_14]
        off = np.linalg.norm(found - true[..., :2], axis=-1)
        error = np.nanmean(np.where(true[..., 2] > 0, off, np.nan), axis=1)
        row = int(np.nanargmax(error))
        picture = picture_of(sequence, row)
        scale = SIDE / encoder.crop_size
        tiles = [picture, with_limbs(picture, found[row] * scale), with_limbs(picture, true[row, :, :2] * scale)]
        worst.append((error[row], captioned(tiles, f"{error[row]:.0f} px of {encoder.crop_size}: found, true")))
    return sheet(worst)


def temporal_sheet(work: Path, entry: Entry, features: Features) -> np.ndarray:
    """Crops, estimates over them, and both bodies from the side."""
    model, geometry, worst = load_model(entry.name, device="cpu"), Geometry(), []
    with Renderer(SIDE, SIDE, "software") as renderer:
        for sequence in open_dataset("synthetic", work, "heldclips", None, size=model.crop_size):
            truth = geometry.truth_of(sequence, LSP)
            person = recover_sequence(features.of(sequence, model), model, RAW, sequence.fps)
            joints, vertices = geometry.posed(model.body, person.pose, np.tile(person.betas, (len(person), 1)), LSP)
            error = compare(sequence.name, joints, vertices, model.body.kind, truth).aligned.mean(axis=1)
            row = int(error.argmax())
            camera = crop_to_image_camera(person.camera, person.boxes, model.crop_size, model.crop_size)[row]
            picture = picture_of(sequence, row)
            aside = [
                renderer.render_frame(
                    None, [Mesh(from_the_side(body[row]), [0.85, 0.85, 0, 0], number)], model.body.faces, "plain"
                )
                for number, body in ((1, vertices), (3, truth.vertices))
            ]
            tiles = [
                picture,
                renderer.render_frame(picture, [Mesh(vertices[row], camera, 1)], model.body.faces),
                *aside,
            ]
            worst.append(
                (
                    error[row],
                    captioned(tiles, f"{error[row]:.0f} mm, {FACINGS[truth.facing[row]]}: found, from the side, true"),
                )
            )
    return sheet(worst)


def detector_sheet(work: Path, entry: Entry, features: Features) -> np.ndarray:
    """Scenes: found people green, missed ones yellow, false finds red."""
    detector, _ = load_detector(entry.name, torch.device("cpu"))
    scenes, rng, rows = SceneSource(work, 256), np.random.default_rng(99), []
    for _ in range(SCENES):
        image, wanted, visible = scenes.scene(rng)
        found = detector.detect([image])[0]
        finds = found.boxes[found.scores >= SURE]
        overlap = box_maths.iou(finds, wanted)
        right, met = overlap.max(axis=1, initial=0) > RIGHT, overlap.max(axis=0, initial=0) > RIGHT
        seen = visible >= MIN_VISIBLE
        picture = cv2.resize(image, (SIDE * 2, SIDE * 2), interpolation=cv2.INTER_CUBIC)
        for group, colour in (
            (finds[right], (80, 220, 80)),
            (wanted[seen & ~met], (255, 220, 0)),
            (finds[~right], (255, 60, 60)),
        ):
            for x, y, width, height in group * SIDE * 2 / len(image):
                low, high = (int(x - width / 2), int(y - height / 2)), (int(x + width / 2), int(y + height / 2))
                cv2.rectangle(picture, low, high, colour, 2)
        missed, false = int((seen & ~met).sum()), int((~right).sum())
        rows.append((missed + false, captioned([picture], f"{missed} missed (yellow), {false} false (red)")))
    return sheet(rows)


def picture_of(sequence: Sequence, row: int) -> np.ndarray:
    """One frame of a clip as a tile."""
    (image,) = sequence.frames.read(row, row + 1)
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def with_limbs(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """LSP's 14 points (14, 2) drawn as limbs, the person's left light blue, the right orange."""
    picture = picture.copy()
    for a, b in LIMBS:
        ends = [tuple(int(v) for v in points[end]) for end in (a, b)]
        left = all(end in (3, 4, 5, 9, 10, 11) for end in (a, b))
        right = all(end in (0, 1, 2, 6, 7, 8) for end in (a, b))
        cv2.line(picture, *ends, LEFT if left else RIGHT_HAND if right else MIDDLE, 2, cv2.LINE_AA)
    return picture


def captioned(tiles: list[np.ndarray], text: str) -> np.ndarray:
    """Tiles side by side above a line of text."""
    row = np.concatenate(tiles, axis=1)
    foot = np.full((22, row.shape[1], 3), 255, np.uint8)
    cv2.putText(foot, text, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)
    return np.concatenate([row, foot])


def sheet(rows: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """The worst in a grid."""
    best = [picture for _, picture in sorted(rows, key=lambda row: -row[0])[: ROWS * COLUMNS]]
    best += [np.full_like(best[0], 255)] * (-len(best) % COLUMNS)
    lines = [np.concatenate(best[k : k + COLUMNS], axis=1) for k in range(0, len(best), COLUMNS)]
    return np.concatenate(lines)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
