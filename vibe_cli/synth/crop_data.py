"""Crops with exact labels: as `vibe synth crops` writes them, and block by block for whoever trains on fresh ones.

OUT/images/000000.jpg …    the crops, RGB
OUT/labels.npz             N of them; `header` is JSON that says what the rest is
    pose (N, 24, 3)        axis-angle, radians; joint 0 is the root, in camera axes (x right, y down, z forward)
    betas (N, 10)          of the open body; of a child the nearest, which are not its shape
    joints24_m, joints49_m (N, J, 3)    metres from the pelvis, camera axes
    joints24_px, joints49_px (N, J, 2)  pixels of the crop; the first pixel's centre is (0.5, 0.5)
    visible24, visible49 (N, J)         bool: in the crop, and neither hidden by the own body nor by anything else
    boxes (N, 4)           centre x, centre y, width, height of what is seen of the person; zeros where nothing is
    masks (N, S, S/8)      uint8, np.packbits along the rows: the pixels that are the person

Joints are those of what is drawn. Half of the crops are mirrored, and the body is not quite the same on both sides:
what pose and betas make of it is then up to 6 mm from there, and of a child up to 35 mm.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.networks.skeleton import KEYPOINTS_OF_54, MIRRORED_KEYPOINTS
from vibe_cli.results import AXES, write_npz
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.crops import CropSource, Labels, move_labels
from vibe_cli.synth.labels import flesh_depth, mask_box
from vibe_cli.synth.layers import Placement
from vibe_cli.synth.people import FRAMED, FRAMED_SHARES, Picture, draw_look, draw_poses
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.poses import PoseBank, view
from vibe_cli.synth.scenery import place
from vibe_cli.synth.studio import Studio

FORMAT, VERSION = "vibe-synth-crops", 1
BLOCK = 96  # crops that are drawn together: they are each other's company
POSES_A_LOOK = 3  # a look costs nearly as much as drawing a pose of it
BACKGROUNDS = 8  # of a block, of 192 px, which are fast: each is cut, turned and coloured anew for every crop
CLOSE = 0.15  # share of the crops that frame a part of the person
QUALITY = 95  # JPEG's
JOINTS = {"24": list(range(24)), "49": [KEYPOINTS_OF_54.index(k) for k in JOINTS_49]}


@dataclass(frozen=True, eq=False)
class Block:
    """N crops of S pixels."""

    crops: np.ndarray  # (N, S, S, 3) uint8 RGB
    masks: np.ndarray  # (N, S, S)    uint8: how much of a pixel is the person
    labels: Labels  # `pixels` in −1..1, where pixel d lies at 2d / S − 1
    visible: np.ndarray  # (N, 44)      bool


def draw_people(
    rng: np.random.Generator, body: SynthBody, bank: PoseBank, pictures: Pictures, count: int, close: float = CLOSE
) -> list[Picture]:
    """Cut-outs of people, POSES_A_LOOK poses of each, `count` in all; a share `close` of them in part."""
    out: list[Picture] = []
    while len(out) < count:
        look = draw_look(rng, body, pictures)
        poses: list[tuple[np.ndarray, list[int] | None]] = []
        for _ in range(min(POSES_A_LOOK, count - len(out))):
            turn, pose = view(rng), bank.pose(rng)
            pose[0] = turn @ pose[0]
            whole = not (out or poses) or rng.random() >= close  # the first, that there be somebody for company
            poses.append((pose, None if whole else FRAMED[rng.choice(len(FRAMED), p=FRAMED_SHARES)]))
        out += draw_poses(body, look, poses)
    return out


def draw_block(
    rng: np.random.Generator, body: SynthBody, bank: PoseBank, pictures: Pictures, count: int, size: int
) -> Block:
    """Draw people and compose a crop of each."""
    people = draw_people(rng, body, bank, pictures, count)
    backgrounds = np.stack([place(rng, pictures) for _ in range(min(BACKGROUNDS, count))])
    source, flesh = CropSource.of(people, backgrounds), flesh_depth(body)
    made = [source.masked(rng, i, size) for i in range(count)]
    labels = move_labels(source.labels, np.arange(count), [placed for _, _, placed in made])
    visible = [_visible(people[i], flesh, mask, placed, labels.pixels[i]) for i, (_, mask, placed) in enumerate(made)]
    return Block(
        np.stack([crop for crop, _, _ in made]), np.stack([mask for _, mask, _ in made]), labels, np.stack(visible)
    )


def _visible(person: Picture, flesh: np.ndarray, mask: np.ndarray, placed: Placement, pixels: np.ndarray) -> np.ndarray:
    """(44,) bool, of points `pixels` (44, 2) in −1..1 of the crop."""
    own = person.behind <= flesh
    own = own[MIRRORED_KEYPOINTS] if placed.flip else own
    at = np.rint((pixels + 1) / 2 * len(mask)).astype(int)
    inside = np.all((at >= 0) & (at < len(mask)), axis=1)
    x, y = np.where(inside[:, None], at, 0).T
    return inside & own & (cv2.dilate(mask, np.ones((3, 3), np.uint8))[y, x] > 127)


def write_crops(
    studio: Studio, number: int, folder: Path, count: int, size: int, seed: int, held_out: bool = False
) -> dict[str, np.ndarray]:
    """Draw block `number` of `count` crops in all, write its images into `folder`/images, return its labels."""
    first = number * BLOCK
    rng = np.random.default_rng([seed, number])
    bank = studio.held_out if held_out else studio.bank
    # always a whole block, so that the crops do not depend on how many are asked for
    block = draw_block(rng, studio.body, bank, studio.pictures, BLOCK, size)
    keep = min(BLOCK, count - first)
    for i, crop in enumerate(block.crops[:keep]):
        cv2.imwrite(
            str(folder / "images" / f"{first + i:06d}.jpg"),
            cv2.cvtColor(crop, cv2.COLOR_RGB2BGR),
            [cv2.IMWRITE_JPEG_QUALITY, QUALITY],
        )
    seen = block.masks > 127
    rotations = Rotation.from_matrix(block.labels.rotations.reshape(-1, 3, 3).astype(float)).as_rotvec()
    pixels = (block.labels.pixels + 1) / 2 * size + 0.5
    values = {
        "pose": rotations.reshape(-1, 24, 3),
        "betas": block.labels.betas,
        "boxes": np.stack([mask_box(mask) for mask in seen]),
    }
    for name, index in JOINTS.items():
        values |= {f"joints{name}_m": block.labels.points[:, index], f"joints{name}_px": pixels[:, index]}
    out = {name: value[:keep].astype(np.float32) for name, value in values.items()}
    out |= {f"visible{name}": block.visible[:keep, index] for name, index in JOINTS.items()}
    return out | {"masks": np.packbits(seen[:keep], axis=-1)}


def write_crop_labels(folder: Path, parts: list[dict[str, np.ndarray]], size: int, seed: int) -> None:
    """Write labels.npz of all blocks."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "size": size,
        "seed": seed,
        "body": "open",
        "axes": AXES,
        "images": "images/%06d.jpg",
        "pixels": "the first pixel's centre is (0.5, 0.5)",
    }
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    write_npz(folder / "labels.npz", {"header": np.array(json.dumps(header)), **arrays})
