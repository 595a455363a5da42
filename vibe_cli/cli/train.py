"""`vibe train`: train a network, live, resumable."""

from __future__ import annotations

from pathlib import Path

import click

from vibe_cli.cli.options import debug_option, path_option, table
from vibe_cli.cli.progress import counting
from vibe_cli.cli.words import echo


@click.command(short_help="Train a network; without CONFIG: list the trainings.")
@click.argument("config", required=False)
@path_option("--data", help="A bundle of vibe synth pack, or a work folder of make weights.")
@path_option(
    "--start",
    help="A lifter's run, at which a temporal network begins; of keypoints and detector, a "
    "checkpoint. A work folder's own lifter needs no mention.",
)
@path_option("--prior", help="An mposer's run, whose loss is added.")
@path_option("--body", help="The body of a work folder's people.  [default: the open body]")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option("--minutes", type=float, help="A budget of time.")
@click.option("--steps", type=int, help="A budget of steps: such a run repeats exactly, interrupted or not.")
@click.option("--stop-after", type=float, metavar="MINUTES", help="Stop with a checkpoint then, to be resumed.")
@path_option("--out", help="The run's folder.  [default: runs/CONFIG]")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--parts", "in_parts", is_flag=True, help="Write the checkpoint also in parts of under 16 MB.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="auto: float32, and bfloat16 for networks of pictures where that is faster.",
)
@debug_option
def command(
    config: str | None,
    data: Path | None,
    start: Path | None,
    prior: Path | None,
    body: Path | None,
    changes: tuple[str, ...],
    minutes: float | None,
    steps: int | None,
    stop_after: float | None,
    out: Path | None,
    resume: bool,
    in_parts: bool,
    device: str,
    precision: str,
) -> None:
    """Train a network by one of the named configurations.

    A run has a folder: its settings, a checkpoint, its curves (curves.csv, curves.png, TensorBoard where installed)
    and, when it is done, weights.pt and the same as a model: vibe demo CLIP --model runs/open-vibe. A run of --steps
    that was killed and resumed is the run that was not. With --parts the folder parts/ carries the run through places
    that take small files only: copy it and run.json elsewhere and go on there with --resume.

    The papers' trainings learn from data sets: --set 'data=["3dpw=FOLDER"]' reads the training split, and
    NAME:SPLIT=FOLDER another.

    \b
      vibe train                                             the trainings, and their settings
      vibe train lifter --data bundle.npz --minutes 10
      vibe train open-vibe --data bundle.npz --start runs/lifter --steps 2000
      torchrun --nproc-per-node 2 -m vibe_cli.training open-vibe --set micro_batches=2 …
    """
    from vibe_cli.paths import models_dir
    from vibe_cli.training.__main__ import summary, task_of
    from vibe_cli.training.configs import CONFIGS, settings_text
    from vibe_cli.training.distributed import process_context
    from vibe_cli.training.runs import Order, run

    if config is None:
        echo("The trainings:")
        echo(table((name, task.about) for name, task in CONFIGS.items()))
        for names, words in settings_text():
            echo(f"\nSettings of {', '.join(names)} (--set):")
            echo(click.wrap_text(" ".join(words), 100, "  ", "  "))
        return
    out = out or Path("runs") / config
    task = task_of(config, out, resume, list(changes), minutes, steps, stop_after)
    context = process_context(device, precision)
    if data is not None and data.is_dir() and body is None:
        body = models_dir() / "open-body" / "weights.safetensors"
    order = Order(config, task, data, out, start, prior, body, resume, in_parts)
    with counting(f"Training {config}", task.steps) as advance:
        loops = run(order, lambda line: echo(line, err=True), context, lambda step: advance())
    echo(summary(out, loops))
