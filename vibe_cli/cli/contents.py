"""Summaries by `vibe info` of files that are no models: arrays in any container, meshes, reports, keypoints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from vibe_cli.cli.options import table
from vibe_cli.errors import InputError, ModelError

MOST_ROWS = 60  # of one file's arrays
MOST_COUNTED = 2000  # of those beyond
MOST_FILES = 12  # of one folder
LONGEST = 80  # letters of a value
# what the arrays of exported files mean, by VIBE's names and by AMASS's
EXPORTED = {
    "pred_cam": "s, tx, ty of the crop",
    "orig_cam": "sx, sy, tx, ty of the full image",
    "verts": "metres, camera axes (x right, y down, z into the image), the pelvis at zero",
    "pose": "axis-angle of SMPL's 24 joints, radians",
    "betas": "shape",
    "joints3d": "49 joints, metres, as verts",
    "joints2d": "2D keypoints, image pixels, and confidence",
    "joints2d_img_coord": "joints3d in image pixels",
    "bboxes": "centre x, centre y, width, height of the crop, image pixels",
    "frame_ids": "index into the clip",
    "faces": "triangles of verts",
    "joint_names": "of joints3d",
    "pose_joint_names": "of pose",
    "root_orient": "the first of poses",
    "pose_body": "those of the body",
    "pose_hand": "those of both hands, at rest",
    "pose_jaw": "that of the jaw, at rest",
    "pose_eye": "those of both eyes, at rest",
    "surface_model_type": "whose joints poses has",
    "mocap_time_length": "seconds",
    "start_time": "seconds from the clip's start",
    "start_frame": "the first pose's, counted from the clip's start",
    "camera_height": "metres over the ground",
    "open_betas": "shape, of the open body",
    "smpl_betas": "shape, of SMPL",
    "num_betas": "how many",
    "body": "whose vertices these are",
    "poses": "axis-angle, radians, 3 numbers a joint; the root first",
    "trans": "metres",
    "gender": "of the body",
    "mocap_frame_rate": "frames a second",
    "mocap_framerate": "frames a second",
    "times": "seconds of each frame",
    "up_axis": "which axis is up",
    "axes": "where they point",
    "model": "that estimated it",
}


def describe_arrays(content: Any, path: Path) -> Iterator[str]:
    """The content that safe_read.py gave for a file: arrays by name, however deep, and short values."""
    if is_vibe_output(content):
        yield f"{path}: motion of {len(content)} {'person' if len(content) == 1 else 'people'} in VIBE's layout"
        yield table(
            [
                ("person", "frames", "first", "last"),
                *(
                    (number, len(at), *((at[0], at[-1]) if len(at) else ("–", "–")))
                    for number, at in ((number, person["frame_ids"]) for number, person in content.items())
                ),
            ]
        )
        yield ""
        yield f"Arrays{', of the other people likewise' if len(content) > 1 else ''}:"
        content = {str(number): person for number, person in list(content.items())[:1]}
        meanings = EXPORTED
    else:
        amass = isinstance(content, Mapping) and {"poses", "trans", "betas"} <= set(content)
        yield f"{path}: {'a motion in the layout of AMASS' if amass else 'arrays'}"
        meanings = EXPORTED if amass else {}
    rows = list(islice(_rows(content), MOST_ROWS + MOST_COUNTED))  # a small pickle can hold endless ones
    yield table(
        (*row[:3], " – ".join(filter(None, (row[3], meanings.get(row[0].split("/")[-1]))))) for row in rows[:MOST_ROWS]
    )
    if len(rows) > MOST_ROWS:
        yield f"  and {len(rows) - MOST_ROWS} more" if len(rows) < MOST_ROWS + MOST_COUNTED else "  and many more"


def is_vibe_output(content: Any) -> bool:
    """Whether this is what vibe_output.pkl holds: people by number, each a dict of arrays."""
    return (
        isinstance(content, dict)
        and bool(content)
        and all(
            isinstance(person, dict) and {"pose", "betas", "frame_ids"} <= set(person) for person in content.values()
        )
    )


def _rows(value: Any, name: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Name, shape, type and, where it is short, value of everything inside."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _rows(item, f"{name}/{key}" if name else str(key))
    elif isinstance(value, (list, tuple)) and any(hasattr(item, "shape") for item in value):
        for number, item in enumerate(value):
            yield from _rows(item, f"{name}/{number}" if name else str(number))
    elif isinstance(value, (list, tuple, set, Mapping)):
        yield name, f"({len(value)})", type(value).__name__, ""
    else:
        shape = tuple(value.shape) if hasattr(value, "shape") else ()
        kind = str(value.dtype).removeprefix("torch.") if hasattr(value, "dtype") else type(value).__name__
        text = "" if shape else " ".join(str(value.item() if hasattr(value, "item") else value).split())
        yield (
            name or "array",
            "(" + ", ".join(map(str, shape)) + ")",
            kind,
            text if len(text) <= LONGEST else text[: LONGEST - 1] + "…",
        )


def describe_json(path: Path) -> Iterator[str]:
    """A run's report or somebody's keypoints; InputError for any other JSON."""
    from vibe_cli.people.keypoint_files import read_keypoints

    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({type(error).__name__})", hint="check the file") from None
    if isinstance(content, dict) and "report_version" in content:
        return describe_report(content, path)
    if isinstance(content, dict) and content.get("format") == "vibe-keypoints":
        return _joints(content, path)
    try:
        return describe_keypoints(read_keypoints(path), path)
    except InputError as error:
        raise InputError(
            f"{path}: JSON, but neither a run's report nor keypoints ({error.message})",
            hint="known are run.json, and OpenPose's and COCO's keypoints",
        ) from None


def _joints(content: dict[str, Any], path: Path) -> Iterator[str]:
    """keypoints.json of ours; InputError where it is damaged."""
    from vibe_cli.cli.exported import describe_joints_json

    try:
        return iter(list(describe_joints_json(content, path)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: joints, but damaged ({type(error).__name__}: {error})",
            hint="make it again with: vibe export --format json",
        ) from None


def describe_report(content: dict[str, Any], path: Path) -> Iterator[str]:
    """run.json: the clip, the model, who was found, the time it took; InputError where it is damaged."""
    try:
        clip, people = content["input"], content["people"]
        rows = [
            ("clip", clip["path"]),
            ("size", f"{clip['width']}x{clip['height']}"),
            ("rate", f"{clip['fps']} frames a second"),
            ("frames", content["frames"]),
            *([("scenes", f"{len(content['scenes'])}")] if len(content.get("scenes", ())) > 1 else []),
            *((name, content[name] or "–") for name in ("model", "detector", "body", "device", "renderer")),
            ("versions", _listed(content["versions"])),
            ("seconds", f"{content['total_seconds']}: {_listed(content['seconds'])}"),
            ("memory", f"{content['peak_memory_mb']} MB at most"),
            ("files", ", ".join(content["files"])),
        ]
        heads = ("id", "frames", "first", "last", "filled")
        found = [("person", *heads[1:]), *(tuple(person[head] for head in heads) for person in people)]
        warnings = [f"warning: {warning}" for warning in content["warnings"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: the report of a run, but damaged ({type(error).__name__}: {error})",
            hint="make it again with: vibe demo",
        ) from None
    return iter(
        [
            f"{path}: the report of a run, format {content['report_version']}",
            table(rows),
            "",
            table(found) if people else "Nobody was found in this clip.",
            *warnings,
        ]
    )


def _listed(values: Mapping[str, Any]) -> str:
    """`decode 2.4, crop 0.9`."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def describe_keypoints(people: Mapping[int, Any], path: Path) -> Iterator[str]:
    """OpenPose's or COCO's keypoints: how many people in which frames, and how to use them."""
    counts = [len(found) for found in people.values()]
    yield f"{path}: 2D keypoints of people"
    yield table(
        [
            ("frames", f"{len(counts)}, numbered {min(people)} to {max(people)}" if counts else "0"),
            ("people", f"{sum(counts)} in all, at most {max(counts, default=0)} in a frame"),
            ("use them", f"vibe demo CLIP --keypoints {path}"),
        ]
    )


