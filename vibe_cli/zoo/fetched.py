"""Fetched models, each a folder with an ONNX file in place of weights: found, checked, and which is the default.

ultralytics' files in the user's model folder count among them.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vibe_cli.errors import ModelError
from vibe_cli.importing.library import PART, sha256
from vibe_cli.paths import user_models_dir
from vibe_cli.zoo.reader import DEFAULT_DETECTOR, Entry, find_named, read_entry

ONNX_FILE = "model.onnx"
OTHER_YOLO_TASKS = ("-pose", "-seg", "-cls", "-obb")


def fetched_default(task: str) -> str | None:
    """The fetched model that is used for a task where nothing is named; None where none is, or nothing to run it."""
    if find_spec("onnxruntime") is None:
        return None
    for path in sorted(user_models_dir().glob(f"*/{ONNX_FILE}")):
        try:
            config = read_entry(path.parent).config
        except ModelError:
            continue
        if config.get("default") and config.get("task") == task and not path.parent.name.endswith(PART):
            return path.parent.name
    return None


def default_detector() -> str | Path:
    """The default detector: the fetched one that was recommended, where ONNX Runtime is here, else
    a YOLO file in the user's model folder, where ultralytics is here, else the shipped detector."""
    if fetched := fetched_default("detector"):
        return fetched
    return next(iter(own_yolo_files() if find_spec("ultralytics") else ()), DEFAULT_DETECTOR)


def own_yolo_files() -> list[Path]:
    """The ultralytics detectors in the user's model folder.

    ultralytics names the weights of other tasks by their endings: a pose model that was fetched for --keypoints
    lies there too.
    """
    return [path for path in sorted(user_models_dir().glob("yolo*.pt")) if not path.stem.endswith(OTHER_YOLO_TASKS)]


def find_keypoints(choice: str | None) -> str | None:
    """The keypoint source of --keypoints: a fetched model's file where it names one, or nothing is named and one was
    recommended; None, or "encoder", is the encoder's own."""
    name = fetched_default("keypoints") if choice is None else choice
    if name in (None, "encoder"):
        return None
    entry = None if Path(name).exists() else find_named(name)
    return str(onnx_file(entry)) if entry and entry.task == "keypoints" else name


def onnx_file(entry: Entry) -> Path:
    """The file of a fetched model; ModelError where it is not the one that was fetched."""
    path = entry.folder / ONNX_FILE
    if not path.is_file() or sha256(path) != entry.config.get("sha256"):
        raise ModelError(
            f"{path}: damaged, its checksum is not that of what was fetched",
            hint=f"vibe models forget {entry.name}, then: vibe models fetch {entry.name}",
        )
    return path
