"""Reading ultralytics' YOLO weights without running any of them, and fetching those that it publishes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from vibe_cli.errors import ModelError
from vibe_cli.importing.safe_pickle import InertUnpickler, Marker, Readable, Record
from vibe_cli.paths import user_models_dir

if TYPE_CHECKING:
    from torch import Tensor, nn

YOLO_HINT = "use a detection model of ultralytics, such as yolo11n.pt"
POSE_HINT = "use a pose model of ultralytics, such as yolo11n-pose.pt"

# Names in ultralytics' checkpoints that become inert records, so that none of their code runs.
_INERT = re.compile(
    r"(ultralytics|torch\.nn|torch\.optim|pathlib)\.[\w.]+|types\.SimpleNamespace|_codecs\.encode"
    r"|numpy\.(dtype|ndarray|_?core\.multiarray\.(scalar|_reconstruct)|dtypes\.\w+)"
)
# Names that torch.load(weights_only=True) itself builds tensors from.
_TENSORS = re.compile(
    r"torch\.(\w+Storage|Size|device|float\d+|bfloat16|int\d+|uint8|bool)|torch\._utils\._rebuild_\w+"
    r"|torch\.nn\.parameter\.Parameter|torch\.storage\.\w+Storage"
)
_ACTIVATION = re.compile(r"(torch\.)?nn\.[A-Z]\w*\((inplace=(True|False))?\)")


def read_yolo(path: Path, kind: str = "DetectionModel") -> tuple[nn.Module, dict[int, str]]:
    """A network and the names of its classes from ultralytics' .pt file, running nothing of the file.

    `kind` is DetectionModel or PoseModel.

    Such a file is a pickle of live objects, which ultralytics would run. Here its names are checked first,
    its objects come back as inert records, and the network is built anew from the description inside, of
    ultralytics' own layers only, and given the tensors. ModelError, naming what it asked for, otherwise.
    """
    import torch

    _need_ultralytics()
    inert, task = _inert_classes(path), {"PoseModel": "pose"}.get(kind, "detection")
    try:
        with torch.serialization.safe_globals(inert):
            content = torch.load(path, map_location="cpu", weights_only=True)
        model = content.get("ema") or content["model"]
        if type(model).__name__ != f"ultralytics.nn.tasks.{kind}":
            raise ValueError(f"holds a {type(model).__name__}")
        names = model.state["names"]
        names = dict(enumerate(names)) if isinstance(names, (list, tuple)) else names
        network = _build(model.state["yaml"], kind)
        network.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in _tensors(model)},
            strict=True,
        )
        return network, {int(number): str(name) for number, name in names.items()}
    except Exception as error:  # whatever a damaged or foreign file provokes
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{path}: not an ultralytics {task} model ({reason})", hint=POSE_HINT if task == "pose" else YOLO_HINT
        ) from None


def fetch_yolo(name: str) -> Path:
    """The file of one of ultralytics' published models in the user's model folder, fetched if it is not there."""
    path = user_models_dir() / name
    if path.is_file() and Path(name).name == name:
        return path
    _need_ultralytics()
    with _ultralytics_kept_quiet():
        from ultralytics.utils import downloads

        if name not in downloads.GITHUB_ASSETS_NAMES or not name.endswith(".pt"):
            raise ModelError(
                f"{name}: no such file, nor a model that ultralytics publishes",
                hint=f"{YOLO_HINT}; for keypoints {POSE_HINT}",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as folder, open(os.devnull, "w") as nowhere:
                with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                    part = downloads.attempt_download_asset(str(Path(folder) / name), progress=False, retry=1)
                os.replace(part, path)
        except Exception as error:  # no network, a refused request, a full disk
            raise ModelError(
                f"{name}: could not be fetched ({type(error).__name__})",
                hint="connect to the network, or give the path of a .pt file; without the option vibe "
                "uses what is shipped",
            ) from None
    return path


def yolo_file(weights: str | Path) -> Path:
    """A weights file, or that of a name that ultralytics publishes, fetched into the user's model folder."""
    path = Path(weights)
    return path if path.is_file() else fetch_yolo(str(weights))


def last_layer(network: nn.Module) -> nn.Module:
    """The head of a network of `read_yolo`."""
    *_, head = network.get_submodule("model").children()
    return head


