"""A reader of binary glTF of the tests' own, after the specification: it poses nodes and skins at a time."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

_TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_SIZES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Gltf:
    """One file."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack("<4sII", data[:12])
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack("<I4s", data[12:20])
        assert kind == b"JSON"
        self.json = json.loads(data[20 : 20 + size])
        self.binary = data[28 + size :]
        self.names = [node["name"] for node in self.json["nodes"]]

    def array(self, accessor: int) -> np.ndarray:
        """(count, numbers of one) of an accessor."""
        facts = self.json["accessors"][accessor]
        view = self.json["bufferViews"][facts["bufferView"]]
        count = facts["count"] * _SIZES[facts["type"]]
        flat = np.frombuffer(self.binary, _TYPES[facts["componentType"]], count, view.get("byteOffset", 0))
        return flat.reshape(facts["count"], -1)

    def times(self) -> list[np.ndarray]:
        """The times of each sampler."""
        return [self.array(sampler["input"])[:, 0] for sampler in self.json["animations"][0]["samplers"]]

    def world(self, time: float | None) -> np.ndarray:
        """(nodes, 4, 4) where each node is in the world at a time, or at rest."""
        nodes = [dict(node) for node in self.json["nodes"]]
        for channel in self.json["animations"][0]["channels"] if time is not None else []:
            sampler = self.json["animations"][0]["samplers"][channel["sampler"]]
            times, values = self.array(sampler["input"])[:, 0], self.array(sampler["output"])
            nodes[channel["target"]["node"]][channel["target"]["path"]] = _at(
                time, times, values, sampler.get("interpolation", "LINEAR")
            )
        world = np.tile(np.eye(4), (len(nodes), 1, 1))

        def go(node: int, above: np.ndarray) -> None:
            world[node] = above @ _local(nodes[node])
            for child in nodes[node].get("children", []):
                go(child, world[node])

        for root in self.json["scenes"][self.json["scene"]]["nodes"]:
            go(root, np.eye(4))
        return world

    def skinned(self, skin: int, time: float | None) -> np.ndarray:
        """(V, 3) the vertices of the node with a skin."""
        (node,) = [node for node in self.json["nodes"] if node.get("skin") == skin]
        attributes = self.json["meshes"][node["mesh"]]["primitives"][0]["attributes"]
        facts = self.json["skins"][skin]
        inverse = self.array(facts["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        moved = self.world(time)[facts["joints"]] @ inverse
        sets = [number for number in range(2) if f"JOINTS_{number}" in attributes]
        bones = np.concatenate([self.array(attributes[f"JOINTS_{number}"]) for number in sets], axis=1)
        weights = np.concatenate([self.array(attributes[f"WEIGHTS_{number}"]) for number in sets], axis=1)
        points = np.c_[self.array(attributes["POSITION"]), np.ones(len(bones))]
        return np.einsum("vk,vkab,vb->va", weights, moved[bones], points)[:, :3]


def _at(time: float, times: np.ndarray, values: np.ndarray, way: str) -> np.ndarray:
    after = int(np.clip(np.searchsorted(times, time, "right"), 0, len(times)))
    if after in (0, len(times)) or way == "STEP":
        return values[max(after - 1, 0)]
    share = (time - times[after - 1]) / (times[after] - times[after - 1])
    mixed = (1 - share) * values[after - 1] + share * values[after]
    return mixed / np.linalg.norm(mixed) if values.shape[1] == 4 else mixed


def _local(node: dict) -> np.ndarray:
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= node.get("scale", (1, 1, 1))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix
