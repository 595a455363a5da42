"""An evaluation from start to end: data set and models in, a report and plots out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vibe_cli.datasets import Dataset, about, open_dataset
from vibe_cli.errors import InputError
from vibe_cli.evaluation import candidates as who
from vibe_cli.evaluation.report import DETECTION, KEYPOINTS, MOTION, Column, Report, Row
from vibe_cli.options import RAW, MotionOptions
from vibe_cli.progress import Progress, quiet

if TYPE_CHECKING:
    from vibe_cli.datasets.sequence import Sequence


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation."""

    dataset: str
    folder: Path
    models: tuple[str, ...] = ()  # NAME, or LABEL=NAME,NAME for several runs; (): the shipped one
    split: str | None = None  # None: the data set's first
    body: str | None = None  # None: the models' own
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 16
    limit: int | None = None  # at most so many sequences, or pictures
    cache: Path | None = None  # where encoders' features are kept
    motion: MotionOptions = RAW


@dataclass
class Outcome:
    """A report, and how its plots are drawn into a folder."""

    report: Report
    plots: list[Callable[[Path], Path]]
    warnings: list[str]


def evaluate(options: EvaluationOptions, progress: Progress = quiet) -> Outcome:
    """Evaluate models on a data set. Writes nothing but the cache of features, where one is named."""
    task = about(options.dataset).task
    who.check_task(task, options.dataset)
    dataset = open_dataset(options.dataset, options.folder, options.split, options.limit)
    measure = {"motion": _motion, "keypoints": _keypoints, "detection": _detection}[task]
    outcome = measure(options, dataset, progress)
    seen = dataset.about.source(dataset.split)
    outcome.warnings += [
        f"{row.label} learned from {seen.partition(' (')[0]} itself: this is no measure of it"
        for row in outcome.report.rows
        if any(seen in data.split("; ") for data in row.data)
    ]
    return outcome


def _motion(options: EvaluationOptions, dataset: Dataset, progress: Progress) -> Outcome:
    from vibe_cli.datasets.features import Features
    from vibe_cli.evaluation import motion, plots
    from vibe_cli.evaluation.truth import Geometry
    from vibe_cli.motion.regress import check_windows

    candidates = who.open_models(options.models, options.body, options.device, options.precision)
    for run in (run for candidate in candidates for run in candidate.runs):
        check_windows(run.model.network, options.motion)
    warnings: list[str] = []

    def sequences(size: int) -> Iterable[Sequence]:
        sized = {"size": size} if dataset.about.name == "synthetic" else {}
        opened = open_dataset(options.dataset, options.folder, options.split, options.limit, **sized)
        return progress(opened, "Evaluating", options.limit)

    features = Features(options.cache, dataset.label, options.batch_size, warnings.append)
    geometry = Geometry()
    scores = motion.evaluate_motion(sequences, candidates, features, options.motion, geometry)
    rows = [
        Row(
            label,
            [motion.summarise(one.sequences) for one in runs],
            [one.run.name for one in runs],
            [one.run.data for one in runs],
        )
        for label, runs in scores.items()
    ]
    counts = rows[0].runs[0]
    if not counts["frames"]:
        raise InputError(f"{options.folder}: not a single frame of it counts", hint="is its truth all marked invalid?")
    report = _report(
        dataset, motion.protocol(scores, geometry, options.motion, counts["sequences"], counts["frames"]), MOTION, rows
    )
    first = {label: runs[0].sequences for label, runs in scores.items()}
    some = list(first.values())[0]  # every model's are of the same sequences
    longest = max(range(len(some)), key=lambda n: len(some[n].accel))
    over_time, name = {label: found[longest] for label, found in first.items()}, some[longest].name
    drawn = [
        lambda folder: plots.draw_joints(
            folder / "joints.png", rows, {"mpjpe": ("MPJPE mm", 1.0), "pa_mpjpe": ("PA-MPJPE mm", 1.0)}
        ),
        lambda folder: plots.draw_time(folder / "time.png", over_time, name),
    ]
    return Outcome(report, drawn, warnings)


def _keypoints(options: EvaluationOptions, dataset: Dataset, progress: Progress) -> Outcome:
    from vibe_cli.datasets.features import Features
    from vibe_cli.evaluation import photographs, plots

    candidates = who.load_encoders(options.models, options.body, options.device, options.precision)
    warnings: list[str] = []
    features = Features(options.cache, dataset.label, options.batch_size, warnings.append)
    people = photographs.look(progress(dataset, "Looking", options.limit), candidates, features, options.motion)
    if not len(people.labels):
        raise InputError(
            f"{options.folder}: nobody with {photographs.MIN_KEYPOINTS} plainly visible keypoints and "
            f"{photographs.MIN_HEIGHT_PX} px of height",
            hint="take larger pictures of whole people",
        )
    rows = [
        Row(
            photographs.BASELINE,
            [photographs.measure(photographs.mean_pose(people), people)],
            [photographs.BASELINE],
            ["the keypoints themselves: everybody's mean"],
        )
    ]
    runs_of = {candidate.label: candidate.runs for candidate in candidates}
    for label in dict.fromkeys(label for label, _ in people.found):
        runs = runs_of[label.rsplit(": ", 1)[0]]
        rows.append(
            Row(
                label,
                [photographs.measure(points, people) for (key, _), points in people.found.items() if key == label],
                [run.name for run in runs],
                [run.data for run in runs],
            )
        )
    report = _report(dataset, photographs.protocol(people, options.motion), KEYPOINTS, rows)
    return Outcome(
        report,
        [
            lambda folder: plots.draw_joints(
                folder / "joints.png",
                rows,
                {f"pck@{limit:g}": (f"PCK at {limit:g}, %", 100.0) for limit in photographs.PCK_OF_BOX},
            )
        ],
        warnings,
    )


def _detection(options: EvaluationOptions, dataset: Dataset, progress: Progress) -> Outcome:
    from itertools import islice

    from vibe_cli.datasets.coco import photographs
    from vibe_cli.device import choose_device
    from vibe_cli.evaluation import people, plots

    candidates = who.open_detectors(options.models, choose_device(options.device))
    pictures = progress(islice(photographs(dataset.folder, dataset.split), options.limit), "Detecting", options.limit)
    runs = [(candidate.label, run) for candidate in candidates for run in candidate.runs]
    finds = people.find_people(pictures, [run.model for _, run in runs])
    if not finds[0].people:
        raise InputError(
            f"{options.folder}: nobody of {people.LEAST_HEIGHT} px or more in its pictures", hint="take larger pictures"
        )
    rows = []
    for candidate in candidates:
        own = [(run, found) for (label, run), found in zip(runs, finds, strict=True) if label == candidate.label]
        rows.append(
            Row(
                candidate.label,
                [people.summarise(found) for _, found in own],
                [run.name for run, _ in own],
                [run.data for run, _ in own],
            )
        )
    curves = {
        label if len(rows) == len(runs) else run.name: found for (label, run), found in zip(runs, finds, strict=True)
    }
    report = _report(dataset, people.protocol(finds[0]), DETECTION, rows)
    return Outcome(report, [lambda folder: plots.draw_recall(folder / "recall.png", curves)], [])


def _report(dataset: Dataset, protocol: dict[str, str], columns: tuple[Column, ...], rows: list[Row]) -> Report:
    return Report(dataset.about.title, str(dataset.folder), dataset.split, protocol, columns, rows)
