"""`vibe info`: what is in a file, told by its content."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vibe_cli.cli.options import debug_option, table
from vibe_cli.cli.progress import terminal_progress
from vibe_cli.cli.words import echo
from vibe_cli.errors import InputError, ModelError
from vibe_cli.run_folder import RESULT_NAME

if TYPE_CHECKING:
    from vibe_cli.results import Result

# what each array of a result means, and its unit
MEANINGS = {
    "times": "seconds of each frame",
    "scenes": "the first frame of every shot",
    "files": "the name of each frame's file",
    "joint_names": "of pose",
    "joint_names_49": "of the 49 joints that a body gives",
    "intrinsics": "K of trans_cam, pixels",
    "frames": "index into the clip",
    "boxes": "centre x, centre y, width, height of the crop, image pixels",
    "pose": "axis-angle of SMPL's 24 joints, radians; joint 0 is the root, in camera axes",
    "betas": "shape, in units of the body's own components",
    "camera": "s, tx, ty of the crop",
    "confidence": "the detector's, 0 to 1; 0 where filled",
    "filled": "box interpolated over a gap",
    "keypoints": "x, y in image pixels and confidence",
    "cam_image": "sx, sy, tx, ty of the full image",
    "trans_cam": "the pelvis, metres, in the camera of `intrinsics`",
}


@click.command("info", short_help="Say what is in a result, a video, a model or a body file.")
@click.argument("path", type=click.Path(path_type=Path))
@debug_option
def command(path: Path) -> None:
    """Say what is in a file or folder, told by its content, or what a model of the zoo is, by its name.

    A result of ours, its report and what was exported of it, a video or images, 2D keypoints, a published
    checkpoint, an SMPL body, YOLO weights, a model of the zoo. For arrays: shapes, units and axes.
    """
    for line in describe(path):
        echo(line)


def describe(path: Path) -> Iterator[str]:
    """Describe what is at `path`, line by line; InputError where nothing is known about it."""
    from vibe_cli.cli.contents import describe_json, describe_keypoints, describe_mesh, exported_folder
    from vibe_cli.cli.exported import READERS, describe_exported, describe_files, motion_files
    from vibe_cli.people.keypoint_files import read_keypoints

    if path.is_dir():
        if (path / RESULT_NAME).is_file():
            return describe_result(path / RESULT_NAME)
        if (path / "config.yaml").is_file() or (path / "CARD.md").is_file():
            return describe_model_folder(path)
        if any(path.glob("*_keypoints.json")):
            return describe_keypoints(read_keypoints(path), path)
        motions = motion_files(path)
        return describe_files(motions) if motions else exported_folder(path) or describe_video(path)
    if not path.exists():
        return describe_name(path)
    if path.suffix.lower() in READERS:
        return describe_exported(path)
    if path.suffix.lower() in (".json", ".obj"):
        return describe_json(path) if path.suffix.lower() == ".json" else describe_mesh(path)

    from vibe_cli.importing.safe_read import sniff

    container = sniff(path)
    if container == "npz" and _is_result(path):
        return describe_result(path)
    if container == "safetensors":
        return describe_safetensors(path)
    if container in ("torch", "npz", "npy", "pickle", "compressed"):
        return describe_official(path)
    return describe_video(path)


def describe_name(path: Path) -> Iterator[str]:
    """A model of the zoo, by its name or a published system's; InputError where it is neither that nor a path."""
    from vibe_cli.zoo.listing import catalogue, figures, megabytes
    from vibe_cli.zoo.reader import SYSTEMS, choose_model, find_named

    rows = {row.folder: row for row in catalogue() if row.network != "yolo"}
    if str(path) not in {*SYSTEMS, *(row.name for row in rows.values())}:
        raise InputError(f"{path}: no such file or folder", hint="check the spelling of the path")
    named = find_named(str(path))
    entry, note = (named, None) if named else choose_model(path)
    row = rows[entry.folder]
    facts = [
        ("task", row.task),
        ("network", row.network or "–"),
        ("size", megabytes(row.bytes)),
        ("source", row.source),
        ("licence", row.licence),
        ("measured", figures(row.measured) or "–"),
        ("state", row.state),
    ]
    facts += [("needs", f"{need['what']}, from {need['from']}") for need in row.needs]
    return itertools.chain(
        [f"note: {note}"] if note else [], [f"{entry.name}:", table(facts), ""], describe_model_folder(entry.folder)
    )


