"""The published files that a user may own, told apart by content, and their weights under our names.

Checkpoints of SPIN, VIBE and TCMR, SMPL body files, mean parameters and joint regressors. Reading is
strict: names that are missing, unexpected or of another shape are listed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch

from vibe_cli.errors import ModelError
from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.importing.safe_pickle import Refused
from vibe_cli.importing.safe_read import read_checkpoint, read_npy, read_npz, read_pickle, sniff
from vibe_cli.importing.systems import TCMR_DATA, VIBE_DATA
from vibe_cli.networks import build_network, check_weights, configuration, describe
from vibe_cli.paths import user_models_dir

if TYPE_CHECKING:
    from torch import Tensor

SMPL_VERTICES = 6890
_MOST_NUMBERS = 2**25  # in one array; SMPL's largest has a fifth of it
_SMPL_LICENCE = "SMPL body licence (Max Planck): non-commercial research, see smpl.is.tue.mpg.de"
_STATED = "as its authors state"


@dataclass(frozen=True)
class Kind:
    """A kind of official file."""

    what: str  # in a phrase
    where: str  # where it comes from
    licence: str
    needs: tuple[str, ...] = ()  # kinds that must be there too before it can be used


KINDS = {
    "spin": Kind(
        "SPIN: ResNet-50 image encoder and single-frame regressor",
        VIBE_DATA,
        "non-commercial research, " + _STATED + "; holds SMPL data",
    ),
    "vibe": Kind(
        "VIBE: temporal encoder and regressor",
        VIBE_DATA,
        "non-commercial research, " + _STATED + "; holds SMPL data",
        ("spin",),
    ),
    "tcmr": Kind(
        "TCMR: temporal encoder and regressor of the middle frame",
        TCMR_DATA,
        _STATED + "; holds SMPL data",
        ("spin",),
    ),
    "smpl": Kind("SMPL body", "smpl.is.tue.mpg.de (free account)", _SMPL_LICENCE, ("joints-extra",)),
    "mean-params": Kind("mean pose, shape and camera", VIBE_DATA, _STATED),
    "joints-extra": Kind("regressor of 9 extra joints from SMPL's vertices", VIBE_DATA, _STATED),
    "joints-h36m": Kind("regressor of Human3.6M's 17 joints from SMPL's vertices", VIBE_DATA, _STATED),
}


@dataclass(frozen=True, eq=False)
class OfficialFile:
    """The content of an official file, under our names."""

    kind: str  # a key of KINDS
    path: Path
    parts: dict[str, dict[str, Tensor]]  # weights, body, regressor, discriminator: what there is
    network: dict | None = None  # configuration of the weights, for `load_network`
    notes: dict[str, Any] = field(default_factory=dict)  # epoch, score, what was left out and why


class YoloFile(ModelError):
    """Ultralytics' weights, which are used as they are; the hint says how."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}: ultralytics (YOLO) weights, which are not imported but used as they are",
            hint=f"name the file: vibe demo CLIP --detector {path}, or of a pose model: --keypoints {path}"
            f"; a detector copied into {user_models_dir()} under a name like yolo*.pt is used "
            "from then on",
        )


class UnknownFile(ModelError):
    """A file that was read, safely and whole, and is no official one; `content` is what it holds."""

    def __init__(self, path: Path, container: str, content: Any) -> None:
        known = "; ".join(sorted({kind.what for kind in KINDS.values()}))
        super().__init__(
            f"{path}: not an official file that vibe knows (its container: {container})", hint=f"known are: {known}"
        )
        self.content = content


def recognise(path: Path | str) -> str:
    """The kind of an official file, a key of KINDS; ModelError where it is none."""
    return read_official(path).kind


def read_official(path: Path | str) -> OfficialFile:
    """Recognise a file by its content, check it and read it; ModelError says what does not fit.

    YoloFile, a ModelError, where it is ultralytics'; UnknownFile, another, where it is none of these.
    """
    path = Path(path)
    container = sniff(path)
    readers: dict[str, tuple[Callable[[Path], Any], Callable[[Any, Path], OfficialFile | None]]] = {
        "torch": (read_checkpoint, _from_checkpoint),
        "npz": (read_npz, _from_arrays),
        "npy": (read_npy, _from_regressor),
        "pickle": (read_pickle, _from_arrays),
    }
    if container == "compressed":
        raise ModelError(
            f"{path}: a compressed file, which vibe does not read",
            hint="decompress it, or, if it is joblib's, write it again without compression",
        )
    if container not in readers:
        raise UnknownFile(path, container, None)
    read, interpret = readers[container]
    try:
        content = read(path)
    except Refused as refused:
        if refused.asked.startswith("ultralytics."):
            raise YoloFile(path) from None
        raise
    if (found := interpret(content, path)) is None:
        raise UnknownFile(path, container, content)
    return found


