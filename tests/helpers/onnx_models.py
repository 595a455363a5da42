"""Tiny networks in ONNX files whose answers are known: constants, or what the picture itself says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_constant(path: Path, outputs: dict[str, np.ndarray], size: tuple[int | str, int | str]) -> Path:
    """A network that puts out these arrays, float32 or int64, plus nothing times what it sees, once a picture.

    An array's first side is the one picture's; the batch is free.
    """
    nodes, initial, told = [], [], []
    nodes.append(helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1))
    nodes.append(helper.make_node("Mul", ["mean", "nothing"], ["zero"]))
    initial.append(numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
    for name, array in outputs.items():
        initial.append(numpy_helper.from_array(array.astype(np.float32), f"{name}_values"))
        shape = ["batch", *[1] * (array.ndim - 1)]
        initial.append(numpy_helper.from_array(np.array([-1, *shape[1:]], np.int64), f"{name}_shape"))
        nodes.append(helper.make_node("Reshape", ["zero", f"{name}_shape"], [f"{name}_zero"]))
        whole = array.dtype.kind == "i"
        nodes.append(helper.make_node("Add", [f"{name}_zero", f"{name}_values"], [f"{name}_sum" if whole else name]))
        if whole:
            nodes.append(helper.make_node("Cast", [f"{name}_sum"], [name], to=TensorProto.INT64))
        kind = TensorProto.INT64 if whole else TensorProto.FLOAT
        told.append(helper.make_tensor_value_info(name, kind, ["batch", *array.shape[1:]]))
    return save(path, nodes, initial, told, ["batch", 3, *size])


def write_seen(path: Path, size: tuple[int, int], parts: int = 1) -> Path:
    """A network whose heat maps (N, 17, H, W) are the picture's first channel, as it was given."""
    ones = numpy_helper.from_array(np.ones((1, 17, 1, 1), np.float32), "ones")
    nodes = [
        helper.make_node("Slice", ["images", "start", "end", "axis"], ["first"]),
        helper.make_node("Mul", ["first", "ones"], ["maps"]),
    ]
    ends = [numpy_helper.from_array(np.array([v], np.int64), n) for n, v in (("start", 0), ("end", 1), ("axis", 1))]
    told = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["batch", 17, *size])]
    return save(path, nodes, [ones, *ends], told, ["batch", 3, *size])


def save(path: Path, nodes: list, initial: list, outputs: list, shape: list) -> Path:
    """Write a graph of one input named images."""
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "tiny", [given], outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


def yolox_rows(size: tuple[int, int], people: list[tuple[float, ...]], decoded: bool = False) -> np.ndarray:
    """YOLOX's output (1, A, 7) of two classes for people (stride, column, row, width, height, score, class): each in
    the cell of that stride, its middle a quarter of a cell off the cell's corner."""
    rows = []
    for stride in (8, 16, 32):
        for row in range(size[0] // stride):
            for column in range(size[1] // stride):
                one = np.zeros(7)
                one[:4] = (0.5, 0.5, -1.0, -1.0)
                for at, x, y, width, height, score, kind in people:
                    if (at, x, y) == (stride, column, row):
                        one[:4] = 0.25, 0.25, np.log(width / stride), np.log(height / stride)
                        one[4], one[5 + int(kind)] = 1.0, score
                if decoded:
                    one[:2] = (one[:2] + [column, row]) * stride
                    one[2:4] = np.exp(one[2:4]) * stride
                rows.append(one)
    return np.array(rows)[None].astype(np.float32)
