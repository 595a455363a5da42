"""One clip from its file to its folder: recover, save, export, draw, report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vibe_cli import report
from vibe_cli.errors import NobodyFound, VibeError
from vibe_cli.export import ExportOptions, format_writer
from vibe_cli.finished_run import draw, picture_name
from vibe_cli.options import MotionOptions
from vibe_cli.pipeline import Options, recover
from vibe_cli.progress import Progress, Stopwatch, quiet
from vibe_cli.run_folder import PICTURE_NAME, REPORT_NAME, RESULT_NAME, make_writable, remove_if_empty, write_json

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result
    from vibe_cli.video.limits import Limits
    from vibe_cli.video.reader import VideoReader
    from vibe_cli.zoo.model import Model

OTHER_DETECTOR = "try another detector: --detector yolo11n.pt"


class Recovery(Protocol):
    """What `pipeline.recover` does for an open clip."""

    def __call__(
        self, path: VideoReader, model: Model, options: Options, progress: Progress, watch: Stopwatch, /
    ) -> Result:
        """Everybody's motion."""
        ...


@dataclass(frozen=True)
class ModelChoice:
    """Choices of the model; None is the default."""

    model: str | None = None
    detector: str | None = None
    body: Path | None = None
    device: str = "auto"
    precision: str = "auto"

    def load(self, motion: MotionOptions) -> Model:
        """The model, which can do what the options ask for."""
        from vibe_cli.motion.regress import check_windows
        from vibe_cli.zoo.reader import load_model

        model = load_model(self.model, self.detector, self.body, self.device, self.precision)
        check_windows(model.network, motion)
        return model


@dataclass(frozen=True)
class RunOptions:
    """Outputs to make of a clip."""

    recover: Options = field(default_factory=Options)
    style: str | None = None  # of the overlay; None draws none
    formats: tuple[str, ...] = ()  # to export to
    export: ExportOptions = field(default_factory=ExportOptions)


@dataclass
class Job:
    """Settings that the clips of a command share."""

    output: Path  # in which their folders lie
    choice: ModelChoice
    options: RunOptions
    limits: Limits | None = None  # on what is taken of a clip

    @cached_property
    def model(self) -> Model:
        """The model, loaded when the first clip needs it."""
        return self.choice.load(self.options.recover.motion)


@dataclass(eq=False)
class Outcome:
    """The outcome of a clip."""

    result: Result
    files: list[Path]
    facts: report.Facts
    failure: VibeError | None = None  # why the clip counts as failed, although all that could be written is
    made: dict[str, list[Path]] = field(default_factory=dict)  # export:npz, render:side … → its files


def run_clip(
    path: Path,
    folder: Path,
    job: Job,
    progress: Progress = quiet,
    recovery: Recovery = recover,
    name: str | None = None,
) -> Outcome:
    """Recover a clip and write everything that was asked for into its folder, which is made and, if empty, removed.

    Cheap checks come first, then the model, then the work. The result is written as soon as it is there;
    a renderer that fails is a warning. A format that cannot be exported is the outcome's failure and costs nothing
    else; so is nobody in the clip, NobodyFound, whose result is empty but valid. `recovery` makes the result,
    in which the clip is called `name`, where that is given.
    """
    make_writable(folder)
    try:
        with open_clip(path, job.limits, job.options.recover) as video:
            watch = Stopwatch()
            result = recovery(video, job.model, job.options.recover, progress, watch)
            if name is not None:
                result = replace(result, video=replace(result.video, path=name))
            with watch("save"):
                result.save(folder / RESULT_NAME)
            outcome = Outcome(result, [folder / RESULT_NAME], _facts(result, path, job))
            add_to_run(outcome, video, job.model.body, job.options, folder, progress, watch)
    finally:
        remove_if_empty(folder, job.output)
    if not result.people:
        outcome.failure = _nobody(path, folder, outcome.facts)
    return outcome


def open_clip(path: Path, limits: Limits | None, options: Options) -> VideoReader:
    """A clip, of which no more is taken than the limits say."""
    from vibe_cli.video.limits import LimitedReader
    from vibe_cli.video.reader import open_video

    video = open_video(path, options.image_fps, options.photos, options.stream)
    return video if limits is None else LimitedReader(video, limits)


def add_to_run(
    outcome: Outcome,
    video: VideoReader,
    body: Body,
    options: RunOptions,
    folder: Path,
    progress: Progress,
    watch: Stopwatch,
) -> None:
    """Export and draw a result whose file is written, then write run.json, whatever happens on the way."""
    try:
        for name in options.formats:
            with watch("export"):
                failed = _try_to_export(outcome, name, body, options.export, folder, progress)
            outcome.failure = outcome.failure or failed
        if options.style is not None:
            with watch("render"):
                _try_to_draw(outcome, video, body, options.style, folder, progress)
        outcome.facts.warnings.extend(_leftovers(outcome, folder))
    finally:
        _write_report(outcome, folder, watch)


