"""Run a named training in a folder of its own, to its end or to a pause, and take it up again.

    runs/open-vibe/run.json         the training, its settings, what its data were, versions
                   checkpoint.pt    everything a resumed run needs, written whole or not at all
                   curves.csv, .png the losses (and tensorboard/, where that is installed)
                   weights.pt       what was trained, once the run is done: weights and configurations
                   config.yaml      and weights.safetensors, encoder/: the same as a model (run_models.py)
                   parts/           checkpoint and weights in small files, if asked for (parts.py)

Nothing here needs more than torch, numpy, scipy and OpenCV, so that it runs from a bundle on a bare machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vibe_cli._version import __version__
from vibe_cli.errors import InputError, UsageError
from vibe_cli.run_folder import replacing_file, write_json
from vibe_cli.training.configs import describe_settings, find_config, settings_from
from vibe_cli.training.curves import Curves
from vibe_cli.training.distributed import ProcessContext
from vibe_cli.training.inputs import TrainingInputs, open_inputs
from vibe_cli.training.loop import Loop, LoopOptions
from vibe_cli.training.parts import is_of, join_files, split_file
from vibe_cli.training.task import Job, Task

FORMAT = "vibe-run"
PARTS = "parts"  # folder of a run
BUDGET = ("minutes", "steps", "pause", "save_every", "threads", "workers", "simulated_minutes", "seen_minutes")


@dataclass(frozen=True, eq=False)
class Order:
    """Options of a run of a named training."""

    name: str  # of configs.CONFIGS
    task: Task  # that, with its settings
    data: Path | None  # a bundle, or a work folder of the recipe
    out: Path
    start: Path | None = None  # a lifter's run or weights, for temporal networks; a checkpoint for others
    prior: Path | None = None  # an MPoser's run or weights: its loss is added
    body: Path | None = None  # the open body's file, for a work folder
    resume: bool = False
    in_parts: bool = False  # write checkpoint and weights also as files of less than 16 MB
    curve_every: int = 10  # steps a row of the curves; all of them in a run of fewer


def run(
    order: Order,
    report: Callable[[str], None],
    context: ProcessContext | None = None,
    tick: Callable[[int], object] = lambda step: None,
) -> list[Loop]:
    """Train; `report` is told a line now and then, `tick` every step. The loops of the training's stages."""
    context = context or ProcessContext()
    inputs = open_inputs(order.data, order.body)
    content = _describe(order, inputs, context.precision)
    _prepare(order, content, context)
    if context.is_main:
        _put_together(order.out, report)
    context.broadcast_bool(True)  # that nobody looks for the checkpoint before it is whole
    every = min(order.curve_every, order.task.steps or order.curve_every)
    curves = Curves(order.out, every) if context.is_main else None

    def watch(step: int, values: dict[str, float]) -> None:
        if curves is not None:
            curves(step, values)
        tick(step)

    if curves is not None and curves.board_note:
        report(curves.board_note)
    in_parts = partial(split_file, folder=order.out / PARTS) if order.in_parts else None
    others = {"curves": curves} if curves is not None else {}
    how = LoopOptions(context, watch, in_parts, {"run": content}, others)
    job = Job(inputs, order.out / "checkpoint.pt", order.start, order.prior, report, how)
    loops, weights = order.task.train(job)
    if curves is not None:
        curves.draw()
        if loops[-1].done >= 1:
            with replacing_file(order.out / "weights.pt") as part:
                torch.save({**weights, "run": content}, part)
            _write_model(job, order, weights, report)
        if in_parts:
            for file in sorted([*order.out.glob("checkpoint*.pt"), *order.out.glob("weights.pt")]):
                in_parts(file)
    return loops


def _describe(order: Order, inputs: TrainingInputs, precision: str) -> dict:
    """The content of run.json: what is trained, how, on what and by which versions."""
    return {
        "format": FORMAT,
        "training": order.name,
        "settings": describe_settings(order.task.settings),
        "data": inputs.describe(),
        "start": _file_facts(order.start),
        "prior": _file_facts(order.prior),
        "precision": precision,
        "versions": {"vibe": __version__, "torch": str(torch.__version__), "numpy": np.__version__},
    }


def _put_together(out: Path, report: Callable[[str], None]) -> None:
    """Make whole what a run's folder holds in parts, as where it was carried to in small files.

    Of a checkpoint that is there in both ways, the one of more steps is gone on from.
    """
    for listed in sorted((out / PARTS).glob("*.parts")):
        whole = out / listed.stem
        if not whole.exists():
            join_files(listed, whole)
        elif whole.name.startswith("checkpoint") and not is_of(listed, whole):
            carried = join_files(listed, whole.with_name(f"{whole.name}.carried"))
            here, there = _steps(whole), _steps(carried)
            if there > here:
                carried.replace(whole)
                report(f"{whole}: goes on from the {there} steps in {PARTS}/, not from the {here} that were here")
            else:
                carried.unlink()


def _steps(checkpoint: Path) -> int:
    """How far a checkpoint is; 0 of one that cannot be read."""
    try:
        return int(torch.load(checkpoint, weights_only=True, mmap=True)["steps"])
    except Exception:  # torch raises whatever it likes
        return 0


def _write_model(job: Job, order: Order, weights: dict[str, Any], report: Callable[[str], None]) -> None:
    """The run as a model folder, where what that needs is installed."""
    try:
        order.task.export(job, order.name, weights, order.out)
    except ImportError as error:
        report(
            f"{order.out} is no model folder yet, for {error.name} is missing here: resume it where vibe is "
            "installed, and it becomes one"
        )


def recorded(out: Path) -> dict:
    """run.json of a folder; InputError where there is none."""
    try:
        content = json.loads((out / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{out}: holds no run to resume", hint="leave out --resume to begin one") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{out / 'run.json'}: not of a training", hint="choose another folder with --out")
    return content


def _prepare(order: Order, content: dict, context: ProcessContext) -> None:
    """Make the folder, or check that it holds this very run; only budgets may differ."""
    file = order.out / "run.json"
    if not order.resume:
        kept = [*order.out.glob("checkpoint*.pt"), *(order.out / PARTS).glob("checkpoint*.parts")]
        if kept:  # a run that failed before its first is begun anew
            raise UsageError(f"{order.out}: holds a run already", hint="add --resume, or choose another --out")
    else:
        before = recorded(order.out)
        was = describe_settings(settings_from(find_config(before["training"]).settings, before["settings"]))
        other = [key for key, value in content["settings"].items() if key not in BUDGET and was.get(key) != value]
        before.setdefault("precision", "auto")  # of runs that did not say
        other += [key for key in ("training", "data", "start", "prior", "precision") if before[key] != content[key]]
        if other:
            raise UsageError(
                f"{order.out}: was begun with other settings: {', '.join(sorted(set(other)))}",
                hint="resume with the same ones, or choose another --out",
            )
        return
    if context.is_main:
        try:
            order.out.mkdir(parents=True, exist_ok=True)
            write_json(file, content)
        except OSError as error:
            raise InputError(
                f"{order.out}: cannot write there ({error.strerror})", hint="choose another folder with --out"
            ) from None


def _file_facts(path: Path | None) -> dict | None:
    """A file's name and checksum."""
    if path is None:
        return None
    file = path / "weights.pt" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no weights there", hint="name a finished run's folder, or its weights.pt")
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
