"""One clip, in a worker: what is missing of it is made, and what is finished is marked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vibe_cli.batch.identity import PICTURE, Identity, Keys, checksum_of_text, identify
from vibe_cli.batch.marks import MARK_NAME, MOTION, Mark, check_inside, read_mark, sizes, sweep, unmark, write_mark
from vibe_cli.batch.picture import write_picture
from vibe_cli.batch.pieces import FOLDER, JOIN, LEAST_BYTES, Cutting, Piece, Pieces, cut, forget_pieces
from vibe_cli.batch.plan import Clip
from vibe_cli.batch.remote import Remote, Unreachable, pull, staged
from vibe_cli.errors import InputError, NobodyFound, NotEnoughMemory, VibeError
from vibe_cli.finished_run import posed_by
from vibe_cli.pipeline import recover
from vibe_cli.progress import Progress, Stopwatch, quiet
from vibe_cli.report import Facts, PersonFacts, SceneFacts, plain
from vibe_cli.results import Result
from vibe_cli.run import Job, Outcome, add_to_run, open_clip, run_clip
from vibe_cli.run_folder import PICTURE_NAME, REPORT_NAME, RESULT_NAME, make_writable

Explain = Callable[[BaseException], tuple[int, "str | None", "str | None"]]  # exit code, one line, hint

DONE, NOBODY, FAILED, UNFINISHED = "done", "nobody", "failed", "unfinished"
CUT, PIECE = "cut", "piece"  # of a clip that goes on: it is to be done in pieces; one of them is done


@dataclass(frozen=True)
class Setup:
    """The order that every worker of a batch is given."""

    job: Job
    keys: Keys
    explain: Explain
    cutting: Cutting = field(default_factory=lambda: Cutting(0))


@dataclass(frozen=True)
class Row:
    """The outcome of a clip, as the reports state it."""

    clip: str
    status: str  # DONE, NOBODY (a result without people), FAILED, UNFINISHED (not reached)
    people: int = 0
    frames: int = 0
    seconds: float = 0.0  # that this run spent on it
    error: str = ""
    hint: str = ""
    made: tuple[str, ...] = ()  # by this run: motion, picture, export:npz …; nothing where all was finished before
    tries: int = 1
    passing: bool = False  # a failure that another try may not meet
    warnings: tuple[str, ...] = field(default=())
    pieces: tuple[Piece, ...] = ()  # where it was cut


def finished_row(clip: Clip, keys: Keys) -> Row | None:
    """The row of a clip of which nothing is missing and that was not touched since; None of any other."""
    there = None
    if clip.remote is not None and clip.remote.target is not None:
        there = pull(clip, (MARK_NAME, REPORT_NAME, PICTURE_NAME))
    mark = read_mark(clip.folder, there)
    if mark is None or mark.clip != clip.name or mark.missing(keys):
        return None
    try:
        if _identity(clip, mark.identity) != mark.identity:
            return None  # changed or copied: the worker looks at its content
        facts = read_facts(clip.folder)
    except (OSError, InputError):
        return None
    return _row(clip, facts, set())


def work(clip: Clip, setup: Setup, progress: Progress = quiet) -> Row:
    """Make what is missing of a clip; a failure of any kind is a row."""
    watch = Stopwatch()
    try:
        with watch("all"):
            row = _make(clip, setup, progress) if clip.remote is None else _make_elsewhere(clip, setup, progress)
    except Exception as error:
        _, message, hint = setup.explain(error)
        passing = not isinstance(error, VibeError) or isinstance(error, (NotEnoughMemory, Unreachable))
        row = Row(clip.name, FAILED, error=message or type(error).__name__, hint=hint or "", passing=passing)
    return replace(row, seconds=round(watch.seconds["all"], 3))


def _make_elsewhere(clip: Clip, setup: Setup, progress: Progress) -> Row:
    """The same for a clip or an output at a URL, which the row names in place of the copies here."""
    if clip.remote is not None and clip.remote.target is not None:
        setup = replace(setup, cutting=Cutting(0))  # no other worker would see the pieces
    with staged(clip, setup.job, MARK_NAME) as (here, job):
        names = {str(here.path): clip.place, str(here.folder): (clip.remote or Remote()).target or str(clip.folder)}

        def named(text: str) -> str:
            for local, name in names.items():
                text = text.replace(local, name)
            return text

        def explain(error: BaseException) -> tuple[int, str | None, str | None]:
            code, message, hint = setup.explain(error)
            return code, message and named(message), hint and named(hint)

        try:
            row = _make(here, replace(setup, job=job, explain=explain), progress)
        except VibeError as error:
            error.message, error.hint = named(error.message), error.hint and named(error.hint)
            raise
    return replace(row, warnings=tuple(map(named, row.warnings)))


def _identity(clip: Clip, known: Identity | None) -> Identity:
    """A clip's identity, by its content or as its store tells it."""
    remote = clip.remote
    return identify(clip.path, known) if remote is None or remote.identity is None else remote.identity


