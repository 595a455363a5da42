"""Devices, number formats, and batches that shrink when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from vibe_cli import device as devices
from vibe_cli.device import choose_device, choose_dtype, halving_batches, is_out_of_memory
from vibe_cli.errors import UsageError

ERRORS = [
    MemoryError(),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]


@pytest.fixture
def bare(monkeypatch) -> None:
    """A machine with a CPU only."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_takes_the_fastest_device_there_is(bare, monkeypatch) -> None:
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_a_usage_error_that_says_what_is(bare, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is not available") as caught:
        choose_device(name)
    assert "cpu" in caught.value.hint


def test_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="no such device: tpu"):
        choose_device("tpu")
    with pytest.raises(UsageError, match="no such precision: float8"):
        choose_dtype(torch.device("cpu"), "float8")


def test_precision_is_as_asked_and_auto_is_fast_only_where_hardware_is(monkeypatch) -> None:
    cpu, cuda, mps = (torch.device(kind) for kind in ("cpu", "cuda", "mps"))
    assert choose_dtype(cpu, "float32") == torch.float32 and choose_dtype(cpu, "bfloat16") == torch.bfloat16
    for amx, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx, raising=False)
        assert choose_dtype(cpu, "auto") == expected
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert choose_dtype(cpu, "auto") == torch.float32
    for capability, expected in (((9, 0), torch.bfloat16), ((7, 5), torch.float32)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where, c=capability: c)
        assert choose_dtype(cuda, "auto") == expected
    assert choose_dtype(mps, "auto") == torch.float32
    with pytest.raises(UsageError, match="bfloat16"):
        choose_dtype(mps, "bfloat16")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__ + str(error)[:12])
def test_running_out_of_memory_halves_the_batch_with_the_same_results(error: Exception) -> None:
    tried, warnings = [], []

    def square(items: list[int]) -> list[int]:
        tried.append(len(items))
        if len(items) > 3:
            raise error
        return [item * item for item in items]

    results = list(halving_batches(square, range(17), 16, warnings.append))
    assert results == [n * n for n in range(17)]
    assert tried == [16, 8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 1]  # the smaller size is kept
    assert len(warnings) == 3 and "batches of 2" in warnings[-1]


def test_any_other_error_is_not_swallowed() -> None:
    def broken(items: list[int]) -> list[int]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        list(halving_batches(broken, range(4), 2))
    assert not is_out_of_memory(RuntimeError("shapes")) and not is_out_of_memory(ValueError("out of memory"))


def test_one_item_that_does_not_fit_is_an_error_that_says_so() -> None:
    def full(items: list[int]) -> list[int]:
        raise MemoryError

    with pytest.raises(UsageError, match="not enough memory") as caught:
        list(halving_batches(full, range(4), 4))
    assert caught.value.hint


@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_the_batch_size_changes_no_result_and_arrays_are_taken_row_by_row(size: int) -> None:
    rows = list(halving_batches(lambda items: np.array(items)[:, None] + [0.0, 0.5], range(7), size))
    assert np.array_equal(rows, np.arange(7)[:, None] + [0.0, 0.5])


def test_items_are_drawn_no_further_ahead_than_a_batch() -> None:
    drawn = []

    def source() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    results = halving_batches(lambda items: items, source(), 8)
    assert next(results) == 0 and len(drawn) == 8


def test_memory_of_the_failed_batch_is_given_back_before_the_next_try(monkeypatch) -> None:
    order = []
    monkeypatch.setattr(devices, "_release_memory", lambda: order.append("release"))

    def run(items: list[int]) -> list[int]:
        order.append(len(items))
        if len(items) > 1:
            raise MemoryError
        return items

    assert list(halving_batches(run, range(2), 2)) == [0, 1]
    assert order == [2, "release", 1, 1]


def test_results_that_do_not_match_their_items_are_our_mistake() -> None:
    with pytest.raises(ValueError, match="1 results for 2 items"):
        list(halving_batches(lambda items: items[:1], range(2), 2))
    with pytest.raises(UsageError, match="batch size 0"):
        list(halving_batches(lambda items: items, range(2), 0))
    assert list(halving_batches(lambda items: items, [], 4)) == []
