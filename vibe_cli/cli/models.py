"""`vibe models`: which models are here, where they lie, and how the user's own files come in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vibe_cli.cli.failures import report
from vibe_cli.cli.options import debug_option, table
from vibe_cli.cli.progress import terminal_progress
from vibe_cli.cli.words import echo
from vibe_cli.errors import EXIT_OK, ModelError, UsageError

if TYPE_CHECKING:
    from vibe_cli.importing.library import Imported


@click.group(
    "models",
    invoke_without_command=True,
    epilog="Begin with: vibe models list",
    short_help="List the models, and import official checkpoints and SMPL files.",
)
@debug_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the models, and import official checkpoints and SMPL files."""
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help())


@command.command("import", short_help="Take official files into your model folder.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="What to call it, where one file is given. [default: its kind]")
@debug_option
@click.pass_context
def import_command(ctx: click.Context, files: tuple[Path, ...], name: str | None) -> int:
    """Take official files into your model folder.

    SPIN, VIBE and TCMR checkpoints, SMPL bodies (.pkl or .npz, any gender), smpl_mean_params.npz,
    J_regressor_extra.npy and J_regressor_h36m.npy are recognised by their content, checked name by name and
    converted to safetensors. Nothing in them is run; a file that holds anything unknown is refused.

    \b
    vibe models import spin_model_checkpoint.pth.tar vibe_model_w_3dpw.pth.tar
    vibe models import basicModel_f_lbs_10_207_0_v1.0.0.pkl --name smpl-female
    """
    if name is not None and len(files) > 1:
        raise UsageError(f"one --name for {len(files)} files", hint="import them one at a time, or leave --name out")

    from vibe_cli.importing.library import import_file, list_imported

    there = {entry.folder for entry in list_imported()}
    done: list[tuple[Path, Imported, bool]] = []
    code = EXIT_OK
    for path in terminal_progress()(files, "Importing", len(files)):
        try:
            entry = import_file(_a_file(path), name=name)
        except Exception as error:  # one file's failure does not stop the rest
            code = max(code, report(error, ctx.obj.debug))
            continue
        done.append((path, entry, entry.folder in there))
        there.add(entry.folder)
    for path, entry, known in done:  # when all are in, so that what one needs may have come with another
        for line in tell(path, entry, known):
            echo(line)
    return code


@command.command("fetch", short_help="Get free models over the network.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Agree to the licence without being asked.")
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="An address to try first.")
@click.option("--from", "file", type=click.Path(path_type=Path), metavar="FILE", help="Take it from a file instead.")
@debug_option
def fetch_command(name: str, yes: bool, mirrors: tuple[str, ...], file: Path | None) -> int:
    """Get free models over the network into your model folder.

    NAME is `recommended`, a detector and a keypoint network that are then used where nothing is named, or one of
    the catalogue, which an unknown NAME lists. What broke off goes on where it was.
    """
    from vibe_cli.zoo.fetch import chosen, fetch

    models = chosen(name)
    if len(models) > 1 and (file or mirrors):
        raise UsageError(f"one file or mirror for {len(models)} models", hint="fetch them one at a time")
    for model in models:
        echo(f"{model.name}: {model.what}, about {model.megabytes} MB; licence: {model.licence}", err=True)
    try:
        agreed = yes or click.confirm("Fetch, under this licence?", err=True)
    except click.Abort:  # nobody is there to answer
        agreed = False
    if not agreed:
        raise UsageError("the licence was not agreed to, and nothing was fetched", hint="agree with: --yes")
    for model in models:
        echo(fetch(model, mirrors, file, name == "recommended", terminal_progress()))
    if find_spec("onnxruntime") is None:
        echo("note: they run once ONNX Runtime is here: pip install 'vibe-cli[onnx]'", err=True)
    return EXIT_OK


@command.command("forget", short_help="Remove fetched models; what is shipped takes their place.")
@click.argument("name")
@debug_option
def forget_command(name: str) -> int:
    """Remove fetched models, `recommended` or one by its name; what is shipped takes their place."""
    from vibe_cli.zoo.fetch import forget

    for folder in forget(name):
        echo(f"removed {folder}")
    return EXIT_OK


