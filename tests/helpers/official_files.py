"""Stand-ins for the published files: the right names and shapes, and numbers of no meaning."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import torch

from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from vibe_cli.importing.checkpoints import KINDS
from vibe_cli.networks import build_network


def zeros_of(name: str) -> dict[str, torch.Tensor]:
    """Weights of a published network, zero and of one byte each: only names and shapes count here."""
    with torch.device("meta"):
        network = build_network({"network": name})
    return {key: torch.zeros(value.shape, dtype=torch.int8) for key, value in network.state_dict().items()}


def body_buffers(prefix: str) -> dict[str, torch.Tensor]:
    """The stand-in body as the published checkpoints keep it."""
    arrays = smpl_arrays()
    buffers = {
        name: torch.tensor(np.asarray(arrays[name], dtype=np.float32))
        for name in ("v_template", "shapedirs", "J_regressor")
    }
    posedirs = torch.tensor(arrays["posedirs"], dtype=torch.float32).reshape(-1, 207).T.contiguous()
    buffers |= {
        "posedirs": posedirs,
        "lbs_weights": torch.tensor(arrays["weights"], dtype=torch.float32),
        "faces_tensor": torch.tensor(arrays["f"].astype(np.int64)),
        "betas": torch.zeros(1, 10),
        "parents": torch.tensor([-1, *arrays["kintree_table"][0, 1:].astype(np.int64).tolist()]),
        "J_regressor_extra": torch.tensor(extra_regressor(), dtype=torch.float32),
    }
    return {prefix + name: value for name, value in buffers.items()}


def write_official_files(folder: Path) -> dict[str, Path]:
    """One file of each kind, none of them under its usual name. TCMR's holds no body."""
    made = {kind: folder / f"file{number}.bin" for number, kind in enumerate(KINDS)}
    spin = zeros_of("backbone") | zeros_of("regressor")
    torch.save({"model": spin, "optimizer": {"lr": 1}}, made["spin"])
    vibe = zeros_of("vibe") | body_buffers("regressor.smpl.")
    checkpoint = {
        "gen_state_dict": vibe,
        "epoch": 9,
        "performance": np.float32(56.5),
        "disc_motion_state_dict": {"odd": torch.zeros(1)},
    }
    torch.save(checkpoint, made["vibe"], _use_new_zipfile_serialization=False)
    torch.save({"gen_state_dict": zeros_of("tcmr")}, made["tcmr"])
    write_official_pickle(made["smpl"], smpl_arrays())
    for kind, value in (("joints-extra", extra_regressor()), ("joints-h36m", extra_regressor(17))):
        with open(made[kind], "wb") as file:
            np.save(file, value)
    with open(made["mean-params"], "wb") as file:
        np.savez(file, pose=np.zeros(144, np.float32), shape=np.zeros(10), cam=np.array([0.9, 0, 0]))
    return made


def write_yolo(path: Path) -> None:
    """A checkpoint that asks for ultralytics' model class, as YOLO's do; nothing else of it is there."""
    names = ("ultralytics", "ultralytics.nn", "ultralytics.nn.tasks")
    kept = {name: sys.modules.get(name) for name in names}
    kind = type("DetectionModel", (), {"__module__": names[-1]})
    sys.modules.update({name: types.ModuleType(name) for name in names})
    sys.modules[names[-1]].DetectionModel = kind
    try:
        torch.save({"epoch": -1, "model": kind()}, path)
    finally:
        for name, module in kept.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
