"""The training loop that every training shares: AdamW under a schedule, averaged weights, checkpoints, progress.

A run is a number of steps, or a time. Of steps, a run that was cut and resumed is the run that was not: a step's
draws hang on the seed and the step's number alone (`Loop.step_rng`), and everything else is in the checkpoint. A run
of a time serves slow machines and fast ones by one recipe; no two of them are alike, as no two clocks are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vibe_cli.errors import InputError
from vibe_cli.run_folder import replacing_file
from vibe_cli.training.distributed import ProcessContext

MEMORY = 0.99  # of the losses that are told
TELL_EVERY = 60.0  # seconds
Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    minutes: float
    rate: float  # peak learning rate; a short rise, then a cosine to zero
    decay: float = 0.02  # AdamW's
    backbone: float = 1.0  # the rate of `network.backbone`'s weights over that of all others
    warmup_steps: int = 100  # steps
    clip: float = 5.0  # largest norm of the gradient; 0: any
    average: float = 0.998  # of the averaged weights
    save_every: float = 240.0  # seconds
    steps: int | None = None  # the run is this many steps, and `minutes` counts for nothing
    pause: float | None = None  # minutes after which this call stops with a checkpoint, to be resumed
    seed: int = 0  # of a step's random numbers
    shape: str = "cosine"  # cosine | plateau: after the rise, constant, and a tenth whenever nothing improves
    epoch: int = 500  # steps of an epoch, over which plateau looks at the loss
    patience: int = 5  # epochs without a better one
    watched: str = "loss"  # what plateau looks at: the loss, or a part of it


class Stateful(Protocol):
    """Something beside the network that a run must take up again: a discriminator and its optimiser."""

    def state_dict(self) -> dict:
        """The state to save."""
        ...

    def load_state_dict(self, state: dict) -> object:
        """Take it up."""
        ...


class Loop:
    """One run: `while loop.goes_on(): loop.step(*loss_of(...))`.

    With `out` it writes checkpoints there and resumes from one that is there; `facts` are written into them, and the
    states of `others` by name. `watch` hears of every step: its number, its loss and the parts of it; `saved` of every
    checkpoint that was written.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        report: Callable[[str], None],
        name: str,
        out: Path | None = None,
        facts: dict | None = None,
        others: Mapping[str, Stateful] | None = None,
        watch: Callable[[int, dict[str, float]], None] | None = None,
        context: ProcessContext | None = None,
        saved: Callable[[Path], object] | None = None,
    ) -> None:
        self.network, self.schedule, self.report, self.name = network, schedule, report, name
        self.out, self.facts, self.others, self.watch, self.saved = out, facts or {}, others or {}, watch, saved
        self.context = context or ProcessContext()
        self._scaler = self.context.scaler()
        self.optimiser = torch.optim.AdamW(
            _groups(network, schedule.backbone), schedule.rate, weight_decay=schedule.decay
        )
        self._averaged = AveragedModel(network, multi_avg_fn=self._blend, use_buffers=True)
        self.steps, self.spent = 0, 0.0
        self._recent: dict[str, float] = {}
        self.own_rate: float | None = None  # a stage's, instead of the schedule's
        self._plateau = {"factor": 1.0, "best": math.inf, "bad": 0, "sum": 0.0}
        if out is not None and out.exists():
            self._resume(torch.load(out, weights_only=True, map_location="cpu"))
        self._first = self.steps
        self._clock = self._reported = self._saved = self._began = time.monotonic()

    @property
    def averaged(self) -> nn.Module:
        """The network with the running average of its weights."""
        return self._averaged.module

    @property
    def done(self) -> float:
        """Share of the steps, or of the time, that is spent, 0..1."""
        if self.schedule.steps is not None:
            return min(1.0, self.steps / max(1, self.schedule.steps))
        return min(1.0, self.spent / max(60 * self.schedule.minutes, 1e-6))

    @property
    def paused(self) -> bool:
        """Whether this call's time is spent, the run's being not; a call takes one step at least."""
        pause = self.schedule.pause
        return (
            pause is not None and self.done < 1 and self.steps > self._first and self._clock - self._began >= 60 * pause
        )

    def goes_on(self) -> bool:
        """Whether there is time left for a step."""
        return self.context.broadcast_bool(self.done < 1 and not self.paused)

    def step_rng(self, micro_batch: int = 0) -> np.random.Generator:
        """The step's own generator; torch's is seeded with it, so a resumed run throws what an uninterrupted one does.

        `micro_batch` tells apart the micro-batches of a step, wherever they are drawn.
        """
        seeds = np.random.SeedSequence([self.schedule.seed, self.steps, micro_batch])
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]) % (1 << 63))
        return np.random.default_rng(seeds)

    def rate(self) -> float:
        """The learning rate of the next step."""
        s = self.schedule
        warmup = min(1, (self.steps + 1) / s.warmup_steps) if s.warmup_steps else 1.0
        if s.shape == "plateau":
            return s.rate * warmup * self._plateau["factor"]
        return s.rate * warmup * (0.5 + 0.5 * math.cos(math.pi * self.done)) + 1e-6

    def step(self, loss: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Descend one step; parts of the loss are told once a minute."""
        self.optimiser.zero_grad()
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self.optimiser)
        self._descend(loss.item(), {k: v.item() for k, v in parts.items()})

    def step_on(
        self,
        micro_batches: int,
        loss_of: Callable[[np.random.Generator], tuple[Tensor, Mapping[str, Tensor]]],
        before: Callable[[], object] = lambda: None,
    ) -> None:
        """Descend one step on the mean loss of so many micro-batches, of which this process takes its share.

        Each has a random generator of its own: it is the same whichever process takes it. `before` is
        called once the gradients are there: what learns beside the network must have, before a checkpoint is written.
        """
        self.optimiser.zero_grad()
        mine = self.context.share(micro_batches)
        sums: dict[str, float] = {}
        for micro_batch in mine:
            rng = self.step_rng(micro_batch)
            with self.context.autocast():
                loss, parts = loss_of(rng)
            self._scaler.scale(loss / len(mine)).backward()
            for name, value in {"loss": loss, **parts}.items():
                sums[name] = sums.get(name, 0.0) + value.item() / len(mine)
        self._scaler.unscale_(self.optimiser)
        before()
        means = dict(zip(sums, self.context.mean(list(sums.values())), strict=True))
        self._descend(means.pop("loss"), means)

    def _descend(self, loss: float, values: dict[str, float]) -> None:
        """The step itself, once the gradients are there."""
        for group in self.optimiser.param_groups:
            group["lr"] = group.get("share", 1.0) * (self.rate() if self.own_rate is None else self.own_rate)
        if self.schedule.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self._averaged.update_parameters(self.network)
        self.steps += 1
        now = time.monotonic()
        self.spent, self._clock = self.context.broadcast(self.spent + now - self._clock), now
        self._recent |= {k: MEMORY * self._recent.get(k, v) + (1 - MEMORY) * v for k, v in values.items()}
        self._look_for_a_plateau({"loss": loss, **values}[self.schedule.watched])
        if self.watch is not None:
            self.watch(self.steps, {"loss": loss, **values})
        if now - self._reported > TELL_EVERY:
            self._reported = now
            self.report(
                f"{self.name}: {self.spent / 60:.1f} min, {self.steps} steps, "
                + ", ".join(f"{k} {v:.3f}" for k, v in self._recent.items())
            )
        over = not self.goes_on()  # asked in every process, or they would wait for one another
        if self.out is not None and (over or now - self._saved > self.schedule.save_every):
            self._saved = now
            self.save()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.out is None or not self.context.is_main:
            return
        with replacing_file(self.out) as part:
            torch.save(
                {
                    "net": self.network.state_dict(),
                    "averaged": self.averaged.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "steps": self.steps,
                    "spent": self.spent,
                    "recent": self._recent,
                    "plateau": self._plateau,
                    "torch_rng": torch.get_rng_state(),
                    "scaler": self._scaler.state_dict(),
                    "others": {name: other.state_dict() for name, other in self.others.items()},
                    **self.facts,
                },
                part,
            )
        if self.saved is not None:
            self.saved(self.out)

    def _look_for_a_plateau(self, loss: float) -> None:
        """The rate falls to a tenth when an epoch's loss was not the best for `patience` epochs."""
        p, s = self._plateau, self.schedule
        p["sum"] += loss
        if s.shape != "plateau" or self.steps % s.epoch:
            return
        mean, p["sum"] = p["sum"] / s.epoch, 0.0
        if mean < p["best"]:
            p["best"], p["bad"] = mean, 0
            return
        p["bad"] += 1
        if p["bad"] > s.patience:
            p["factor"], p["bad"] = p["factor"] * 0.1, 0

    def _blend(self, averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        """The exponential average, a plain mean at first."""
        keep = min(self.schedule.average, float(count) / (float(count) + 20))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value.to(average), 1 - keep)
            else:
                average.copy_(value)

    def _resume(self, state: dict) -> None:
        missing = sorted(set(self.others) - set(state.get("others", {})))
        if missing:
            raise InputError(
                f"{self.out}: the checkpoint was written without {', '.join(missing)}",
                hint="resume with the options it was begun with, or begin anew in another folder",
            )
        self.network.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        self._averaged.n_averaged.fill_(state["steps"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, other in self.others.items():
            other.load_state_dict(state["others"][name])
        self.steps, self.spent = state["steps"], state["spent"]
        self._recent, self._plateau = state.get("recent", {}), state.get("plateau", self._plateau)
        if state.get("scaler"):
            self._scaler.load_state_dict(state["scaler"])
        if "torch_rng" in state:
            torch.set_rng_state(state["torch_rng"])


def _groups(network: nn.Module, backbone: float) -> list[dict]:
    """The optimiser's groups: all weights, or the backbone's, which learn at a `share` of the rate, and the rest."""
    if backbone == 1.0:
        return [{"params": list(network.parameters()), "share": 1.0}]
    of_backbone = {id(weight) for weight in network.get_submodule("backbone").parameters()}
    rest = [weight for weight in network.parameters() if id(weight) not in of_backbone]
    return [
        {"params": list(network.get_submodule("backbone").parameters()), "share": backbone},
        {"params": rest, "share": 1.0},
    ]


@dataclass(frozen=True, eq=False)
class LoopOptions:
    """How a run is watched and kept, whatever it trains; see `Loop`."""

    context: ProcessContext = field(default_factory=ProcessContext)
    watch: Callable[[int, dict[str, float]], None] | None = None
    saved: Callable[[Path], object] | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    others: Mapping[str, Stateful] = field(default_factory=dict)

    def loop(
        self,
        network: nn.Module,
        schedule: Schedule,
        report: Callable[[str], None],
        name: str,
        out: Path | None = None,
        facts: Mapping[str, object] | None = None,
        others: Mapping[str, Stateful] | None = None,
    ) -> Loop:
        """A loop like that; `facts` and `others` are kept beside the run's own."""
        return Loop(
            network,
            schedule,
            report,
            name,
            out,
            {**(facts or {}), **self.facts},
            {**self.others, **(others or {})},
            self.watch,
            self.context,
            self.saved,
        )