def _nobody(path: Path, folder: Path, facts: report.Facts) -> NobodyFound:
    """The message for a clip with nobody in it."""
    written = f"; {folder / RESULT_NAME} is written, and empty"
    unsure = facts.unsure_tracks
    dropped = {
        "short": (facts.dropped_tracks - unsure, "keep shorter ones with a lower --min-track"),
        "uncertain": (unsure, OTHER_DETECTOR),
    }
    counts = [f"{count} {kind}" for kind, (count, _) in dropped.items() if count]
    if counts:
        noun = "appearance" if facts.dropped_tracks == 1 else "appearances"
        return NobodyFound(
            f"{path}: nobody is seen for long enough and surely enough ({' and '.join(counts)} {noun} "
            f"in {facts.frames} frames)",
            hint=", or ".join(hint for count, hint in dropped.values() if count) + written,
        )
    return NobodyFound(
        f"{path}: nobody was found in its {facts.frames} frames",
        hint="check that people are seen whole and not too small" + written,
    )


def _leftovers(outcome: Outcome, folder: Path) -> list[str]:
    """A warning about files of earlier runs, which show another result than the one just written."""
    known = {REPORT_NAME, PICTURE_NAME, *(file.name for file in outcome.files)}
    old = sorted(entry.name for entry in folder.iterdir() if entry.name not in known and not entry.name.startswith("."))
    return [f"left from an earlier run in {folder}: {', '.join(old)}"] if old else []


def _facts(result: Result, path: Path, job: Job) -> report.Facts:
    """Everything that run.json says but times, memory and what else is made of the result."""
    people = report.people_facts(result)
    found = result.metadata
    return report.Facts(
        input=report.clip_facts(result, path),
        options=report.plain({**asdict(job.choice), "run": job.options}),
        versions=report.versions(),
        device=str(job.model.device),
        detector=job.model.detector_name,
        model=result.model,
        body=result.body,
        frames=result.video.frames,
        scenes=report.scene_facts(result),
        people=people,
        filled_frames=sum(person.filled for person in people),
        dropped_tracks=found["dropped_tracks"],
        unsure_tracks=found["unsure_tracks"],
        left_out_tracks=found["left_out_tracks"],
        jitter=found["jitter"],
        warnings=list(found["warnings"]),
        seconds={},
        files=[],
    )


def _write_report(outcome: Outcome, folder: Path, watch: Stopwatch) -> None:
    """Write run.json, with the times, the memory and the files."""
    facts = outcome.facts
    facts.seconds = {stage: round(value, 3) for stage, value in watch.seconds.items()}
    facts.total_seconds = round(sum(watch.seconds.values()), 3)
    facts.peak_memory_mb = report.peak_memory_mb()
    facts.files = [file.relative_to(folder).as_posix() for file in outcome.files]
    write_json(folder / REPORT_NAME, report.plain(facts))


def _try_to_export(
    outcome: Outcome, name: str, body: Body, options: ExportOptions, folder: Path, progress: Progress
) -> VibeError | None:
    """Write the result in a format; a failure becomes a warning and comes back."""
    try:
        files = format_writer(name).write(outcome.result, body, folder, options, progress)
    except VibeError as error:
        outcome.facts.warnings.append(_told(f"{name} was not exported", error))
        return error
    outcome.files.extend(files)
    outcome.made[f"export:{name}"] = files
    return None


def _try_to_draw(
    outcome: Outcome, video: VideoReader, body: Body, style: str, folder: Path, progress: Progress
) -> None:
    """Draw the result; a failure becomes a warning, for the result is already safe."""
    target = folder / picture_name(style, outcome.result.video)
    try:
        outcome.facts.renderer, warnings = draw(outcome.result, video, body, style, target, progress)
    except VibeError as error:
        warnings = [_told("nothing was drawn", error)]
    except Exception as error:  # a graphics driver may fail in any way
        warnings = [f"nothing was drawn: {type(error).__name__}: {error}"]
    else:
        outcome.files.append(target)
        outcome.made[f"render:{style}"] = [target]
    outcome.facts.warnings.extend(warnings)


def _told(what: str, error: VibeError) -> str:
    """An error as a warning: what it kept from being done, why, and the hint."""
    return f"{what}: {error.message}" + (f" ({error.hint})" if error.hint else "")
