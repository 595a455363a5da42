"""Folders of clips, and files that are whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vibe_cli import run_folder
from vibe_cli.errors import InputError, UsageError
from vibe_cli.progress import Stopwatch
from vibe_cli.run_folder import replacing_folder, write_json


def record(folder: Path, clip: Path) -> None:
    """What a run leaves that says whose folder this is."""
    folder.mkdir(parents=True)
    run_folder.write_json(folder / run_folder.REPORT_NAME, {"input": {"resolved": str(clip.resolve())}})


def test_a_clip_gets_a_folder_of_its_name(tmp_path: Path) -> None:
    assert run_folder.plan_folders([tmp_path / "a" / "x.mp4"], tmp_path / "out") == [tmp_path / "out" / "x"]


def test_clips_of_one_name_in_two_folders_do_not_collide(tmp_path: Path) -> None:
    planned = run_folder.plan_folders([tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4"], tmp_path / "out")
    assert planned == [tmp_path / "out" / "a" / "x", tmp_path / "out" / "b" / "x"]


def test_folders_mirror_the_tree_that_the_clips_lie_in(tmp_path: Path) -> None:
    clips = [tmp_path / "a" / "x.mp4", tmp_path / "a" / "deep" / "y.mp4", tmp_path / "z.mp4"]
    assert run_folder.plan_folders(clips, Path("out")) == [Path("out/a/x"), Path("out/a/deep/y"), Path("out/z")]


def test_clips_that_differ_in_the_suffix_only_keep_it(tmp_path: Path) -> None:
    planned = run_folder.plan_folders([tmp_path / "x.mp4", tmp_path / "x.avi"], tmp_path / "out")
    assert planned == [tmp_path / "out" / "x.mp4", tmp_path / "out" / "x.avi"]


def test_the_same_clip_gets_the_same_folder_and_another_of_its_name_does_not(tmp_path: Path) -> None:
    record(tmp_path / "out" / "x", tmp_path / "a" / "x.mp4")
    output = tmp_path / "out"
    assert run_folder.plan_folders([tmp_path / "a" / "x.mp4"], output) == [output / "x"]
    assert run_folder.plan_folders([tmp_path / "b" / "x.mp4"], output) == [output / "b" / "x"]


def test_an_image_folder_keeps_its_whole_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "take.2").mkdir()
    assert run_folder.plan_folders([tmp_path / "take.2"], Path("out")) == [Path("out/take.2")]
    monkeypatch.chdir(tmp_path / "take.2")
    assert run_folder.plan_folders([Path(".")], Path("out")) == [Path("out/take.2")]


def test_names_with_spaces_and_other_scripts_are_kept(tmp_path: Path) -> None:
    planned = run_folder.plan_folders([tmp_path / "мой танец 舞.mp4"], Path("out"))
    assert planned == [Path("out/мой танец 舞")]


def test_a_clip_given_twice_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="twice"):
        run_folder.plan_folders([tmp_path / "x.mp4", tmp_path / "." / "x.mp4"], Path("out"))


def test_a_folder_that_cannot_be_made_is_said_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there") as error:
        run_folder.make_writable(tmp_path / "file" / "clip")
    assert "--output" in error.value.hint


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="Permission denied"):
        run_folder.make_writable(tmp_path / "clip")


def test_trying_a_folder_leaves_nothing_in_it(tmp_path: Path) -> None:
    run_folder.make_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    run_folder.remove_if_empty(tmp_path / "a" / "b", tmp_path / "a")
    assert not (tmp_path / "a").exists() and tmp_path.exists()


def test_folders_with_files_are_not_removed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "kept.txt").write_text("")
    run_folder.remove_if_empty(tmp_path / "a" / "b", tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept.txt"]


def test_the_newest_result_is_the_one_written_last(tmp_path: Path) -> None:
    for age, name in ((30, "a"), (10, "b/deep"), (20, "c")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / run_folder.RESULT_NAME).write_text("")
        os.utime(tmp_path / name / run_folder.RESULT_NAME, (1e9 - age, 1e9 - age))
    assert run_folder.newest_result(tmp_path) == tmp_path / "b" / "deep" / run_folder.RESULT_NAME


def test_no_run_yet_tells_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        run_folder.newest_result(tmp_path / "output")
    assert "vibe demo" in error.value.hint


def test_a_result_is_named_by_its_file_or_its_folder(tmp_path: Path) -> None:
    result = tmp_path / run_folder.RESULT_NAME
    result.write_text("")
    assert run_folder.find_result(result) == run_folder.find_result(tmp_path) == result
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "nothing.npz"):
        with pytest.raises(InputError, match=wrong.name):
            run_folder.find_result(wrong)


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), run_folder.replacing_file(path) as part:
        part.write_text("ha")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "obj"
    for name in ("first", "second"):
        with run_folder.replacing_folder(folder) as part:
            (part / name).write_text("")
    assert [path.name for path in folder.iterdir()] == ["second"] and list(tmp_path.iterdir()) == [folder]
    with pytest.raises(KeyboardInterrupt), run_folder.replacing_folder(folder) as part:
        (part / "third").write_text("")
        raise KeyboardInterrupt
    assert [path.name for path in folder.iterdir()] == ["second"] and list(tmp_path.iterdir()) == [folder]


def test_a_folder_with_files_of_others_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "obj" / "person_001").mkdir(parents=True)
    (tmp_path / "obj" / "person_001" / "000000.obj").write_text("ours")
    for name in (".DS_Store", "Thumbs.db", "person_001/desktop.ini"):
        (tmp_path / "obj" / name).write_text("a file manager's")
    pattern = r"person_\d+/\d+\.obj"
    with replacing_folder(tmp_path / "obj", pattern) as part:
        (part / "new").mkdir()
    assert (tmp_path / "obj" / "new").is_dir()
    (tmp_path / "obj" / "mine.obj").write_text("a sculpture")
    with pytest.raises(InputError, match="mine.obj"), replacing_folder(tmp_path / "obj", pattern):
        pass
    assert (tmp_path / "obj" / "mine.obj").read_text() == "a sculpture"
    assert [path.name for path in tmp_path.iterdir()] == ["obj"]


def test_json_takes_names_that_are_not_utf8(tmp_path: Path) -> None:
    values = {"path": os.fsdecode(b"caf\xe9.mp4"), "other": "é"}
    write_json(tmp_path / "a.json", values)
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == values


def test_json_is_readable_by_people(tmp_path: Path) -> None:
    run_folder.write_json(tmp_path / "run.json", {"input": "танец"})
    text = (tmp_path / "run.json").read_text("utf-8")
    assert "танец" in text and json.loads(text) == {"input": "танец"}


def test_a_stopwatch_adds_up_visits_and_counts_no_second_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("vibe_cli.progress.time.perf_counter", lambda: now[0])
    watch = Stopwatch()

    def frames():
        for name in "ab":
            now[0] += 3
            yield name

    for _ in range(2):
        with watch("detect"):
            now[0] += 1
            for _ in watch.each(frames(), "decode"):
                now[0] += 5
    assert watch.seconds == {"detect": 22, "decode": 12} and sum(watch.seconds.values()) == now[0]


def test_a_linked_clip_keeps_the_name_that_the_user_gave_it(tmp_path: Path) -> None:
    (tmp_path / "3f2a.bin").write_bytes(b"x")
    (tmp_path / "dance.mp4").symlink_to(tmp_path / "3f2a.bin")
    from vibe_cli.run_folder import plan_folders

    assert plan_folders([tmp_path / "dance.mp4"], tmp_path / "out") == [tmp_path / "out" / "dance"]
