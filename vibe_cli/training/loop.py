"""What every training here shares: AdamW under a cosine of the time left, averaged weights, checkpoints, progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

MEMORY = 0.99   # of the losses that are told
TELL_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    minutes: float
    rate: float                # peak learning rate; a short rise, then a cosine to zero
    decay: float = 0.02        # AdamW's
    rise: int = 100            # steps
    clip: float = 5.0          # largest norm of the gradient
    average: float = 0.998     # of the averaged weights
    save_every: float = 240.0  # seconds


class Loop:
    """One run: `while loop.goes_on(): loop.step(*loss_of(...))`.

    Time alone ends a run, so the same recipe serves slow machines and fast ones. With `out` it writes
    checkpoints there and resumes from one that is there; `facts` are written into them.
    """

    def __init__(self, network: nn.Module, schedule: Schedule, report: Callable[[str], None], name: str,
                 out: Path | None = None, facts: dict | None = None) -> None:
        self.network, self.schedule, self.report, self.name = network, schedule, report, name
        self.out, self.facts = out, facts or {}
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=schedule.decay)
        self._averaged = AveragedModel(network, multi_avg_fn=self._blend, use_buffers=True)
        self.steps, self.spent, self._recent = 0, 0.0, {}
        if out is not None and out.exists():
            self._resume(torch.load(out, weights_only=True))
        self._clock = self._told = self._saved = time.monotonic()

    @property
    def averaged(self) -> nn.Module:
        """The network with the running average of its weights."""
        return self._averaged.module

    @property
    def done(self) -> float:
        """Share of the time that is spent, 0..1."""
        return min(1.0, self.spent / max(60 * self.schedule.minutes, 1e-6))

    def goes_on(self) -> bool:
        """Whether there is time left for a step."""
        return self.done < 1

    def step(self, loss: Tensor, parts: dict[str, Tensor]) -> None:
        """Descend one step; parts of the loss are told once a minute."""
        rise = min(1, (self.steps + 1) / self.schedule.rise)
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate * rise * (0.5 + 0.5 * math.cos(math.pi * self.done)) + 1e-6
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip)
        self.optimiser.step()
        self._averaged.update_parameters(self.network)
        self.steps += 1
        now = time.monotonic()
        self.spent, self._clock = self.spent + now - self._clock, now
        self._recent = {k: MEMORY * self._recent.get(k, v.item()) + (1 - MEMORY) * v.item() for k, v in parts.items()}
        if now - self._told > TELL_EVERY:
            self._told = now
            self.report(f"{self.name}: {self.spent / 60:.1f} min, {self.steps} steps, "
                        + ", ".join(f"{k} {v:.3f}" for k, v in self._recent.items()))
        if self.out is not None and (now - self._saved > self.schedule.save_every or not self.goes_on()):
            self._saved = now
            self._save(self.out)

    def _blend(self, averages: list[Tensor], values: list[Tensor], count: Tensor | int) -> None:
        """The exponential average, a plain mean at first."""
        keep = min(self.schedule.average, float(count) / (float(count) + 20))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value.to(average), 1 - keep)
            else:
                average.copy_(value)

    def _save(self, out: Path) -> None:
        part = out.with_name(out.name + ".part")
        torch.save({"net": self.network.state_dict(), "averaged": self.averaged.state_dict(),
                    "optimiser": self.optimiser.state_dict(), "steps": self.steps, "spent": self.spent,
                    **self.facts}, part)
        part.replace(out)

    def _resume(self, state: dict) -> None:
        self.network.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        self._averaged.n_averaged.fill_(state["steps"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.spent = state["steps"], state["spent"]