def _is_result(path: Path) -> bool:
    """Whether an .npz is one of our results, by the members that every result has."""
    import zipfile

    try:
        return {"header.npy", "times.npy"} <= set(zipfile.ZipFile(path).namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def describe_result(path: Path) -> Iterator[str]:
    """A result: the clip, the people, and every array."""
    import numpy as np

    from vibe_cli.results import AXES, FORMAT_VERSION, Result

    result = Result.load(path)
    video = result.video
    yield f"{path}: a vibe result, format {FORMAT_VERSION}"
    yield table(
        [
            ("clip", video.path),
            ("size", f"{video.width}x{video.height}"),
            ("rate", f"{video.fps} frames a second ({float(video.fps):.3f})"),
            ("frames", video.frames),
            ("model", result.model),
            ("body", _body_text(result.body)),
            ("axes", AXES),
        ]
    )
    yield ""
    yield from describe_people(result)
    with np.load(path, allow_pickle=False) as file:
        names = [name for name in file.files if name != "header"]
        shared = [name for name in names if "/" not in name]
        first = names[len(shared)].split("/")[0] if len(names) > len(shared) else ""
        rows = [("array", "shape", "type", "meaning")]
        for name in shared + [name for name in names if name.startswith(first + "/")]:
            array = file[name]
            shape = "(" + ", ".join(map(str, array.shape)) + ")"
            rows.append((name, shape, array.dtype, MEANINGS.get(name.split("/")[-1], "")))
    yield ""
    yield f"Arrays{', of the other people likewise' if len(result.people) > 1 else ''}:"
    yield table(rows)


def _body_text(body: str) -> str:
    return {"open": "open (the open body; its betas are not SMPL's)"}.get(body, body)


def describe_people(result: Result) -> Iterator[str]:
    """A table of the people."""
    if not result.people:
        yield "Nobody was found in this clip."
        return
    rows: list[tuple[object, ...]] = [("person", "frames", "first", "last", "filled", "confidence")]
    for person in result.people:
        seen = person.confidence[~person.filled]
        rows.append(
            (
                person.id,
                len(person),
                person.frames[0],
                person.frames[-1],
                int(person.filled.sum()),
                f"{seen.mean():.2f}" if len(seen) else "–",
            )
        )
    yield "People:"
    yield table(rows)


def describe_video(path: Path) -> Iterator[str]:
    """A clip: decoded to its end, because headers lie about the number of frames."""
    from vibe_cli.video.reader import open_video

    with open_video(path) as video:
        for _ in terminal_progress()(video, "Counting frames", video.estimated_frames):
            pass
        info, warnings = video.info, video.warnings
    seconds = float(info.times[-1] - info.times[0]) + 1 / float(info.fps)
    yield f"{path}: {'a folder of images' if info.kind == 'images' else 'a video'}"
    yield table(
        [
            ("size", f"{info.width}x{info.height} as displayed"),
            ("rate", f"{info.fps} frames a second ({float(info.fps):.3f})"),
            ("frames", f"{info.frames} decoded"),
            ("length", f"{seconds:.2f} s"),
            ("sound", "yes" if info.has_audio else "no"),
        ]
    )
    for warning in warnings:
        yield f"warning: {warning}"


def describe_official(path: Path) -> Iterator[str]:
    """A published checkpoint, an SMPL file, YOLO weights, or other arrays."""
    from vibe_cli.cli.contents import describe_arrays
    from vibe_cli.importing.checkpoints import KINDS, UnknownFile, YoloFile, read_official
    from vibe_cli.importing.library import sha256

    try:
        official = read_official(path)
    except YoloFile:
        yield from describe_yolo(path)
        return
    except UnknownFile as unknown:
        if unknown.content is None:
            raise
        yield from describe_arrays(unknown.content, path)
        return
    kind = KINDS[official.kind]
    yield f"{path}: {kind.what}"
    needs = "; ".join(f"{KINDS[need].what} ({KINDS[need].where})" for need in kind.needs)
    yield table(
        [
            ("kind", official.kind),
            ("sha256", sha256(path)),
            ("from", kind.where),
            ("licence", kind.licence),
            ("needs", needs or "nothing else"),
            *((name, value) for name, value in official.notes.items()),
        ]
    )
    for part, tensors in official.parts.items():
        yield ""
        yield f"{part}:"
        yield table(
            (name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")) for name, tensor in tensors.items()
        )


def describe_yolo(path: Path) -> Iterator[str]:
    """Ultralytics' weights: what they find and the size of the network."""
    from vibe_cli.importing.library import sha256
    from vibe_cli.people.yolo_weights import read_yolo
    from vibe_cli.zoo.listing import YOLO_LICENCE

    try:
        network, names = read_yolo(path)
        kind, option = "detection", "--detector"
    except ModelError as no_detector:
        try:
            network, names = read_yolo(path, "PoseModel")
            kind, option = "pose", "--keypoints"
        except ModelError:
            raise no_detector from None
    yield f"{path}: an ultralytics (YOLO) {kind} model"
    yield table(
        [
            ("sha256", sha256(path)),
            ("licence", YOLO_LICENCE),
            ("parameters", f"{sum(value.numel() for value in network.parameters()):,}"),
            (
                "finds",
                f"{len(names)} kinds of things: {', '.join(list(names.values())[:8])}"
                + (", …" if len(names) > 8 else ""),
            ),
            ("use it", f"vibe demo CLIP {option} {path}"),
        ]
    )


def describe_safetensors(path: Path) -> Iterator[str]:
    """Names, shapes and types, read from the header alone."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no dict
            rows = [(name, tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()]
    except SafetensorError as error:
        raise ModelError(f"{path}: damaged ({error})", hint="get the file again") from None
    yield f"{path}: {len(rows)} tensors, {path.stat().st_size / 1e6:.1f} MB"
    if metadata:
        yield table(metadata.items())
    yield table(rows)


def describe_model_folder(folder: Path) -> Iterator[str]:
    """A model of the zoo: its configuration, its card and its weights."""
    yield f"{folder}: a model"
    for name in ("config.yaml", "CARD.md"):
        if (folder / name).is_file():
            yield ""
            yield (folder / name).read_text("utf-8").rstrip()
    for weights in sorted(folder.glob("*.safetensors")):
        yield ""
        yield from describe_safetensors(weights)
