"""Batches that are stopped at any moment, that fill the disk, or that are long: nothing is lost, nothing is left."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.helpers.batch_program import ROOT, command
from tests.helpers.faulty import make_faulty
from tests.helpers.tiny import install_model, make_walk
from vibe_cli.results import Result

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals and file systems of POSIX")]
KILLS = int(os.environ.get("VIBE_FAULT_KILLS", 30))
MANY = int(os.environ.get("VIBE_FAULT_CLIPS", 500))


def begin(*args: object, out: str = "out") -> subprocess.Popen[str]:
    """`vibe batch clips` with the tiny model, under way, in a process of its own."""
    words = command("batch", "clips", "-o", out, "--model", "tiny", "--device", "cpu", "--format", "npz", *args)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def hear() -> None:  # Ctrl-C, which a program of a shell's background would not
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear
    )


def finished(out: Path) -> dict[str, int]:
    """The clips that are marked finished, and when their results were written."""
    marks = list(out.rglob(".finished.json"))
    return {str(mark.parent.relative_to(out)): (mark.parent / "result.npz").stat().st_mtime_ns for mark in marks}


def files(out: Path) -> dict[str, bytes]:
    """What was made of the clips, apart from times and reports."""
    kept = {".npz", ".jpg"}
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.suffix in kept}


def twelve(home: Path) -> None:
    """Twelve clips, every third a slow one."""
    for number in range(12):
        make_walk(home / "clips" / f"{number:02d}.mp4", frames=4 + number % 3)
        if number % 3 == 0:
            make_faulty(home / "clips" / f"{number:02d}.mp4", "slow")


def test_a_batch_killed_again_and_again_ends_like_an_undisturbed_one(home: Path, row) -> None:
    install_model(home / ".vibe" / "models")
    twelve(home)
    start = time.monotonic()
    assert begin("--workers", 2, out="undisturbed").wait() == 0
    length = time.monotonic() - start
    chance, repeated, most, kills = random.Random(0), 0, 0, 0
    while kills < KILLS:
        before = finished(home / "out")
        run = begin("--workers", 2)
        try:
            run.communicate(timeout=chance.uniform(0.2, 0.9) * length)
        except subprocess.TimeoutExpired:
            kills += 1
            run.send_signal(signal.SIGKILL)
            run.communicate()
        after = finished(home / "out")
        for name in after:
            Result.load(home / "out" / name / "result.npz")
        repeated += sum(after.get(name) != written for name, written in before.items())
        most = max(most, len(after))
        if len(after) == 12:
            shutil.rmtree(home / "out")  # from the beginning
    last = begin("--workers", 2)
    said = last.communicate()[1]
    assert last.returncode == 0 and "Traceback" not in said, said
    assert files(home / "out") == files(home / "undisturbed") and repeated == 0
    assert not list((home / "out").rglob("*.part*"))
    row(f"{KILLS} kills of a batch of 12 clips", f"same files, {repeated} repeated, up to {most} finished at a kill")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_batch_asked_to_stop_says_so_and_leaves_no_process(stop: signal.Signals, home: Path, row) -> None:
    install_model(home / ".vibe" / "models")
    make_walk(home / "clips" / "a.mp4", frames=4)
    make_faulty(home / "clips" / "b.mp4", "hangs")
    make_walk(home / "clips" / "c.mp4", frames=4)
    run = begin()
    limit = time.monotonic() + 300
    while len(finished(home / "out") if (home / "out").exists() else {}) < 1 and time.monotonic() < limit:
        time.sleep(0.2)
    time.sleep(2)
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(stop)
    said = run.communicate(timeout=120)[1]
    assert run.returncode == 130 and "Traceback" not in said and "error: stopped by" in said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    report = json.loads((home / "out" / "report.json").read_text("utf-8"))
    assert report["counts"] == {"done": 1, "nobody": 0, "failed": 0, "unfinished": 2}
    row(f"{stop.name} in a clip that hangs", f"exit {run.returncode}, 1 done, 2 unfinished")


def test_a_full_disk_is_each_clips_reason_and_leaves_nothing_half_written(home: Path, row) -> None:
    install_model(home / ".vibe" / "models")
    for number in range(4):
        make_walk(home / "clips" / f"{number}.mp4", frames=40, people=2)
    (home / "out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(home / "out")]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        run = begin("--retries", 0)
        said = run.communicate(timeout=600)[1]
        parts, whole = list((home / "out").rglob("*.part*")), list((home / "out").rglob("result.npz"))
        assert run.returncode in (3, 5) and "Traceback" not in said and "bug in vibe" not in said, said
        assert "the disk is full" in said and parts == []
        for path in whole:
            Result.load(path)
        row("a disk of 64 kB for 4 clips", f"exit {run.returncode}, {len(whole)} results whole, the rest with a reason")
    finally:
        subprocess.run(["umount", str(home / "out")], check=True)


def test_many_clips_take_no_more_memory_or_files_than_few(home: Path, row) -> None:
    install_model(home / ".vibe" / "models")
    content = make_walk(home / "clips" / "0.mp4", frames=4).read_bytes()
    for number in range(MANY):
        (home / "clips" / f"{number}.mp4").write_bytes(content)
    run = begin()
    samples: list[tuple[int, int, int]] = []  # clips finished, megabytes, open files

    def watch() -> None:
        process = psutil.Process(run.pid)
        while run.poll() is None:
            try:
                all_ = [process, *process.children()]
                memory = sum(one.memory_info().rss for one in all_) // 2**20
                samples.append((len(finished(home / "out")), memory, sum(one.num_fds() for one in all_)))
            except (psutil.Error, OSError):
                pass
            time.sleep(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    run.communicate()
    watcher.join()
    assert run.returncode == 0
    early = next(sample for sample in samples if sample[0] >= MANY // 5)
    late = max(sample for sample in samples if sample[0] < MANY)  # after the last clip the worker is gone
    row(f"{MANY} clips", f"{early[1]} MB and {early[2]} files after {early[0]}, {late[1]} MB and {late[2]} at the end")
    assert late[1] < 1.1 * early[1] + 20 and late[2] <= early[2] + 8
