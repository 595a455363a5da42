"""Optical flow of a person: where each point of a crop was in the frame before.

The flow of frame t is (S, S, 2) in pixels of its crop: what frame t shows at crop pixel (x, y) was at
(x + u, y + v) in the frame before, both frames cut with frame t's own square box. So a box that follows a person
hides nothing of their motion, and o_i leads from frame i back to frame i − 1, as DTS-VIBE's equation 9 uses it.

Edge rule: a track's first frame has no frame before it that anybody was followed in; its flow is zero.

Two methods: OpenCV's DIS (Kroeger et al. 2016), which needs no weights, and torchvision's RAFT (Teed and Deng
2020), whose weights are used where they lie already and are never downloaded. A network says which one it was
trained with; another would show it other pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, overload

import cv2
import numpy as np

from vibe_cli.errors import ModelError
from vibe_cli.paths import user_models_dir

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FULL_SPEED = 0.125  # of a crop's side a frame: the motion that is as bright as a flow image gets
RAFT_SIDE = 128  # pixels; RAFT needs crops at least this large


class FlowMethod(Protocol):
    """Finds the flow between pictures."""

    def between(self, crops: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Pictures (N, S, S, 3) RGB uint8 and those before them → flow (N, S, S, 2) float32, pixels."""
        ...


class DisFlow:
    """OpenCV's dense inverse search on the grey picture, pair by pair."""

    def between(self, crops: np.ndarray, before: np.ndarray) -> np.ndarray:
        """See FlowMethod. S must be at least 12."""
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        grey = ([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in row] for row in (crops, before))
        return np.stack(
            [
                search.calc(now, then, None)  # type: ignore[call-overload]  # cv2's types want the flow to begin at
                for now, then in zip(*grey, strict=True)
            ]
        )


class RaftFlow:
    """torchvision's RAFT."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network, self.device = network.to(device).eval(), device

    def between(self, crops: np.ndarray, before: np.ndarray) -> np.ndarray:
        """See FlowMethod. S must be a multiple of 8 and at least RAFT_SIDE, else ModelError."""
        import torch

        side = crops.shape[1]
        if side < RAFT_SIDE or side % 8:
            raise ModelError(
                f"RAFT cannot see crops of {side} pixels",
                hint=f"the encoder's crops must be a multiple of 8 and at least {RAFT_SIDE}",
            )
        now, then = (
            torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(self.device) / 127.5 - 1
            for x in (crops, before)
        )
        with torch.inference_mode():
            flow = self.network(now, then)[-1]
        return flow.permute(0, 2, 3, 1).float().cpu().numpy()


@overload
def open_flow(name: str, device: torch.device) -> FlowMethod: ...


@overload
def open_flow(name: str | None, device: torch.device) -> FlowMethod | None: ...


def open_flow(name: str | None, device: torch.device) -> FlowMethod | None:
    """The method of that name; None for None. ModelError for an unknown name, or where RAFT's weights are not."""
    if name is None:
        return None
    if name not in METHODS:
        raise ModelError(f"unknown optical flow {name!r}", hint="choose one of: " + ", ".join(METHODS))
    return METHODS[name](device)


def flow_back(method: FlowMethod, crops: np.ndarray, before: Sequence[np.ndarray | None]) -> np.ndarray:
    """Crops (N, S, S, 3) and the same squares of the frames before, or None → flow (N, S, S, 2); None gives zero."""
    flow = np.zeros((*crops.shape[:3], 2), np.float32)
    there = {row: picture for row, picture in enumerate(before) if picture is not None}
    if there:
        flow[list(there)] = method.between(crops[list(there)], np.stack(list(there.values())))
    return flow


def flow_images(flow: np.ndarray) -> Tensor:
    """Flow (N, S, S, 2) in crop pixels → what a flow encoder sees: (N, 3, S, S) float32 in −1..1.

    The channels are u, v and the speed, 1 at FULL_SPEED of the crop's side and clipped there: the size of a
    crop does not show in them, and one wild vector does not outshine the rest.
    """
    import torch

    unit = FULL_SPEED * flow.shape[1]
    channels = np.concatenate([flow, np.linalg.norm(flow, axis=-1, keepdims=True)], axis=-1) / unit
    return torch.from_numpy(np.ascontiguousarray(channels.clip(-1, 1).transpose(0, 3, 1, 2), np.float32))


def _raft(kind: str) -> Callable[[torch.device], RaftFlow]:
    """Opens torchvision's RAFT of a kind, large or small, with the weights that torchvision names as its best."""

    def start(device: torch.device) -> RaftFlow:
        from torchvision.models import optical_flow

        from vibe_cli.importing.safe_read import read_checkpoint
        from vibe_cli.networks import check_weights

        url = getattr(optical_flow, f"Raft_{kind.title()}_Weights").DEFAULT.url
        path = _find_weights(url)
        weights = read_checkpoint(path)
        network = getattr(optical_flow, f"raft_{kind}")(weights=None, progress=False)
        check_weights(network, weights, path)
        network.load_state_dict(weights)
        return RaftFlow(network, device)

    return start


def _find_weights(url: str) -> Path:
    """Where a file of torchvision lies: the user's model folder, or where torchvision itself would look."""
    import torch

    name = url.rpartition("/")[2]
    folders = (user_models_dir(), Path(torch.hub.get_dir()) / "checkpoints")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ModelError(
        f"the model needs RAFT's optical flow, and its weights {name} are not here",
        hint=f"download {url} into {folders[0]}",
    )


METHODS: dict[str, Callable[[torch.device], FlowMethod]] = {
    "dis": lambda device: DisFlow(),
    "raft": _raft("large"),
    "raft-small": _raft("small"),
}
