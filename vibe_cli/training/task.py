"""What a training is: its settings, how it is trained, and what of it goes to the zoo."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import Field, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from vibe_cli.errors import UsageError
from vibe_cli.networks.lifter import Lifter, LifterConfig
from vibe_cli.networks.mposer import Mposer, MposerConfig
from vibe_cli.networks.regressor import Regressor, RegressorConfig
from vibe_cli.training.inputs import TrainingInputs
from vibe_cli.training.loop import Loop, LoopOptions
from vibe_cli.training.weights import read_weights


class Settings(Protocol):
    """The settings of a training: a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


@dataclass(frozen=True, eq=False)
class Job:
    """A run as a training sees it."""

    inputs: TrainingInputs
    checkpoint: Path
    start: Path | None
    prior: Path | None
    report: Callable[[str], None]
    how: LoopOptions


Trained = tuple[list[Loop], dict[str, Any]]  # the loops of the stages, and what weights.pt is to hold
TaskT = TypeVar("TaskT", bound="Task")


@dataclass(frozen=True)
class Task(ABC):
    """One training: a kind of network, or several that belong together, and the settings they are trained with."""

    about: str  # in a phrase
    settings: Settings

    @abstractmethod
    def train(self, job: Job) -> Trained:
        """Train to the end or to a pause, or take it up from the job's checkpoint."""

    @abstractmethod
    def export(self, job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
        """Write what was trained under that name as a model folder; ImportError where what that needs is missing."""

    @property
    @abstractmethod
    def steps(self) -> int | None:
        """Steps of a run; None where its budget is a time."""

    @abstractmethod
    def budget(self, minutes: float | None, steps: int | None) -> dict[str, float | int | None]:
        """The settings that a budget of minutes, or of steps, stands for."""

    def with_budget(
        self: TaskT, minutes: float | None = None, steps: int | None = None, pause: float | None = None
    ) -> TaskT:
        """The same with another budget; UsageError where it is none."""
        if minutes is not None and steps is not None:
            raise UsageError("--minutes and --steps exclude each other", hint="give one of them")
        if pause is not None and not 0 <= pause < math.inf:
            raise UsageError(f"--stop-after {pause:g}: not a time", hint="give 0 or more minutes")
        if minutes is not None and not 0 < minutes < math.inf:
            raise UsageError(f"--minutes {minutes:g}: not a time", hint="give more than 0")
        if steps is not None and steps < 1:
            raise UsageError(f"--steps {steps}: too few", hint="give 1 or more")
        changes = {} if minutes is None and steps is None else self.budget(minutes, steps)
        return self.of(replace(self.settings, **changes, **({} if pause is None else {"pause": pause})))

    def of(self: TaskT, settings: Settings) -> TaskT:
        """The same with other settings of its kind."""
        return replace(self, settings=settings)

    def one_process(self, job: Job, name: str) -> None:
        """UsageError where torchrun started several."""
        if job.how.context.count > 1:
            raise UsageError(f"{name} is trained in one process", hint="start it without torchrun")


class OneStage(Task):
    """A training of one stage, whose settings are `minutes` and `steps`."""

    @property
    def steps(self) -> int | None:
        """Steps of a run; None where its budget is a time."""
        return vars(self.settings)["steps"]

    def budget(self, minutes: float | None, steps: int | None) -> dict[str, float | int | None]:
        """The settings that a budget of minutes, or of steps, stands for."""
        return {"steps": steps} if minutes is None else {"minutes": minutes, "steps": None}


def warm_start_file(job: Job) -> Path:
    """Where the lifter is that a temporal network begins at; UsageError where there is none."""
    folder = job.inputs.folder
    if job.start is not None:
        return job.start
    if folder is not None and (folder / "lifter.pt").exists():
        return folder / "lifter.pt"
    raise UsageError(
        "a temporal network begins at a trained lifter",
        hint="train one with vibe train lifter, and name its folder: --start runs/lifter",
    )


def load_lifter(path: Path) -> tuple[Lifter, Regressor]:
    """The lifter and the single-frame regressor of a run or of the recipe."""
    state = read_weights(path, "lifter")
    lifter = Lifter(LifterConfig(**state["lifter_config"]))
    regressor = Regressor(RegressorConfig(**state["regressor_config"]))
    lifter.load_state_dict(state["lifter"])
    regressor.load_state_dict(state["regressor"])
    return lifter.eval(), regressor.eval()


def load_mposer_run(path: Path) -> Mposer:
    """The trained prior of a run, fixed."""
    state = read_weights(path, "mposer")
    network = Mposer(MposerConfig(**state["config"]))
    network.load_state_dict(state["mposer"])
    return network.eval().requires_grad_(False)
