"""`python -m vibe_cli.training CONFIG`: what `vibe train` does, where there is no more than torch, numpy, scipy and
OpenCV."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vibe_cli.errors import EXIT_INTERRUPTED, VibeError
from vibe_cli.training.configs import CONFIGS, change, find_config, settings_from
from vibe_cli.training.distributed import process_context
from vibe_cli.training.loop import Loop
from vibe_cli.training.runs import Order, recorded, run
from vibe_cli.training.task import Task


def parser() -> argparse.ArgumentParser:
    """The options, which are those of `vibe train`."""
    out = argparse.ArgumentParser(
        prog="python -m vibe_cli.training", description="Train a network.", epilog="trainings: " + ", ".join(CONFIGS)
    )
    out.add_argument("config", help="the training")
    out.add_argument("--data", type=Path, help="a bundle of vibe synth pack, or a work folder of make weights")
    out.add_argument("--start", type=Path, help="a lifter's run; of keypoints and detector, a checkpoint")
    out.add_argument("--prior", type=Path, help="an mposer's run, whose loss is added")
    out.add_argument("--body", type=Path, help="the open body's weights.safetensors, for a work folder")
    out.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    out.add_argument("--minutes", type=float, help="a budget of time")
    out.add_argument("--steps", type=int, help="a budget of steps: exactly repeatable")
    out.add_argument("--stop-after", type=float, metavar="MINUTES", help="stop with a checkpoint, to be resumed")
    out.add_argument("--out", type=Path, help="the run's folder; runs/CONFIG")
    out.add_argument("--resume", action="store_true", help="go on with the run in --out")
    out.add_argument("--parts", action="store_true", help="write the checkpoint also in parts of under 16 MB")
    out.add_argument("--device", default="auto", help="auto, cpu or cuda")
    out.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16")
    return out


def task_of(
    name: str,
    out: Path,
    resume: bool,
    changes: list[str],
    minutes: float | None,
    steps: int | None,
    pause: float | None,
) -> Task:
    """A training with a user's changes of its settings; those of a run that is resumed are where they begin."""
    task = find_config(name)
    settings = task.settings
    if resume:
        before = recorded(out)
        if before["training"] == name:
            settings = settings_from(settings, {**before["settings"], "pause": None})
    return task.of(change(settings, changes)).with_budget(minutes, steps, pause)


def summary(out: Path, loops: list[Loop]) -> str:
    """One line about a call's end: how far the run is, and what to do next. Of a run's stages, all steps count."""
    steps, minutes = sum(loop.steps for loop in loops), sum(loop.spent for loop in loops) / 60
    end = "done: weights.pt, curves.png" if loops[-1].done >= 1 else "to be resumed: the same command with --resume"
    if (out / "config.yaml").is_file():
        end += f"; a model now: --model {out}"
    return f"{out}: {steps} steps in {minutes:.1f} minutes; {end}"


def main(args: list[str] | None = None) -> int:
    """Run it; the exit code."""
    o = parser().parse_args(args)
    out = o.out or Path("runs") / o.config
    try:
        task = task_of(o.config, out, o.resume, o.changes, o.minutes, o.steps, o.stop_after)
        context = process_context(o.device, o.precision)
        tell = (lambda line: print(line, flush=True)) if context.is_main else (lambda line: None)
        loops = run(Order(o.config, task, o.data, out, o.start, o.prior, o.body, o.resume, o.parts), tell, context)
        tell(summary(out, loops))
        context.leave()
    except VibeError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "error: stopped by Ctrl-C\nhint: go on from the last checkpoint with the same command and --resume",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