class _NamesReader(InertUnpickler):
    """Reads a checkpoint's pickle for the names it asks for; makes inert records and plain containers only."""

    def __init__(self, stream: Readable, path: Path) -> None:
        super().__init__(
            stream, path, {"collections.OrderedDict": OrderedDict, "builtins.set": set, "__builtin__.set": set}
        )
        self.inert: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> type:
        """The stand-in for a name; ModelError for one that no YOLO file needs."""
        full = f"{module}.{name}"
        if _TENSORS.fullmatch(full):
            return Marker
        if _INERT.fullmatch(full):
            return self.inert.setdefault(full, type(full, (Record,), {}))
        return super().find_class(module, name)

    def persistent_load(self, pid: object) -> Marker:
        """A reference to a tensor's numbers, which are not read here."""
        return Marker()


def _inert_classes(path: Path) -> list[Any]:
    """Record classes, with the names they stand in for, of all that the file holds besides tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(pickled) as stream:
                reader = _NamesReader(stream, path)
                reader.load()
    except Exception as error:  # a damaged file fails in any way at all
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: not a torch checkpoint ({type(error).__name__})", hint=YOLO_HINT) from None
    return [set, *((record, name) for name, record in reader.inert.items())]


def _tensors(module: Record, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Parameters and lasting buffers of a recorded module and those inside it, by their full names."""
    state = module.state
    passing = state.get("_non_persistent_buffers_set", ())
    for name, value in {**state["_parameters"], **state["_buffers"]}.items():
        if value is not None and name not in passing:
            yield prefix + name, value
    for name, inner in state["_modules"].items():
        if inner is not None:
            yield from _tensors(inner, f"{prefix}{name}.")


def _build(description: Any, kind: str) -> nn.Module:
    """The network of a YOLO description, from ultralytics' own layers and torch's; ValueError for others.

    ultralytics evaluates a description's activation and looks its layers up among all that it has imported,
    so both are compared with what they may be first.
    """
    import torch

    description = json.loads(json.dumps(description))  # TypeError unless plain numbers and text
    if not _ACTIVATION.fullmatch(description.get("activation") or "nn.SiLU()"):
        raise ValueError(f"activation {description['activation']!r}")
    with _ultralytics_kept_quiet(), torch.random.fork_rng(devices=[]):
        from ultralytics.nn import modules, tasks

        for _, _, layer, _ in description["backbone"] + description["head"]:
            home, _, name = layer.rpartition(".")
            found = getattr({"": modules, "nn": torch.nn, "torch.nn": torch.nn}.get(home), name, None)
            if not (isinstance(found, type) and issubclass(found, torch.nn.Module)) or name == "TorchVision":
                raise ValueError(f"layer {layer!r}")
        return getattr(tasks, kind)(description, ch=description.get("channels", 3), verbose=False)


def _need_ultralytics() -> None:
    """ModelError where it was uninstalled, as the README says one may."""
    if find_spec("ultralytics") is None:
        raise ModelError(
            "YOLO models need ultralytics, which is not installed",
            hint="pip install ultralytics; without the option vibe uses what is shipped",
        )


@contextlib.contextmanager
def _ultralytics_kept_quiet() -> Iterator[None]:
    """Import ultralytics without what that does besides.

    It writes settings, looks for the network, prints, sets variables and replaces functions of other packages.
    """
    if "ultralytics" in sys.modules:
        yield
        return
    import PIL.Image
    import torch

    before, threads, printing = dict(os.environ), cv2.getNumThreads(), np.get_printoptions()
    functions = (torch, "save"), (PIL.Image, "open"), (cv2, "imread"), (cv2, "imwrite")
    replaced = [(owner, name, getattr(owner, name)) for owner, name in functions]
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(YOLO_CONFIG_DIR=folder, YOLO_OFFLINE="true", YOLO_VERBOSE="false")
        try:
            import ultralytics.nn.tasks  # noqa: F401
        finally:
            for name in set(os.environ) - set(before):
                del os.environ[name]
            os.environ.update(before)
            cv2.setNumThreads(threads)
            np.set_printoptions(**printing)
            for owner, name, function in replaced:
                setattr(owner, name, function)
    yield