def describe_mesh(path: Path) -> Iterator[str]:
    """A Wavefront .obj: what its comments say, and how large it is."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a mesh ({type(error).__name__})", hint="check the file") from None
    kinds = [line.split(" ", 1)[0] for line in lines]
    if not kinds.count("v"):
        raise InputError(f"{path}: no vertex in it", hint="check that this is a Wavefront .obj")
    yield f"{path}: a mesh of {kinds.count('v')} vertices and {kinds.count('f')} faces"
    for line in lines[:MOST_FILES]:
        if line.startswith("#"):
            yield "  " + line.lstrip("# ")


def exported_folder(path: Path) -> Iterator[str] | None:
    """The content of a folder of exported meshes or motions, or None where it is no such folder."""
    meshes, motions = sorted(path.rglob("*.obj")), sorted(path.glob("*.npz"))
    if not meshes and not motions:
        return None
    return _describe_meshes(path, meshes) if meshes else _describe_motions(path, motions)


def _describe_meshes(path: Path, meshes: list[Path]) -> Iterator[str]:
    """The meshes of a folder by the folder that they lie in, and the first of them."""
    folders: dict[Path, list[Path]] = {}
    for mesh in meshes:
        folders.setdefault(mesh.parent, []).append(mesh)
    yield f"{path}: {len(meshes)} meshes"
    yield table(
        (folder.relative_to(path).as_posix(), f"{len(files)} meshes", f"{files[0].name} to {files[-1].name}")
        for folder, files in list(folders.items())[:MOST_FILES]
    )
    yield ""
    yield from describe_mesh(meshes[0])


def _describe_motions(path: Path, motions: list[Path]) -> Iterator[str]:
    """The .npz files of a folder, one after the other."""
    from vibe_cli.importing.safe_read import read_npz

    yield f"{path}: {len(motions)} .npz files"
    for file in motions[:MOST_FILES]:
        yield ""
        try:
            yield from describe_arrays(read_npz(file), file)
        except ModelError as error:  # one bad file hides no other
            yield error.message
    if len(motions) > MOST_FILES:
        yield f"and {len(motions) - MOST_FILES} more"
