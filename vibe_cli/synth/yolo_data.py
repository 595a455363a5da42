"""Whole pictures labelled as ultralytics reads them, for detection or for pose.

OUT/data.yaml                       train with it: yolo detect train data=OUT/data.yaml
OUT/images/{train,val}/000000.jpg   val shows motions that train never does
OUT/labels/{train,val}/000000.txt   a line a person: 0, centre x, centre y, width, height as shares of the picture, of
                                    what is seen; for pose then COCO's 17 keypoints as x, y and 2 seen, 1 hidden, 0 out
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from vibe_cli.networks.skeleton import COCO_OF_KEYPOINTS, MIRRORED_KEYPOINTS
from vibe_cli.run_folder import replacing_file
from vibe_cli.synth.film import Frame, Labels, draw_faults, film
from vibe_cli.synth.stage import SceneOptions, build_scene
from vibe_cli.synth.studio import Studio

SHAPES = ((1, 1), (1, 0.75), (1, 0.5625), (0.75, 1), (0.5625, 1))  # width and height over the longer side
NOBODY = 0.08  # share of the pictures
SEEN_FROM = 0.12  # of a person's own pixels; who shows less is not labelled
SMALLEST = 6  # pixels of a labelled box's longer side
QUALITY = 93  # JPEG's


@dataclass(frozen=True)
class YoloOptions:
    """Options of what is to be written."""

    count: int
    size: int = 640  # pixels of the longer side
    val: float = 0.1  # share of the pictures that are kept for validation
    pose: bool = False  # keypoints as well
    seed: int = 0

    def is_val(self, number: int) -> bool:
        """Whether a picture is for validation: evenly spread, whatever the count."""
        return int((number + 1) * self.val + 1e-9) > int(number * self.val + 1e-9)


def write_picture(studio: Studio, number: int, folder: Path, options: YoloOptions) -> int:
    """Draw picture `number` and write it with its labels; how many people are labelled."""
    rng = np.random.default_rng([options.seed, number])
    wide, tall = SHAPES[rng.integers(len(SHAPES))]
    wanted = SceneOptions(round(options.size * wide), round(options.size * tall))
    val = options.is_val(number)
    scene = build_scene(rng, studio.body, studio.held_out if val else studio.bank, studio.pictures, wanted)
    if rng.random() < NOBODY:
        scene = replace(scene, actors=[])
    frame = next(film(rng, scene, draw_faults(rng)))
    split = "val" if val else "train"
    lines = label_lines(frame, options.pose)
    cv2.imwrite(
        str(folder / "images" / split / f"{number:06d}.jpg"),
        frame.image[..., ::-1],
        [cv2.IMWRITE_JPEG_QUALITY, QUALITY],
    )
    (folder / "labels" / split / f"{number:06d}.txt").write_text("".join(line + "\n" for line in lines))
    return len(lines)


def label_lines(frame: Frame, pose: bool) -> list[str]:
    """A line for everybody who can be seen, in ultralytics' format."""
    height, width = frame.mask.shape
    size = np.array([width, height])
    lines = []
    for person in frame.people:
        if person.share < SEEN_FROM or person.box[2:].max() < SMALLEST:
            continue
        values = [f"{value:.6f}" for value in (person.box.reshape(2, 2) / size).ravel()]
        if pose:
            values += [text for joint in COCO_OF_KEYPOINTS for text in _keypoint(person, joint, size)]
        lines.append(" ".join(["0", *values]))
    return lines


def _keypoint(person: Labels, joint: int, size: np.ndarray) -> list[str]:
    inside, behind_self, behind_others = person.visible[joint]
    if not inside:
        return ["0", "0", "0"]
    x, y = person.pixels[joint] / size
    return [f"{x:.6f}", f"{y:.6f}", "1" if behind_self or behind_others else "2"]


def make_folders(folder: Path) -> None:
    """The folders that pictures and labels go to."""
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (folder / kind / split).mkdir(parents=True)


def write_data_yaml(folder: Path, options: YoloOptions) -> None:
    """The data file that ultralytics reads; it has no `path`, so the folder may be moved."""
    val = any(options.is_val(number) for number in range(options.count))
    lines = [
        "# synthetic people, made by vibe synth yolo",
        "train: images/train",
        f"val: images/{'val' if val else 'train'}",
        "names:",
        "  0: person",
    ]
    if options.pose:
        mirrored = [COCO_OF_KEYPOINTS.index(MIRRORED_KEYPOINTS[joint]) for joint in COCO_OF_KEYPOINTS]
        lines += ["kpt_shape: [17, 3]", f"flip_idx: {mirrored}"]
    with replacing_file(folder / "data.yaml") as part:
        part.write_text("\n".join(lines) + "\n")
