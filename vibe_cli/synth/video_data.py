"""Whole clips with exact labels: a folder a clip, written beside and renamed.

OUT/clip_0000/video.mp4      H.264
OUT/clip_0000/labels.npz     T frames; P people, numbered from 0; `header` is JSON that says what the rest is
    intrinsics (T, 3, 3), world_to_camera (T, 4, 4)     pixels; metres, world y up and the floor at 0
    masks (T, H, W)          uint8: 0 the place, i + 1 person i, 255 a thing
    person0/pose (T, 24, 3)  axis-angle, radians; joint 0 is the root, in camera axes (x right, y down, z forward)
    person0/betas (10,)      of the open body; of a child the nearest, which are not its shape
    person0/shape (11,)      exactly: ten betas, and the share of the open body's `child_dir`; 0 for adults
    person0/trans (T, 3)     the pelvis, metres, camera axes
    person0/joints24_m, joints49_m (T, J, 3)     metres, camera axes
    person0/joints24_px, joints49_px (T, J, 2)   pixels; the first pixel's centre is (0.5, 0.5)
    person0/visible24, visible49 (T, J, 3)       bool: in the picture, hidden by the own body, hidden by anything else
    person0/boxes, boxes_full (T, 4)  centre x, centre y, width, height: of what is seen (zeros: nothing is); of all
    person0/share (T,)       how much of the person is seen, 0..1
OUT/clip_0000/flow/000001.png    optical flow to the frame before as KITTI has it, 16 bits: u·64 + 2¹⁵, v·64 + 2¹⁵,
                             and 1 where that point was in sight then; none for frame 0
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.errors import InputError
from vibe_cli.progress import Progress, quiet
from vibe_cli.results import AXES, write_npz
from vibe_cli.run_folder import replacing_folder
from vibe_cli.synth.crop_data import JOINTS
from vibe_cli.synth.film import Frame, Labels, draw_faults, film
from vibe_cli.synth.stage import Scene, SceneOptions, build_scene
from vibe_cli.synth.studio import Studio
from vibe_cli.video.writer import VideoWriter

FORMAT, VERSION = "vibe-synth-clip", 1
FLOW_UNIT, FLOW_ZERO = 64, 1 << 15


@dataclass(frozen=True)
class VideoOptions:
    """Options of what is to be written."""

    frames: int = 90
    width: int = 640
    height: int = 360
    fps: Fraction = Fraction(30)
    people: int | None = None  # at most so many in a clip; None: 1 to 4
    flow: bool = True
    held_out: bool = False  # motions that training never sees
    seed: int = 0
    drawn_from: str = ""  # of what motions and pictures (studio.mark_sources)


def clip_folder(out: Path, number: int) -> Path:
    """Where clip `number` lies."""
    return out / f"clip_{number:04d}"


def is_written(folder: Path, number: int, options: VideoOptions) -> bool:
    """Whether that very clip is there already; InputError where another is in its place."""
    if not folder.exists():
        return False
    try:
        with np.load(folder / "labels.npz", allow_pickle=False) as file:
            same = json.loads(str(file["header"][()]))["made_by"] == _made_by(number, options)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        same = False
    if not same:
        raise InputError(f"{folder}: holds something else", hint="choose another folder, or the same options as before")
    return True


def write_clip(studio: Studio, number: int, out: Path, options: VideoOptions, progress: Progress = quiet) -> int:
    """Film clip `number` into its folder under `out`; how many frames were drawn: none where it is there already."""
    from vibe_cli.video.writer import VideoWriter

    folder = clip_folder(out, number)
    if is_written(folder, number, options):
        return 0
    rng = np.random.default_rng([options.seed, number])
    wanted = SceneOptions(options.width, options.height, options.frames, float(options.fps), options.people)
    scene = build_scene(rng, studio.body, studio.held_out if options.held_out else studio.bank, studio.pictures, wanted)
    shots = progress(film(rng, scene, draw_faults(rng)), "Filming", options.frames)
    with replacing_folder(folder) as part:
        if options.flow:
            (part / "flow").mkdir()
        with VideoWriter(part / "video.mp4", options.width, options.height, options.fps) as writer:
            labels = _collect(scene, _written(shots, writer, part / "flow" if options.flow else None))
        header = {
            "format": FORMAT,
            "version": VERSION,
            "video": "video.mp4",
            "people": len(scene.actors),
            "width": options.width,
            "height": options.height,
            "fps": str(options.fps),
            "axes": AXES,
            "body": "open",
            "pixels": "the first pixel's centre is (0.5, 0.5)",
            "flow": "flow/%06d.png" if options.flow else None,
            "made_by": _made_by(number, options),
        }
        write_npz(part / "labels.npz", {"header": np.array(json.dumps(header)), **labels})
    return options.frames


def read_flow(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A flow picture → (H, W, 2) float32 pixels and (H, W) bool, whether the point was in sight."""
    data = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if data is None or data.dtype != np.uint16 or data.ndim != 3:
        raise InputError(f"{path}: not a flow picture", hint="a flow picture is a PNG of 16 bits and 3 channels")
    return (data[..., :0:-1].astype(np.float32) - FLOW_ZERO) / FLOW_UNIT, data[..., 0] > 0


