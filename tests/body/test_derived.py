"""What users ask of people in Python: places, pixels, angles and tables, as the files that `vibe` writes have them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.people import make_moving_result, make_person, make_result
from vibe_cli.body import load_body, vertices_of
from vibe_cli.errors import ModelError, UsageError
from vibe_cli.export import ExportOptions, format_writer
from vibe_cli.geometry.angles import ANGLE_NAMES
from vibe_cli.progress import quiet
from vibe_cli.results import Person, Result
from vibe_cli.skeleton import JOINT_NAMES, POINT_NAMES


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Two people, from a file."""
    path = tmp_path_factory.mktemp("run") / "result.npz"
    make_moving_result(12).save(path)
    return Result.load(path)


def test_everything_has_the_shape_that_is_documented(result: Result) -> None:
    person = result.people[1]
    count = len(person)
    assert person.joints_m.shape == (count, 44, 3) and person.joints_px.shape == (count, 44, 2)
    assert person.vertices_m.shape == (count, person.faces.max() + 1, 3)
    assert tuple(person.angles) == ANGLE_NAMES and all(value.shape == (count,) for value in person.angles.values())
    assert person.times.tolist() == result.video.times[person.frames].tolist()
    assert len(POINT_NAMES) == 44 and POINT_NAMES[:24] == JOINT_NAMES


def test_the_skeleton_lies_in_the_mesh_and_the_pelvis_where_the_person_stands(result: Result) -> None:
    for person in result.people:
        placed = person.translation(result.video)
        np.testing.assert_allclose(person.joints_m[:, 0], placed, atol=1e-6)
        low, high = person.vertices_m.min(axis=1), person.vertices_m.max(axis=1)
        assert (person.joints_m[:, :24] > low[:, None] - 0.02).all()
        assert (person.joints_m[:, :24] < high[:, None] + 0.02).all()
        about = vertices_of(person, load_body(None))
        np.testing.assert_allclose(person.vertices_m - placed[:, None], about, atol=1e-5)


def test_a_data_frame_is_the_csv_and_the_angles(result: Result, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    (path,) = format_writer("csv").write(result, load_body(None), tmp_path, ExportOptions(), quiet)
    written, table = pandas.read_csv(path), result.to_dataframe()
    assert len(table) == sum(map(len, result.people)) and set(table.person) == {1, 4}
    assert list(table.columns) == [*written.columns, *(f"{name}_deg" for name in ANGLE_NAMES)]
    for name in written.columns:
        within = 0.006 if name.endswith("_px") else 1e-4
        np.testing.assert_allclose(table[name].astype(float), written[name], atol=within, err_msg=name)
    one = result.people[1]
    np.testing.assert_allclose(table[table.person == 4].r_knee_flexion_deg, one.angles["r_knee_flexion"])
    assert table.frame.dtype == np.int64 and table.filled.dtype == bool


def test_nobody_has_the_columns_and_no_rows() -> None:
    pytest.importorskip("pandas")
    table = make_result([]).to_dataframe()
    assert len(table) == 0 and "l_knee_x_m" in table.columns and "l_knee_flexion_deg" in table.columns


def test_without_pandas_the_extra_is_named(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError) as error:
        result.people[0].to_dataframe()
    assert "vibe-cli[pandas]" in error.value.hint


def test_somebody_of_two_results_has_the_clip_of_each() -> None:
    person = make_person()
    assert person.scene is None
    with pytest.raises(ValueError, match="in no result"):
        _ = person.joints_m
    first = make_result([person])
    assert first.people[0] is person
    wide = replace(first, video=replace(first.video, width=640, times=first.video.times + 5))
    assert first.people[0].times[0] == 0 and wide.people[0].times[0] == 5
    assert not np.allclose(first.people[0].joints_m, wide.people[0].joints_m)


def test_a_part_of_a_track_is_computed_anew(result: Result) -> None:
    person = result.people[0]
    whole = person.joints_m
    part = person.at(slice(2, 5))
    assert isinstance(part, Person)
    np.testing.assert_allclose(part.joints_m, whole[2:5], atol=1e-12)
    np.testing.assert_array_equal(part.angles["l_elbow_flexion"], person.angles["l_elbow_flexion"][2:5])


def test_smpls_shapes_without_smpl_say_what_to_do(home: Path) -> None:
    with pytest.raises(ModelError, match="no SMPL file is known") as error:
        _ = make_result(body="smpl").people[0].joints_m
    assert "vibe models import" in error.value.hint


def test_a_result_is_read_without_torch(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "result.npz"
    result.save(path)
    code = (
        "import sys; from vibe_cli import Result; result = Result.load(sys.argv[1]); "
        "assert len(result.people[0].angles) == 16; assert not {'torch', 'cv2'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