def _make(clip: Clip, setup: Setup, progress: Progress) -> Row:
    """Make what is missing of a clip and mark it, or do a piece of it."""
    check_inside(clip, setup.job.output)
    if clip.piece is not None and clip.piece.stage != JOIN:
        make_writable(clip.folder)
        with open_clip(clip.path, setup.job.limits, setup.job.options.recover) as video:
            Pieces(clip.folder, clip.piece).do(video, setup.job.model, setup.job.options.recover, progress)
        return Row(clip.name, PIECE)
    sweep(clip.folder)
    mark = read_mark(clip.folder)
    identity = _identity(clip, mark.identity if mark else None)
    if mark is None or mark.clip != clip.name or mark.identity.sha256 != identity.sha256:
        mark = Mark(clip.name, identity)
    missing = mark.missing(setup.keys)
    if MOTION in missing and clip.piece is None and (pieces := _pieces_of(clip, setup, _key(setup, identity))):
        return Row(clip.name, CUT, pieces=tuple(pieces))
    if missing:
        unmark(clip.folder)
    if MOTION in missing:
        mark = Mark(clip.name, identity)
        (clip.folder / PICTURE_NAME).unlink(missing_ok=True)
        if clip.piece is not None and clip.piece.key != _key(setup, identity):
            raise InputError(f"{clip.path}: it was changed while it was worked on", hint="run the same command again")
        recovery = recover if clip.piece is None else Pieces(clip.folder, clip.piece).join
        outcome = run_clip(clip.path, clip.folder, setup.job, progress, recovery, clip.place)
        forget_pieces(clip.folder)
    else:
        outcome = _remake(clip, setup.job, mark, missing, progress)
    mark.identity = identity
    _keep(mark, outcome, setup, missing, clip)
    write_mark(clip.folder, mark)
    row = _row(clip, outcome.facts, missing)
    if outcome.failure is None or isinstance(outcome.failure, NobodyFound):
        return row
    _, message, hint = setup.explain(outcome.failure)
    return replace(row, status=FAILED, error=message or "", hint=hint or "")


def _key(setup: Setup, identity: Identity) -> str:
    """The key of a clip's pieces: its content, and all that shapes its motion."""
    return checksum_of_text(setup.keys.motion + identity.sha256)


def _pieces_of(clip: Clip, setup: Setup, key: str) -> list[Piece]:
    """The pieces into which a long clip is cut; those of other options or another content are forgotten."""
    if not setup.cutting.frames or clip.size < LEAST_BYTES * setup.cutting.frames:
        return []
    with open_clip(clip.path, setup.job.limits, setup.job.options.recover) as video:
        pieces = cut(video, setup.job.options.recover, setup.cutting, key)
    if not pieces or any(not file.name.startswith(key) for file in (clip.folder / FOLDER).glob("*")):
        forget_pieces(clip.folder)
    return pieces


