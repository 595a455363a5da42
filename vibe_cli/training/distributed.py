"""Where a training runs: one process or several, on CPU or CUDA, in which precision.

Several processes are started by torchrun, which tells each its place in the environment; they share the pieces of
every step and descend on the mean of their gradients (DistributedDataParallel), so that W processes with a piece each
do what one process does with W pieces.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from vibe_cli.errors import UsageError

PRECISIONS = {"auto": None, "float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; where it does not, emulation is ten times slower."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


@dataclass(frozen=True)
class ProcessContext:
    """One process's place in a run."""

    device: torch.device = torch.device("cpu")
    rank: int = 0
    count: int = 1
    precision: str = "auto"

    @property
    def is_main(self) -> bool:
        """Whether this process writes and tells."""
        return self.rank == 0

    @property
    def fast_bfloat16(self) -> bool:
        """Whether this device multiplies bfloat16 in hardware."""
        if self.device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return fast_bfloat16()

    def share(self, micro_batches: int) -> list[int]:
        """The pieces of a step that are this process's; UsageError where they cannot be shared evenly."""
        if micro_batches < 1 or micro_batches % self.count:
            raise UsageError(
                f"{micro_batches} pieces a step cannot be shared by {self.count} processes",
                hint=f"use --set micro_batches={self.count}, or a multiple of it",
            )
        return list(range(self.rank, micro_batches, self.count))

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are the processes' mean."""
        if self.count == 1:
            return module
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(module, device_ids=[self.device] if self.device.type == "cuda" else None)

    def autocast(self) -> AbstractContextManager:
        """The precision of forward passes."""
        kind = PRECISIONS[self.precision]
        return nullcontext() if kind is None else torch.autocast(self.device.type, dtype=kind)

    def pictures(self) -> AbstractContextManager:
        """The precision of networks that look at pictures: by `auto` bfloat16, where this device multiplies it."""
        if self.precision != "auto":
            return self.autocast()
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.fast_bfloat16)

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps small gradients of float16 from vanishing; does nothing in other precisions."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "float16")

    def mean(self, values: list[float]) -> list[float]:
        """The processes' mean of numbers."""
        if self.count == 1 or not values:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(sums)
        return (sums / self.count).tolist()

    def broadcast_bool(self, answer: bool) -> bool:
        """The first process's answer, in all of them: their clocks differ."""
        return bool(self.broadcast(answer))

    def broadcast(self, number: float) -> float:
        """The first process's number, in all of them."""
        if self.count == 1:
            return number
        said = torch.tensor([number], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(said, 0)
        return said.item()

    def leave(self) -> None:
        """Wait for the others and part."""
        if self.count > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()


def process_context(device: str = "auto", precision: str = "auto") -> ProcessContext:
    """This process's place: alone, or as torchrun says. UsageError for what this machine does not have."""
    cuda = torch.cuda.is_available()
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {device!r}", hint="choose auto, cpu or cuda")
    if device == "cuda" and not cuda:
        raise UsageError("no CUDA device here", hint="use --device cpu, or run vibe doctor")
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}", hint="choose one of: " + ", ".join(PRECISIONS))
    kind = "cuda" if cuda and device != "cpu" else "cpu"
    if kind == "cpu" and precision == "float16":
        raise UsageError("float16 is for CUDA", hint="use bfloat16 or float32")
    if kind == "cpu" and precision == "bfloat16" and not fast_bfloat16():
        raise UsageError("this CPU has no bfloat16 and would emulate it, ten times slower", hint="use float32")
    count, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    where = torch.device(kind, int(os.environ.get("LOCAL_RANK", 0))) if kind == "cuda" else torch.device("cpu")
    if count > 1:
        torch.distributed.init_process_group("nccl" if kind == "cuda" else "gloo", rank=rank, world_size=count)
    if kind == "cuda":
        torch.cuda.set_device(where)
    return ProcessContext(where, rank, count, precision)
