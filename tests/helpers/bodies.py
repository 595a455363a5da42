"""Stand-ins for body files: random arrays in the layouts of SMPL's official file and of the open body."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from safetensors.torch import save_file

from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.importing.checkpoints import SMPL_VERTICES


def smpl_arrays(seed: int = 0, faces: int = 100) -> dict[str, object]:
    """A random body under the keys, shapes and types of SMPL_NEUTRAL.pkl."""
    g, count = np.random.default_rng(seed), SMPL_VERTICES
    joints = g.uniform(-0.9, 0.9, (24, 3))
    part = g.integers(0, 24, count)
    weights = np.zeros((count, 24))
    weights[np.arange(count), part] = 0.7
    weights[np.arange(count), g.integers(0, 24, count)] += 0.3
    regressor = np.zeros((24, count))
    for joint in range(24):
        regressor[joint, np.flatnonzero(part == joint)[:20]] = 1 / 20
    return {
        "v_template": joints[part] + g.normal(0, 0.05, (count, 3)),
        "weights": weights,
        "f": g.integers(0, count, (faces, 3)).astype(np.uint32),
        "J_regressor": regressor,
        "shapedirs": g.normal(0, 0.01, (count, 3, 10)),
        "posedirs": g.normal(0, 0.002, (count, 3, 207)),
        "kintree_table": np.array([[4294967295, *PARENTS[1:]], range(24)], dtype=np.uint32),
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }


def extra_regressor(joints: int = 9, seed: int = 1) -> np.ndarray:
    """A random regressor of `joints` joints from SMPL's vertices."""
    g = np.random.default_rng(seed)
    matrix = np.zeros((joints, SMPL_VERTICES))
    for row in matrix:
        row[g.integers(0, SMPL_VERTICES, 30)] = 1 / 30
    return matrix


def write_official_pickle(path: Path, arrays: dict[str, object], protocol: int = 2) -> None:
    """A pickle as SMPL's page gives it: some arrays as chumpy objects, J_regressor as a sparse matrix."""
    names = ("chumpy", "chumpy.ch")
    modules = {name: types.ModuleType(name) for name in names}
    kind = type("Ch", (), {"__module__": "chumpy.ch"})
    modules["chumpy.ch"].Ch = kind
    sys.modules.update(modules)
    try:
        content = dict(arrays)
        for name in ("v_template", "shapedirs", "posedirs"):
            content[name] = kind()
            content[name].x = arrays[name]
            content[name].__dict__ |= {"_dirty_vars": {"x"}, "_itr": None, "_depends_on_deps": {}}
        content["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    finally:
        for name in names:
            del sys.modules[name]


def open_tensors(count: int = 60, seed: int = 2) -> dict[str, torch.Tensor]:
    """A tiny body in the layout of models/open-body."""
    g = torch.Generator().manual_seed(seed)

    def rows(*shape: int) -> torch.Tensor:
        return torch.softmax(3 * torch.randn(*shape, generator=g), dim=-1)

    return {
        "v_template": torch.randn(count, 3, generator=g),
        "faces": torch.randint(0, count, (40, 3), generator=g, dtype=torch.int32),
        "shapedirs": 0.1 * torch.randn(count, 3, 10, generator=g),
        "J_regressor": rows(24, count),
        "lbs_weights": rows(count, 24),
        "extra_regressor": rows(30, count),
    }


def write_open_body(folder: Path, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """The folder of an open body with its weights in float16, as it is shipped."""
    tensors = tensors or open_tensors()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()},
        folder / "weights.safetensors",
    )
    return folder