def _remake(clip: Clip, job: Job, mark: Mark, missing: set[str], progress: Progress) -> Outcome:
    """Export and draw a result that is there, without a network."""
    result = Result.load(clip.folder / RESULT_NAME)
    facts = read_facts(clip.folder)
    kept = [clip.folder / name for name in facts.files if _is_of(name, mark, missing)]
    outcome = Outcome(result, [clip.folder / RESULT_NAME, *kept], facts)
    made = [name for name in missing if name != PICTURE]
    if made:
        make_writable(clip.folder)
        _, body, _ = posed_by(result, job.choice.body)
        options = replace(
            job.options,
            formats=tuple(name for name in job.options.formats if f"export:{name}" in missing),
            style=job.options.style if f"render:{job.options.style}" in missing else None,
        )
        facts.warnings = [text for text in facts.warnings if "left from an earlier run" not in text]
        facts.options = plain({**asdict(job.choice), "run": job.options})
        watch = Stopwatch()
        watch.seconds.update(facts.seconds)
        with open_clip(clip.path, job.limits, job.options.recover) as video:
            add_to_run(outcome, video, body, options, clip.folder, progress, watch)
    return outcome


def _is_of(name: str, mark: Mark, missing: set[str]) -> bool:
    """Whether a file or folder of a clip belongs to a product that need not be made again."""
    if name == RESULT_NAME:
        return False  # it is named already
    owners = [made for made, files in mark.files.items() if any(f"{file}/".startswith(f"{name}/") for file in files)]
    return any(owner not in missing for owner in owners)


def _keep(mark: Mark, outcome: Outcome, setup: Setup, missing: set[str], clip: Clip) -> None:
    """Write into a mark what was made; the outcome's failure is what was not."""
    folder = clip.folder
    mark.made[MOTION] = setup.keys.motion
    mark.files[MOTION] = sizes(folder, [folder / RESULT_NAME, folder / REPORT_NAME])
    for name in sorted(missing - {MOTION, PICTURE}):
        if name in outcome.made:
            mark.made[name], mark.files[name] = setup.keys.products[name], sizes(folder, outcome.made[name])
        elif outcome.failure is None:
            reason = next((text for text in outcome.facts.warnings if text.startswith("nothing was drawn")), name)
            outcome.failure = InputError(f"{clip.path}: {reason}", hint="see what can draw here: vibe doctor")
    if PICTURE in missing:
        target = folder / PICTURE_NAME
        _try_picture(clip, setup.job, outcome, target)
        mark.made[PICTURE], mark.files[PICTURE] = setup.keys.products[PICTURE], sizes(folder, [target])


def _try_picture(clip: Clip, job: Job, outcome: Outcome, target: Path) -> None:
    """Draw the picture of the page; one that cannot be drawn is no loss."""
    target.unlink(missing_ok=True)
    try:
        body = job.model.body if "model" in vars(job) else posed_by(outcome.result, job.choice.body)[1]
        with open_clip(clip.path, job.limits, job.options.recover) as video:
            write_picture(outcome.result, video, body, target)
    except Exception as error:  # a graphics driver may fail in any way
        outcome.facts.warnings.append(f"no picture for the page: {type(error).__name__}")


def read_facts(folder: Path) -> Facts:
    """A clip's run.json; InputError where it is not one of this version."""
    try:
        said: dict[str, Any] = json.loads((folder / REPORT_NAME).read_text("utf-8"))
        people = [PersonFacts(**person) for person in said["people"]]
        scenes = [SceneFacts(**scene) for scene in said.get("scenes", [])]
        return Facts(**{**said, "people": people, "scenes": scenes})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / REPORT_NAME}: not this version's ({type(error).__name__})", hint="delete it, and run again"
        ) from None


def _row(clip: Clip, facts: Facts, made: set[str]) -> Row:
    """The row of a clip whose result is written."""
    return Row(
        clip.name,
        DONE if facts.people else NOBODY,
        people=len(facts.people),
        frames=facts.frames,
        made=tuple(sorted(made)),
        warnings=tuple(facts.warnings),
    )


def row_as_json(row: Row) -> dict[str, Any]:
    """A row as report.json says it."""
    said = asdict(row)
    del said["passing"], said["pieces"]
    return {**said, "made": list(row.made), "warnings": list(row.warnings)}