@command.command("list", short_help="All models: task, size, source, licence, numbers, what is missing.")
@click.option("--json", "as_json", is_flag=True, help="For scripts: everything that is known, as JSON.")
@click.option("--markdown", is_flag=True, help="The shipped ones as the table of models/README.md.")
@debug_option
def list_command(as_json: bool, markdown: bool) -> None:
    """All models: task, size, source, licence, numbers, what is missing."""
    from vibe_cli.zoo import listing

    if markdown:
        echo(listing.readme_table())
        return
    rows, systems = listing.catalogue(), listing.systems()
    if as_json:
        models = [{**asdict(row), "folder": str(row.folder), "present": not (row.needs or row.damage)} for row in rows]
        echo(json.dumps({"models": models, "systems": systems}, indent=2, ensure_ascii=False))
        return
    head = ("name", "task", "network", "size", "source", "licence", "measured", "state")
    echo(
        table(
            [
                head,
                *(
                    (
                        row.name,
                        row.task,
                        row.network or "–",
                        listing.megabytes(row.bytes),
                        row.source,
                        listing.short(row.licence),
                        listing.figures(row.measured) or "–",
                        row.state,
                    )
                    for row in rows
                ),
            ],
            indent="",
        )
    )
    for row in rows:
        for need in row.needs:
            echo(f"{row.name} needs {need['what']}: get it from {need['from']}, then: vibe models import FILE")
    echo("\nThe published systems:")
    echo(table((f"--model {name}", found["note"] or f"{name} is {found['model']}") for name, found in systems.items()))


@command.command("where", short_help="The folders in which models lie, or one model's folder.")
@click.argument("name", required=False)
@debug_option
def where_command(name: str | None) -> None:
    """The folders in which models lie, or one model's folder."""
    if name is not None:
        from vibe_cli.zoo.reader import choose_model, find_named

        named = find_named(name)
        entry, note = (named, None) if named else choose_model(name)
        if note:
            echo(f"note: {note}", err=True)
        echo(entry.folder)
        return

    import os

    from vibe_cli.paths import models_dir, user_models_dir

    own, home = user_models_dir(), os.environ.get("VIBE_HOME")
    echo(
        table(
            [
                ("yours", own, "" if own.is_dir() else "not there yet; import makes it"),
                ("shipped", models_dir(), ""),
                ("VIBE_HOME", home or "not set", "" if home else "set it to keep yours elsewhere"),
            ],
            indent="",
        )
    )
    echo(
        "A name is looked for in yours first. yolo*.pt in yours is the default detector, "
        "where ultralytics is installed."
    )


def tell(path: Path, entry: Imported, known: bool) -> Iterator[str]:
    """An imported file's kind and what it still needs, line by line."""
    from vibe_cli.importing.library import TASKS, still_needed

    config = entry.config
    yield f"{path}: {config['what']}"
    yield table(
        [
            ("was" if known else "is", f"imported {'before' if known else 'now'} as {entry.name}"),
            ("folder", entry.folder),
            ("sha256", config["source"]["sha256"]),
            ("licence", config["licence"]),
            ("holds", ", ".join(name.removesuffix(".safetensors") for name in config["files"])),
            *config.get("notes", {}).items(),
        ]
    )
    needs = still_needed(entry)
    for need in needs:
        yield f"  still needs {need['what']}: get it from {need['from']}, then: vibe models import FILE"
    if needs:
        return
    use = {"temporal": f"vibe demo CLIP --model {entry.name}", "body": f"vibe demo CLIP --body {entry.name}"}
    task = TASKS[entry.kind]
    yield f"  needs nothing else; use it: {use[task]}" if task in use else "  needs nothing else"


def _a_file(path: Path) -> Path:
    """A path that is no folder; ModelError says what to do with a folder."""
    if (path / "config.yaml").is_file():
        raise ModelError(f"{path}: a model's folder, which needs no import", hint=f"name it: --model {path}")
    if path.is_dir():
        raise ModelError(f"{path}: a folder", hint="name the files in it")
    return path
