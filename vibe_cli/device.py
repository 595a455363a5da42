"""Where and how the networks run: the device, the number format, batches that shrink when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from vibe_cli.errors import NotEnoughMemory, UsageError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")
OUT_OF_MEMORY = ("out of memory", "not enough memory", "defaultcpuallocator", "_alloc_failed")

Item = TypeVar("Item")


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes cuda, then mps, then cpu. UsageError when it is not there."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    if name not in DEVICES:
        raise UsageError(f"no such device: {name}", hint="choose one of: " + ", ".join(DEVICES))
    if not there[name]:
        usable = ", ".join(kind for kind, found in there.items() if found)
        raise UsageError(
            f"the device {name} is not available here", hint=f"use --device auto, or one of those found: {usable}"
        )
    return torch.device(name)


def choose_dtype(device: torch.device, precision: str = "auto") -> torch.dtype:
    """The number format for `precision`; "auto" takes bfloat16 only where the hardware multiplies it natively.

    Native means tensor cores (compute capability 8 or later) on cuda and AMX tiles on a CPU; elsewhere
    bfloat16 is emulated and slower than float32. UsageError when bfloat16 is asked for and cannot run.
    """
    import torch

    if precision not in PRECISIONS:
        raise UsageError(f"no such precision: {precision}", hint="choose one of: " + ", ".join(PRECISIONS))
    if precision == "float32":
        return torch.float32
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
        native = device.type == "cpu" and amx is not None and bool(amx())
    if precision == "bfloat16":
        if device.type == "mps":
            raise UsageError("bfloat16 is not supported on mps", hint="use --precision float32")
        return torch.bfloat16
    return torch.bfloat16 if native else torch.float32


def exactly(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that computes in single precision at least, whatever its caller's autocast: in half
    precision a joint is off by millimetres."""

    @wraps(function)
    def in_full(*args: Any) -> Any:
        import torch

        tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
        half = (torch.float16, torch.bfloat16)
        with torch.autocast(tensors[0].device.type, enabled=False):
            return function(
                *(arg.float() if isinstance(arg, torch.Tensor) and arg.dtype in half else arg for arg in args)
            )

    return in_full


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the host or the device has run out of memory."""
    import torch

    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in OUT_OF_MEMORY)


def halving_batches(
    run: Callable[[list[Item]], Sequence[Any]],
    items: Iterable[Item],
    batch_size: int,
    warn: Callable[[str], None] = lambda message: None,
) -> Iterator[Any]:
    """Yield `run`'s result for every item, in order, running it over batches of at most `batch_size`.

    `run` takes a list of items and returns one result an item (a sequence, or an array along its first
    axis). Items are drawn lazily, a batch at a time. When memory runs out the batch is halved, `warn` is
    told, the same items are run again and the smaller size is kept. UsageError when one item is too much.
    """
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size}: at least 1 is needed", hint="use --batch-size 1 or more")
    source = iter(items)
    waiting: list[Item] = []
    while True:
        waiting += islice(source, max(0, batch_size - len(waiting)))
        if not waiting:
            return
        batch = waiting[:batch_size]
        results = _run_unless_full(run, batch)
        if results is not None:
            if len(results) != len(batch):
                raise ValueError(f"{len(results)} results for {len(batch)} items")
            yield from results
            waiting = waiting[len(batch) :]
            continue
        _release_memory()
        if len(batch) == 1:
            raise NotEnoughMemory(
                "not enough memory for a batch of one", hint="close other programs, or use --device cpu"
            )
        batch_size = len(batch) // 2
        warn(f"out of memory: going on with batches of {batch_size}")


def _run_unless_full(run: Callable[[list[Item]], Sequence[Any]], batch: list[Item]) -> Sequence[Any] | None:
    """`run(batch)`, or None when memory ran out (the exception, and the tensors its frames hold, are gone)."""
    try:
        return run(batch)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def _release_memory() -> None:
    """Give back what the failed batch still holds."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
