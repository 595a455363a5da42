"""PCK of an encoder's keypoints on photographs with COCO annotations, in their ground-truth boxes.

usage: python benchmarks/coco_keypoints.py FOLDER [MODEL]

FOLDER holds images/ and person_keypoints.json. Counted are people with at least 8 visible keypoints and a box at
least 80 px high; a keypoint is right within 0.1 or 0.2 of the larger side of the box. The baseline lays the mean
of all people's keypoints, relative to their boxes, into each box.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from vibe_cli import boxes as boxes_of
from vibe_cli.crops import crop_person, normalise
from vibe_cli.networks.lifter import observe
from vibe_cli.networks.open_encoder import OpenEncoder
from vibe_cli.networks.skeleton import COCO_OF_KEYPOINTS
from vibe_cli.zoo import find_model, load_network


def people(folder: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Image, box (4,) and keypoints (17, 3) of everybody who counts."""
    content = json.loads((folder / "person_keypoints.json").read_text())
    names, found = {image["id"]: image["file_name"] for image in content["images"]}, []
    for note in content["annotations"]:
        points = np.array(note["keypoints"], float).reshape(17, 3)
        x, y, w, h = note["bbox"]
        if (points[:, 2] == 2).sum() >= 8 and h >= 80 and not note.get("iscrowd"):
            image = cv2.imread(str(folder / "images" / names[note["image_id"]]))[..., ::-1]
            found.append((image, np.array([x + w / 2, y + h / 2, w, h]), points))
    return found


def pck(predicted: np.ndarray, truth: np.ndarray, sides: np.ndarray) -> str:
    """PCK at 0.1 and 0.2 over visible keypoints, in percent."""
    error = np.linalg.norm(predicted - truth[..., :2], axis=-1) / sides[:, None]
    seen = truth[..., 2] == 2
    return " / ".join(f"{100 * (error[seen] < limit).mean():.1f}" for limit in (0.1, 0.2))


def main(folder: str, model: str = "open-encoder") -> None:
    """Print the baseline's and the encoder's PCK."""
    found = people(Path(folder))
    truth, box = np.stack([p for _, _, p in found]), np.stack([b for _, b, _ in found])
    sides = box[:, 2:].max(axis=1)
    relative = (truth[..., :2] - box[:, None, :2]) / sides[:, None, None]
    mean = np.average(relative, axis=0, weights=(truth[..., 2:] > 0).repeat(2, -1))
    print(f"{len(found)} people\nmean pose  {pck(box[:, None, :2] + mean * sides[:, None, None], truth, sides)}")
    if model.endswith(".pt"):
        encoder = OpenEncoder()
        encoder.eye.load_state_dict(torch.load(model, weights_only=True)["averaged"])
        encoder.eval()
    else:
        encoder = load_network(find_model(model))
    square = boxes_of.square(box, encoder.config.scale)
    cut = [crop_person(image, s, encoder.config.size) for (image, _, _), s in zip(found, square, strict=True)]
    crops = np.stack(cut)
    with torch.inference_mode():
        seen = observe(encoder.eye(normalise(crops) * encoder.gain + encoder.shift))
    points = square[:, None, :2] + seen.points.numpy()[:, COCO_OF_KEYPOINTS] * square[:, None, 2:3] / 2
    print(f"{model}  {pck(points, truth, sides)}")
    swapped = points[:, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]]
    better = np.where((np.linalg.norm(swapped - truth[..., :2], axis=-1).mean(1)
                       < np.linalg.norm(points - truth[..., :2], axis=-1).mean(1))[:, None, None], swapped, points)
    print(f"  if left and right were never exchanged  {pck(better, truth, sides)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
