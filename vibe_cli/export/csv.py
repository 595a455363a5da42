"""`joints.csv`: a row a person and frame, for pandas, R and spreadsheets.

person, frame (of the clip, from 0), time_s, confidence, filled (1 where interpolated), then of each joint its place in
space, `l_knee_x_m` `_y_m` `_z_m`, and in the picture, `l_knee_x_px` `_y_px`. The clip's own time stamps, unless a
constant rate is asked for; camera axes, unless others are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.body.derived import FACTS, POINT_COLUMNS
from vibe_cli.export import ExportOptions
from vibe_cli.export.points import OWN_AXES, POINT_NAMES, Points, clip_frames, timed
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

FILE_NAME = "joints.csv"
COLUMNS = (*FACTS, *POINT_COLUMNS)
FORMATS = ("%d", "%d", "%.6f", "%.4f", "%d", *("%.5f", "%.5f", "%.5f", "%.2f", "%.2f") * len(POINT_NAMES))


class Writer:
    """Comma-separated text."""

    name = "csv"
    extension = ".csv"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write one file for everybody, or nothing when nobody is in the result."""
        if not result.people:
            return []
        line = ",".join(FORMATS) + "\n"
        with replacing_file(folder / FILE_NAME) as part, open(part, "w", encoding="utf-8", newline="") as file:
            file.write(",".join(COLUMNS) + "\n")
            for _, rows in progress(tables(result, body, options), "Exporting csv", len(result.people)):
                file.writelines(line % tuple(row) for row in rows.tolist())
        return [folder / FILE_NAME]


def tables(result: Result, body: Body, options: ExportOptions) -> Iterator[tuple[Person, np.ndarray]]:
    """Everybody, each with their rows (T, 225) float64 in the order of COLUMNS."""
    points = Points(body)
    moving = timed(result, options)
    for person in moving.people:
        metres, pixels = points.placed(person, moving, options.axes or OWN_AXES)
        both = np.concatenate([metres, pixels], axis=2).reshape(len(person), -1)
        facts = (
            np.full(len(person), person.id),
            clip_frames(person, moving, result),
            moving.video.times[person.frames],
            person.confidence,
            person.filled,
        )
        yield person, np.concatenate([np.stack(facts, axis=1), both], axis=1)
