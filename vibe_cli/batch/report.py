"""Reports of a batch, for people and programs: report.json, report.csv and a page with a picture of each clip."""

from __future__ import annotations

import csv
import html
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vibe_cli._version import __version__
from vibe_cli.batch.plan import FILES, Clip
from vibe_cli.batch.remote import send
from vibe_cli.batch.work import DONE, FAILED, NOBODY, UNFINISHED, Row, row_as_json
from vibe_cli.paths import printable
from vibe_cli.run_folder import OVERLAY_NAME, PICTURE_NAME, replacing_file, write_json

REPORT_VERSION = 1
JSON_NAME, CSV_NAME, PAGE_NAME = FILES
STATUSES = (DONE, NOBODY, FAILED, UNFINISHED)
COLUMNS = ("clip", "status", "people", "frames", "seconds", "error", "hint")

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fafafa }
h1 { font-size: 1.3rem } main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
article { background: #fff; border: 1px solid #ddd; border-radius: 6px; overflow: hidden }
article img, .none { width: 100%; height: 10rem; object-fit: contain; background: #222; display: block }
.none { background: #e6e6e6 } p { margin: .5rem .75rem; overflow-wrap: anywhere } .failed { color: #a11 }
small { color: #666 }
"""


@dataclass(frozen=True)
class BatchReport:
    """A batch, as far as it has come: a row for every clip of the plan."""

    clips: Sequence[Clip]
    rows: dict[str, Row]  # by the clip's name, of those that are through
    output: Path
    facts: dict[str, Any] = field(default_factory=dict)  # options, seconds: what else report.json says
    target: str | None = None  # URL where the files go as well

    def all_rows(self) -> list[Row]:
        """A row a clip, in the plan's order; those that were not reached are unfinished."""
        return [self.rows.get(clip.name) or Row(clip.name, UNFINISHED, tries=0) for clip in self.clips]

    def counts(self) -> dict[str, int]:
        """How many clips have each status."""
        found = Counter(row.status for row in self.all_rows())
        return {status: found[status] for status in STATUSES}

    def write(self) -> list[Path]:
        """Write all three files, each whole or not at all."""
        rows = self.all_rows()
        said = {"report_version": REPORT_VERSION, "vibe": __version__, **self.facts, "counts": self.counts()}
        write_json(self.output / JSON_NAME, {**said, "clips": [row_as_json(row) for row in rows]})
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({key: _safe_cell(value) for key, value in row_as_json(row).items()} for row in rows)
        _write(self.output / CSV_NAME, table.getvalue())
        _write(self.output / PAGE_NAME, _page(self.clips, rows, self.output, self.counts()))
        files = [self.output / name for name in FILES]
        if self.target is not None:
            send(files, self.output, self.target)
        return files


def _safe_cell(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not compute, without control characters."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text


def _write(path: Path, text: str) -> None:
    with replacing_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def _page(clips: Sequence[Clip], rows: Sequence[Row], output: Path, counts: dict[str, int]) -> str:
    """One page that needs nothing but the files beside it."""
    title = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "no clips"
    cards = "\n".join(_card(clip, row, output) for clip, row in zip(clips, rows, strict=True))
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>vibe batch: {title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n'
        f"<h1>{len(rows)} clips: {title}</h1>\n<main>\n{cards}\n</main></html>\n"
    )


def _card(clip: Clip, row: Row, output: Path) -> str:
    """One clip: its picture, its name, what came of it."""
    place = quote(clip.folder.relative_to(output).as_posix(), errors="surrogateescape")
    image = '<div class="none"></div>'
    if (clip.folder / PICTURE_NAME).is_file() and row.status != FAILED:
        image = f'<img loading="lazy" alt="" src="{place}/{PICTURE_NAME}">'
    target = f"{place}/{OVERLAY_NAME}" if (clip.folder / OVERLAY_NAME).is_file() else place
    if row.status == FAILED:
        words = f'<p class="failed">{_text(row.error)}<br><small>{_text(row.hint)}</small></p>'
    elif row.status == UNFINISHED:
        words = "<p>not reached</p>"
    else:
        words = f"<p>{in_words(row)}</p>"
    return f'<article><a href="{place and target}">{image}</a><p><b>{_text(row.clip)}</b></p>{words}</article>'


def in_words(row: Row) -> str:
    """Who was found in a clip."""
    people = {0: "nobody", 1: "1 person"}.get(row.people, f"{row.people} people")
    return f"{people} in {row.frames} frames"


def _text(text: str) -> str:
    return html.escape(printable(text))