def write_flow(path: Path, flow: np.ndarray, seen: np.ndarray) -> None:
    """Flow (H, W, 2) pixels and where it counts (H, W) as a picture of 16 bits, exact to 1/128 pixel."""
    whole = np.clip(np.rint(flow * FLOW_UNIT) + FLOW_ZERO, 0, 65535).astype(np.uint16)
    cv2.imwrite(str(path), np.dstack([seen.astype(np.uint16), whole[..., 1], whole[..., 0]]))


def _made_by(number: int, options: VideoOptions) -> dict:
    return {**asdict(options), "fps": str(options.fps), "number": number}


def _written(shots: Iterable[Frame], writer: VideoWriter, flow: Path | None) -> Iterable[Frame]:
    """The same frames, each written on its way."""
    for t, frame in enumerate(shots):
        writer.write(frame.image)
        if flow is not None and t:
            write_flow(flow / f"{t:06d}.png", frame.flow, frame.flow_seen)
        yield frame


def _collect(scene: Scene, frames: Iterable[Frame]) -> dict[str, np.ndarray]:
    """The arrays of labels.npz but for the header."""
    people: list[list[Labels]] = [[] for _ in scene.actors]
    masks, cameras = [], []
    for frame in frames:
        masks.append(frame.mask)
        cameras.append(frame.camera)
        for rows, labels in zip(people, frame.people, strict=True):
            rows.append(labels)
    outside = np.tile(np.eye(4), (len(cameras), 1, 1))
    for matrix, camera in zip(outside, cameras, strict=True):
        matrix[:3, :3], matrix[:3, 3] = camera.rotation, -camera.rotation @ camera.centre
    out = {
        "intrinsics": np.stack([camera.intrinsics() for camera in cameras]),
        "world_to_camera": outside,
        "masks": np.stack(masks),
    }
    for i, (actor, rows) in enumerate(zip(scene.actors, people, strict=True)):

        def of(field: str, rows: list = rows) -> np.ndarray:
            return np.stack([np.asarray(getattr(row, field)) for row in rows])

        turns = Rotation.from_matrix(of("rotations").reshape(-1, 3, 3)).as_rotvec()
        values = {
            "pose": turns.reshape(-1, 24, 3),
            "betas": actor.look.betas,
            "shape": actor.look.shape,
            "trans": of("trans"),
            "boxes": of("box"),
            "boxes_full": of("box_full"),
            "share": of("share"),
        }
        for name, index in JOINTS.items():
            values |= {f"joints{name}_m": of("points")[:, index], f"joints{name}_px": of("pixels")[:, index]}
        values = {name: value.astype(np.float32) for name, value in values.items()}
        values |= {f"visible{name}": of("visible")[:, index] for name, index in JOINTS.items()}
        out |= {f"person{i}/{name}": value for name, value in values.items()}
    return out