def smpl_tensors(content: Mapping[str, Any], path: Path | str) -> dict[str, Tensor]:
    """SMPL's arrays under any of their published names → float32 tensors under ours, shapes checked.

    v_template (V, 3), faces (F, 3) int64, shapedirs (V, 3, 10), posedirs (V, 3, 207), J_regressor (24, V),
    lbs_weights (V, 24) and, where the file has it, J_regressor_extra (9, V).
    """
    aliases = {"faces": ("faces", "f", "faces_tensor"), "lbs_weights": ("lbs_weights", "weights")}
    tensors = {}
    for name in ("v_template", "faces", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "J_regressor_extra"):
        found = [content[key] for key in aliases.get(name, (name,)) if content.get(key) is not None]
        if found:
            dtype = torch.int64 if name == "faces" else torch.float32
            tensors[name] = _tensor(found[0], dtype, f"{path}: {name}")
    if "lbs_weights" in tensors and tensors["lbs_weights"].shape[-1] != 24:
        raise ModelError(
            f"{path}: a body of {tensors['lbs_weights'].shape[-1]} joints (SMPL+H or SMPL-X)",
            hint="give the SMPL file of 24 joints",
        )
    count = SMPL_VERTICES
    if "shapedirs" in tensors and tensors["shapedirs"].ndim == 3:
        tensors["shapedirs"] = tensors["shapedirs"][..., :10].contiguous()
    if "posedirs" in tensors and tensors["posedirs"].shape == (207, 3 * count):
        tensors["posedirs"] = tensors["posedirs"].T.reshape(count, 3, 207).contiguous()
    check_shapes(
        tensors,
        {
            "v_template": (count, 3),
            "faces": (None, 3),
            "shapedirs": (count, 3, 10),
            "posedirs": (count, 3, 207),
            "J_regressor": (24, count),
            "lbs_weights": (count, 24),
        },
        path,
    )
    _check_tree(content, path)
    if not 0 <= int(tensors["faces"].min()) <= int(tensors["faces"].max()) < count:
        raise ModelError(
            f"{path}: a triangle refers to a vertex that does not exist",
            hint="get the file again from its official page",
        )
    if "J_regressor_extra" in tensors:
        joint_regressor(tensors["J_regressor_extra"], 9, path)
    return tensors


def joint_regressor(matrix: Any, joints: int, path: Path | str) -> Tensor:
    """A joint regressor (joints, V) of SMPL's vertices as float32; ModelError for another shape."""
    tensor = _tensor(matrix, torch.float32, str(path))
    if tensor.shape != (joints, SMPL_VERTICES):
        raise ModelError(
            f"{path}: shape {tuple(tensor.shape)}, a regressor of {joints} joints has ({joints}, {SMPL_VERTICES})",
            hint="get the file again from its official page",
        )
    return tensor


def check_shapes(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int | None, ...]], path: Path | str) -> None:
    """ModelError unless every name is there in its shape; None admits any length."""
    problems = [f"{name} is missing" for name in shapes if name not in tensors]
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape) if name in tensors else shape
        wanted = tuple(h if w is None else w for w, h in zip(shape, found, strict=False))
        if len(found) != len(shape) or found != wanted:
            problems.append(f"{name} is {found} instead of {tuple('any' if w is None else w for w in shape)}")
    if problems:
        raise ModelError(
            f"{path}: not a usable body: {', '.join(problems)}", hint="get the file again from where it came from"
        )


def _check_tree(content: Mapping[str, Any], path: Path | str) -> None:
    """ModelError unless the joints' parents, where the file states them, are SMPL's."""
    tree = content.get("kintree_table")
    parents = tree[0] if tree is not None else content.get("parents")
    if parents is not None and list(np.asarray(parents, dtype=np.int64)[1:]) != list(PARENTS[1:]):
        raise ModelError(f"{path}: its skeleton is not SMPL's", hint="give an SMPL file of 24 joints")


def _from_arrays(content: Any, path: Path) -> OfficialFile | None:
    """A dict of arrays: an SMPL body or the mean parameters."""
    if not isinstance(content, dict):
        return None
    if {"v_template", "shapedirs", "posedirs"} <= set(content):
        arrays = {name: _unwrap(value) for name, value in content.items()}
        tensors = smpl_tensors(arrays, path)
        count = np.shape(arrays["shapedirs"])[-1]
        notes = {} if count == 10 else {"shape components": f"{count} in the file, of which 10 are used"}
        return OfficialFile("smpl", path, {"body": tensors}, notes=notes)
    sizes = {"pose": 144, "shape": 10, "cam": 3}
    if set(sizes) <= set(content) and all(np.size(content[name]) == size for name, size in sizes.items()):
        weights = {name: _tensor(content[name], torch.float32, f"{path}: {name}").flatten() for name in sizes}
        return OfficialFile("mean-params", path, {"weights": weights})
    return None


