"""`joints.parquet`: the columns of `joints.csv` with their types, for pandas, polars, DuckDB and Spark.

Metres and pixels are float32, `time_s` float64, `filled` a truth value; a row group a person. The schema's metadata
has, under `vibe`, the header of `keypoints.json`: axes, clip, K, names and bones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vibe_cli.errors import UsageError
from vibe_cli.export import ExportOptions
from vibe_cli.export.csv import COLUMNS, tables
from vibe_cli.export.json import header
from vibe_cli.export.points import OWN_AXES
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result

FILE_NAME = "joints.parquet"
TYPES = {"person": np.int32, "frame": np.int64, "time_s": np.float64, "filled": np.bool_}  # the others are float32


class Writer:
    """Typed columns, compressed; pyarrow writes them."""

    name = "parquet"
    extension = ".parquet"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write one file for everybody, or nothing when nobody is in the result; UsageError without pyarrow."""
        try:
            import pyarrow
            from pyarrow.parquet import ParquetWriter
        except ModuleNotFoundError:
            raise UsageError(
                "Parquet files need pyarrow, which is not installed",
                hint="pip install 'vibe-cli[parquet]', or export the same as --format csv",
            ) from None

        if not result.people:
            return []
        fields = [(name, pyarrow.from_numpy_dtype(TYPES.get(name, np.float32))) for name in COLUMNS]
        facts = json.dumps(header(result, options.axes or OWN_AXES))
        schema = pyarrow.schema(fields, metadata={"vibe": facts})
        with replacing_file(folder / FILE_NAME) as part, ParquetWriter(part, schema) as file:
            for _, rows in progress(tables(result, body, options), "Exporting parquet", len(result.people)):
                file.write_table(pyarrow.table(typed(rows), schema=schema))
        return [folder / FILE_NAME]


def typed(rows: np.ndarray) -> dict[str, Any]:
    """Rows (T, 225) → columns (T,) by name, each of its type."""
    return {name: rows[:, at].astype(TYPES.get(name, np.float32)) for at, name in enumerate(COLUMNS)}
