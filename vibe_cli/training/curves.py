"""The losses of a run as it goes: a CSV file, a picture of it, and TensorBoard's logs where that is installed."""

from __future__ import annotations

import csv
import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLOURS = [
    (180, 119, 31),
    (14, 127, 255),
    (44, 160, 44),
    (40, 39, 214),
    (189, 103, 148),
    (75, 86, 140),
    (194, 119, 227),
    (127, 127, 127),
    (34, 189, 188),
    (207, 190, 23),
]  # BGR
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 540, 70, 170, 30, 40


class Curves:
    """Means of every loss over `every` steps: a row of curves.csv each. Stages of a run follow one another in it.

    Its state belongs into the checkpoint: a run that resumes takes away the rows that were written after it, so that
    its file becomes that of a run that was never cut.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.file, self.every = folder, folder / "curves.csv", every
        self._sums: dict[str, tuple[float, int]] = {}
        self._rows: list[dict[str, float]] = []
        self._before = 0  # steps of the stages before this one
        self._board: SummaryWriter | None = None
        self.board_note = (
            ""
            if _has_tensorboard()
            else ("TensorBoard is not installed (pip install vibe-cli[train]): curves are in curves.csv and curves.png")
        )
        self._write()

    def __call__(self, step: int, values: dict[str, float]) -> None:
        """Hear of a step."""
        if step == 1 and self._rows:
            self._before, self._sums = int(self._rows[-1]["step"]), {}
        for name, value in values.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)
        if step % self.every == 0:
            means = {name: total / count for name, (total, count) in self._sums.items()}
            self._rows.append({"step": float(self._before + step), **means})
            self._sums = {}
            self._append(means)
            self._log(self._before + step, means)

    def draw(self) -> Path:
        """Write curves.png."""
        return draw_curves(self._rows, self.folder / "curves.png")

    def state_dict(self) -> dict:
        """Everything that was heard."""
        return {
            "sums": {k: list(v) for k, v in self._sums.items()},
            "before": self._before,
            "rows": [dict(row) for row in self._rows],
        }

    def load_state_dict(self, state: dict) -> None:
        """Go back to where the checkpoint was written."""
        self._sums = {k: tuple(v) for k, v in state["sums"].items()}
        self._before, self._rows = state["before"], state["rows"]
        self._write()

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(["step", *(name for row in self._rows for name in row)]))

    def _append(self, means: dict[str, float]) -> None:
        """The last row; the whole file where it has losses that no row before it had."""
        if any(name not in row for name in means for row in self._rows[:1]) or len(self._rows) == 1:
            self._write()
            return
        with self.file.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([_text(self._rows[-1].get(name)) for name in self._names])

    def _write(self) -> None:
        with replacing_file(self.file) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self._names)
            writer.writerows([_text(row.get(name)) for name in self._names] for row in self._rows)

    def _log(self, step: int, means: dict[str, float]) -> None:
        """To TensorBoard."""
        if not _has_tensorboard():
            return
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step)
        for name, value in means.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()


def read_curves(path: Path) -> list[dict[str, float]]:
    """The rows of a curves.csv, without what was not measured at a step; a last line cut short is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if not lines:
        return []
    names = lines[0]
    return [
        {name: float(value) for name, value in zip(names, line, strict=True) if value}
        for line in lines[1:]
        if len(line) == len(names)
    ]


def draw_curves(rows: list[dict[str, float]], path: Path) -> Path:
    """All losses over the steps, on a logarithmic scale, as a PNG picture."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    names = [name for name in dict.fromkeys(key for row in rows for key in row) if name != "step"]
    values = [row[name] for row in rows for name in names if row.get(name, 0) > 0 and math.isfinite(row[name])]
    if values:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
        last = max(row["step"] for row in rows)

        def place(step: float, value: float) -> tuple[int, int]:
            x = LEFT + (WIDTH - LEFT - RIGHT) * step / max(last, 1)
            y = TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(value)) / max(high - low, 1)
            return round(x), round(y)

        for power in range(low, high + 1):
            _, y = place(0, 10.0**power)
            cv2.line(image, (LEFT, y), (WIDTH - RIGHT, y), (225, 225, 225), 1)
            _write(image, f"{10.0**power:g}", (8, y + 4))
        for share in (0, 0.25, 0.5, 0.75, 1):
            x, _ = place(last * share, 10.0**low)
            _write(image, f"{round(last * share)}", (x - 12, HEIGHT - 14))
        _write(image, "losses (logarithmic) over steps", (LEFT, TOP - 8))
        for index, name in enumerate(names):
            colour = COLOURS[index % len(COLOURS)]
            points = [place(row["step"], row[name]) for row in rows if row.get(name, 0) > 0]
            cv2.polylines(image, [np.array(points, np.int32).reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)
            _write(image, name, (WIDTH - RIGHT + 12, TOP + 10 + 18 * index), colour)
    with replacing_file(path) as part:
        part.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


def _write(image: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int] = (60, 60, 60)) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _has_tensorboard() -> bool:
    return importlib.util.find_spec("tensorboard") is not None
