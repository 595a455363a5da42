"""One clip from its file to its folder: recover, save, export, draw, report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vibe_cli import report
from vibe_cli.errors import NobodyFound, VibeError
from vibe_cli.export import ExportOptions, format_writer
from vibe_cli.finished_run import draw, picture_name
from vibe_cli.pipeline import Options, recover
from vibe_cli.progress import Progress, Stopwatch, quiet
from vibe_cli.run_folder import REPORT_NAME, RESULT_NAME, write_json

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result
    from vibe_cli.zoo.model import Model

OTHER_DETECTOR = "try another detector: --detector yolo11n.pt"


@dataclass(frozen=True)
class RunOptions:
    """What is made of a clip."""

    recover: Options = field(default_factory=Options)
    style: str | None = None  # of the overlay; None draws none
    formats: tuple[str, ...] = ()  # to export to
    export: ExportOptions = field(default_factory=ExportOptions)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a clip."""

    result: Result
    files: list[Path]
    facts: dict[str, Any]  # what run.json says
    failure: VibeError | None = None  # why the clip counts as failed, although all that could be written is


def run_clip(
    path: Path, folder: Path, model: Model, options: RunOptions, choices: dict[str, Any], progress: Progress = quiet
) -> Outcome:
    """Recover a clip and write everything that was asked for into its folder, which exists.

    `choices` is what the model was chosen by, for run.json. The result is written as soon as it is there;
    a renderer that fails is a warning. A format that cannot be exported is the outcome's failure and costs nothing
    else; so is nobody in the clip, NobodyFound, whose result is empty but valid.
    """
    watch = Stopwatch()
    result = recover(path, model, options.recover, progress, watch)
    with watch("save"):
        result.save(folder / RESULT_NAME)
    facts = _facts(result, path, model, options, choices)
    outcome = Outcome(result, [folder / RESULT_NAME], facts)
    _write_report(outcome, folder, watch)
    failure: VibeError | None = None
    for name in options.formats:
        with watch("export"):
            failed = _try_to_export(outcome, name, model.body, options.export, folder, progress)
        failure = failure or failed
    if options.style is not None:
        with watch("render"):
            _try_to_draw(outcome, path, model.body, options.style, folder, progress)
    facts["warnings"].extend(_leftovers(outcome, folder))
    _write_report(outcome, folder, watch)
    return replace(outcome, failure=failure if result.people else _nobody(path, folder, facts))


def _nobody(path: Path, folder: Path, facts: dict[str, Any]) -> NobodyFound:
    """What to say of a clip with nobody in it."""
    written = f"; {folder / RESULT_NAME} is written, and empty"
    unsure = facts["unsure_tracks"]
    dropped = {
        "short": (facts["dropped_tracks"] - unsure, "keep shorter ones with a lower --min-track"),
        "uncertain": (unsure, OTHER_DETECTOR),
    }
    counts = [f"{count} {kind}" for kind, (count, _) in dropped.items() if count]
    if counts:
        noun = "appearance" if facts["dropped_tracks"] == 1 else "appearances"
        return NobodyFound(
            f"{path}: nobody is seen for long enough and surely enough ({' and '.join(counts)} {noun} "
            f"in {facts['frames']} frames)",
            hint=", or ".join(hint for count, hint in dropped.values() if count) + written,
        )
    return NobodyFound(
        f"{path}: nobody was found in its {facts['frames']} frames",
        hint="check that people are seen whole and not too small" + written,
    )


def _leftovers(outcome: Outcome, folder: Path) -> list[str]:
    """A warning about files of earlier runs, which show another result than the one just written."""
    known = {REPORT_NAME, *(file.name for file in outcome.files)}
    old = sorted(entry.name for entry in folder.iterdir() if entry.name not in known and not entry.name.startswith("."))
    return [f"left from an earlier run in {folder}: {', '.join(old)}"] if old else []


def _facts(result: Result, path: Path, model: Model, options: RunOptions, choices: dict[str, Any]) -> dict[str, Any]:
    """Everything that run.json says but files, times and memory."""
    people = report.people_facts(result)
    found = result.metadata
    return {
        "report_version": report.REPORT_VERSION,
        "input": report.clip_facts(result, path),
        "options": report.plain({**choices, "run": options}),
        "versions": report.versions(),
        "device": str(model.device),
        "detector": model.detector_name,
        "model": result.model,
        "body": result.body,
        "renderer": None,
        "frames": result.video.frames,
        "people": people,
        "filled_frames": sum(person["filled"] for person in people),
        "dropped_tracks": found["dropped_tracks"],
        "unsure_tracks": found["unsure_tracks"],
        "left_out_tracks": found["left_out_tracks"],
        "jitter": found["jitter"],
        "warnings": list(found["warnings"]),
    }


def _write_report(outcome: Outcome, folder: Path, watch: Stopwatch) -> None:
    """Write run.json with the times so far."""
    seconds = {stage: round(value, 3) for stage, value in watch.seconds.items()}
    names = [file.relative_to(folder).as_posix() for file in outcome.files]
    outcome.facts.update(
        seconds=seconds,
        total_seconds=round(sum(watch.seconds.values()), 3),
        peak_memory_mb=report.peak_memory_mb(),
        files=names,
    )
    write_json(folder / REPORT_NAME, outcome.facts)


def _try_to_export(
    outcome: Outcome, name: str, body: Body, options: ExportOptions, folder: Path, progress: Progress
) -> VibeError | None:
    """Write the result in a format; a failure becomes a warning and comes back."""
    try:
        outcome.files.extend(format_writer(name).write(outcome.result, body, folder, options, progress))
    except VibeError as error:
        outcome.facts["warnings"].append(_told(f"{name} was not exported", error))
        return error
    return None


def _try_to_draw(outcome: Outcome, path: Path, body: Body, style: str, folder: Path, progress: Progress) -> None:
    """Draw the result; a failure becomes a warning, for the result is already safe."""
    target = folder / picture_name(style)
    try:
        outcome.facts["renderer"], warnings = draw(outcome.result, path, body, style, target, progress)
    except VibeError as error:
        warnings = [_told("nothing was drawn", error)]
    except Exception as error:  # a graphics driver may fail in any way
        warnings = [f"nothing was drawn: {type(error).__name__}: {error}"]
    else:
        outcome.files.append(target)
    outcome.facts["warnings"].extend(warnings)


def _told(what: str, error: VibeError) -> str:
    """An error as a warning: what it kept from being done, why, and the hint."""
    return f"{what}: {error.message}" + (f" ({error.hint})" if error.hint else "")