def _from_regressor(content: np.ndarray, path: Path) -> OfficialFile | None:
    """One matrix: a joint regressor, told by its number of rows."""
    kinds = {9: "joints-extra", 17: "joints-h36m"}
    if content.ndim != 2 or content.shape[0] not in kinds or content.shape[1] != SMPL_VERTICES:
        return None
    regressor = joint_regressor(content, len(content), path)
    return OfficialFile(kinds[len(content)], path, {"weights": {"regressor": regressor}})


def _from_checkpoint(content: dict[str, Any], path: Path) -> OfficialFile | None:
    """A torch checkpoint: SPIN's under `model`, VIBE's and TCMR's under `gen_state_dict`."""
    generator, model = content.get("gen_state_dict"), content.get("model")
    notes = {
        name: content[name].item() if isinstance(content[name], np.generic) else content[name]
        for name in ("epoch", "performance")
        if isinstance(content.get(name), (int, float, np.number))
    }
    if _holds_tensors(generator):
        weights, body = _split_body(generator, "regressor.smpl.", path)
        kind = next(
            (
                kind
                for kind, name in (("vibe", "encoder.gru."), ("tcmr", "encoder.gru_cur."))
                if any(key.startswith(name) for key in weights)
            ),
            None,
        )
        if kind is None:
            return None
        parts = {"weights": weights} | body
        if _holds_tensors(content.get("disc_motion_state_dict")):
            parts |= _discriminator(content["disc_motion_state_dict"], path, notes)
        return OfficialFile(kind, path, parts, _fit(kind, weights, path), notes)
    if _holds_tensors(model) and {"conv1.weight", "decpose.weight"} <= set(model):
        weights, body = _split_body(model, "smpl.", path)
        heads = ("fc1.", "fc2.", "decpose.", "decshape.", "deccam.", "init_")
        regressor = {name: weights.pop(name) for name in list(weights) if name.startswith(heads)}
        _fit("regressor", regressor, path)
        parts = {"weights": weights, "regressor": regressor} | body
        return OfficialFile("spin", path, parts, _fit("backbone", weights, path), notes)
    return None


def _fit(name: str, weights: dict[str, Tensor], path: Path) -> dict:
    """The published configuration of a network, after checking that the weights are exactly its own."""
    with torch.device("meta"):
        config = configuration({"network": name})
        network = build_network(config)
    check_weights(network, weights, path)
    return describe(config)


def _discriminator(weights: dict[str, Tensor], path: Path, notes: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """VIBE's motion discriminator, for further training; one of another form is left out and noted."""
    try:
        _fit("discriminator", weights, path)
    except ModelError as error:
        notes["discriminator"] = f"left out: {error.message}"
        return {}
    return {"discriminator": weights}


def _split_body(
    weights: dict[str, Tensor], prefix: str, path: Path
) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """A checkpoint's weights without the body, and the body; whatever else smplx kept there is left out."""
    inside = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    rest = {name: value for name, value in weights.items() if not name.startswith(prefix)}
    return rest, {"body": smpl_tensors(inside, path)} if "v_template" in inside else {}


def _holds_tensors(value: object) -> TypeGuard[dict[str, Tensor]]:
    """Whether this is a state dict."""
    return isinstance(value, dict) and all(isinstance(item, torch.Tensor) for item in value.values())


def _unwrap(value: Any) -> Any:
    """An object that an .npz keeps in an array of no dimensions → the object."""
    return value[()] if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 0 else value


def _tensor(value: Any, dtype: torch.dtype, what: str) -> Tensor:
    """An array or tensor → tensor of its own memory; ModelError where it holds no numbers, or absurdly many."""
    array = value if isinstance(value, torch.Tensor) else np.asarray(value)
    if math.prod(array.shape) > _MOST_NUMBERS:
        raise ModelError(
            f"{what}: shape {tuple(array.shape)} is that of no body", hint="get the file again from its official page"
        )
    if isinstance(array, torch.Tensor):
        return array.to(dtype)
    if array.dtype.kind not in "fiub":
        raise ModelError(f"{what}: holds no numbers", hint="get the file again from its official page")
    return torch.tensor(array.astype(np.int64 if dtype == torch.int64 else np.float32))
