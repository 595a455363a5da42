"""Workers on a Ray cluster: the same clips, limits and reports as on one machine, on folders that all nodes share."""

from __future__ import annotations

import os
import warnings
from typing import Any

from vibe_cli.batch.plan import Clip
from vibe_cli.batch.pool import Event
from vibe_cli.batch.work import Row, Setup, work
from vibe_cli.errors import UsageError


class RayWorker:
    """The actor on a node: it holds one model and does one clip at a time."""

    def __init__(self, setup: Setup) -> None:
        warnings.simplefilter("ignore")
        self._setup = setup

    def load(self, model: bool) -> Exception | None:
        """Load the model, where one is needed; what kept it from being loaded."""
        try:
            _ = self._setup.job.model if model else None
        except Exception as error:
            return error
        return None

    def work(self, clip: Clip) -> Row:
        """Do a clip."""
        return work(clip, self._setup)


class RayPool:
    """Actors of a Ray cluster, each with its share of the processors and GPUs; one clip at a time is theirs, so that
    nothing piles up."""

    def __init__(self, size: int, setup: Setup, load: bool, address: str | None, gpus: float | None) -> None:
        """`gpus` is each worker's share; None shares what the cluster has among `size` workers."""
        self._ray = _connect(address)
        self.size = size
        self._setup, self._load = setup, load
        there = self._ray.cluster_resources()
        cpus = max(1, int(there.get("CPU", 1)) // size)
        share = _share(float(there.get("GPU", 0)), size) if gpus is None else gpus
        self._class = self._ray.remote(RayWorker).options(num_cpus=cpus, num_gpus=share, max_restarts=0)
        self._actors: dict[int, Any] = {}
        self._loading: dict[Any, tuple[int, Clip]] = {}  # by the reference of what is awaited
        self._working: dict[Any, int] = {}

    def begin(self, slot: int, clip: Clip) -> None:
        """Give a clip to the worker of a slot that has none."""
        if slot not in self._actors:
            self._actors[slot] = self._class.remote(self._setup)
        self._loading[self._actors[slot].load.remote(self._load)] = (slot, clip)

    def wait(self, seconds: float) -> list[Event]:
        """The next event, or nothing after so many seconds."""
        awaited = [*self._loading, *self._working]
        done, _ = self._ray.wait(awaited, num_returns=1, timeout=seconds)
        return [self._event(reference) for reference in done]

    def _event(self, reference: Any) -> Event:
        loaded = self._loading.pop(reference, None)
        slot = loaded[0] if loaded else self._working.pop(reference)
        try:
            value = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self.end(slot)
            return Event(slot, "dead", f"its Ray worker died ({type(error).__name__})")
        if loaded is None:
            return Event(slot, "row", value)
        if value is not None:
            return Event(slot, "unfit", value)
        self._working[self._actors[slot].work.remote(loaded[1])] = slot
        return Event(slot, "started")

    def end(self, slot: int) -> None:
        """End the worker of a slot, whatever it does; nothing more is heard of it."""
        if slot in self._actors:
            self._ray.kill(self._actors.pop(slot))
        self._loading = {reference: held for reference, held in self._loading.items() if held[0] != slot}
        self._working = {reference: held for reference, held in self._working.items() if held != slot}

    def close(self) -> None:
        """End all workers, and a cluster that was started for them."""
        for slot in list(self._actors):
            self.end(slot)
        self._ray.shutdown()


def _connect(address: str | None) -> Any:
    """Ray, connected to a cluster, or to one of this machine's own; UsageError where there is none."""
    try:
        import ray
    except ImportError:
        raise UsageError("Ray is not installed", hint="pip install 'vibe-cli[ray]', or use --engine local") from None
    if ray.is_initialized():
        return ray
    home = os.environ.get("VIBE_HOME")
    settings: dict[str, Any] = {"runtime_env": {"env_vars": {"VIBE_HOME": home}}} if home and address else {}
    if address is None:
        address, settings = "local", {"include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **settings)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UsageError(
            f"no Ray cluster at {address} ({type(error).__name__})",
            hint="start one: ray start --head, or leave --address out",
        ) from None
    return ray


def _share(gpus: float, workers: int) -> float:
    """Each worker's share of the GPUs: whole ones where there are enough, which is how Ray deals them out."""
    if not gpus:
        return 0.0
    return float(int(gpus / workers)) if gpus >= workers else 1 / -(-workers // int(gpus))
