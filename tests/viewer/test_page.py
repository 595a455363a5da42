"""`vibe view --html`: what the page holds, read back, and how a browser shows it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.helpers.chromium import PROGRAM, Chromium
from tests.helpers.media import make_clip, number_of
from tests.helpers.people import make_moving_result
from vibe_cli.body.body_models import load_body, vertices_of
from vibe_cli.export.points import Points
from vibe_cli.rendering.renderer import colour_of
from vibe_cli.results import Person, Result
from vibe_cli.video.reader import open_video
from vibe_cli.viewer.clip import shown_times
from vibe_cli.viewer.scene import ANGLES, METRES

BODY = load_body(None)
FRAMES, CUT = 60, 30
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no Chromium")


@pytest.fixture(scope="module")
def result() -> Result:
    """Two people before a clip of 320×240 that has a cut; the first was not seen in some frames."""
    moving = make_moving_result(FRAMES)
    first = moving.people[0]
    filled = (first.frames >= 10) & (first.frames < 15)
    people = [replace(first, filled=filled, confidence=np.where(filled, 0, first.confidence)), moving.people[1]]
    video = replace(moving.video, times=np.arange(FRAMES) / 30, scenes=np.array([0, CUT]))
    return replace(moving, people=people, video=video)


@pytest.fixture
def run(result: Result, home: Path) -> Path:
    """The folder of a run, its clip beside."""
    make_clip(home / "clip.mp4", frames=FRAMES, size=(320, 240), fps=30)
    (home / "run").mkdir()
    result.save(home / "run" / "result.npz")
    return home / "run"


def part_of(page: str, name: str) -> bytes:
    """One of the page's packed parts."""
    return base64.b64decode(re.findall(rf'<script type="text/plain" id="{name}">(.*?)</script>', page, re.DOTALL)[0])


def unpacked(page: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The scene's header and arrays, deltas added up."""
    data = gzip.decompress(part_of(page, "packed"))
    size = int.from_bytes(data[:4], "little")
    header, arrays = json.loads(data[4 : 4 + size]), {}
    for entry in header["arrays"]:
        kind, shape = np.dtype(entry["type"]).newbyteorder("<"), tuple(entry["shape"])
        arrays[entry["name"]] = np.frombuffer(data, kind, int(np.prod(shape)), 4 + size + entry["at"]).reshape(shape)
    for name in [name for name in arrays if name.startswith(("angles", "pixels"))]:
        arrays[name] = np.cumsum(arrays[name], axis=0, dtype=np.int16)
    return header, arrays


def written(vibe, run: Path, *options: object) -> str:
    """The page that the program writes."""
    answer = vibe("view", run, "--html", "page.html", *options)
    assert answer.code == 0, answer.err
    assert answer.out.strip() == "page.html"
    return Path("page.html").read_text("utf-8")


def posed(person: Person, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(T, V, 3) vertices about the pelvis in camera axes, from the page's numbers by the tests' own skinning."""
    from scipy.spatial.transform import Rotation

    angles = arrays[f"angles{person.id}"].reshape(-1, 3) / ANGLES
    local = Rotation.from_rotvec(angles).as_matrix().reshape(-1, 24, 3, 3)
    rest, vertices = arrays[f"joints{person.id}"], arrays[f"vertices{person.id}"] / METRES
    world, places = np.zeros_like(local), np.zeros((len(local), 24, 3))
    for joint, parent in enumerate(header["parents"]):
        world[:, joint] = local[:, joint] if parent < 0 else world[:, parent] @ local[:, joint]
        if parent >= 0:
            places[:, joint] = places[:, parent] + world[:, parent] @ (rest[joint] - rest[parent])
    offsets = places - np.einsum("tjab,jb->tja", world, rest)
    weights, bones = arrays["weights"] / 255, arrays["bones"]
    parts = [
        weights[:, k, None] * (np.einsum("tvab,vb->tva", world[:, bones[:, k]], vertices) + offsets[:, bones[:, k]])
        for k in range(weights.shape[1])
    ]
    return sum(parts) @ np.array(header["camera"]["turn"])


def test_the_page_has_everybody_as_they_are_in_every_frame(vibe, run: Path, result: Result) -> None:
    header, arrays = unpacked(written(vibe, run))
    assert [one["id"] for one in header["people"]] == [1, 4] and header["cuts"] == [CUT]
    assert np.allclose(arrays["times"], result.video.times, atol=1e-5)
    for person, facts in zip(result.people, header["people"], strict=True):
        assert np.allclose(np.array(facts["colour"]) * 255, colour_of(person.id))
        assert np.array_equal(arrays[f"frames{person.id}"], person.frames)
        assert np.array_equal(arrays[f"filled{person.id}"], person.filled)
        assert np.abs(arrays[f"confidence{person.id}"] / 255 - person.confidence).max() < 0.003
        _, pixels = Points(BODY).placed(person, result, "opencv")
        assert np.abs(arrays[f"pixels{person.id}"].reshape(-1, 24, 2) / 4 - pixels[:, :24]).max() < 0.13
        some = slice(0, None, 20)
        error = np.linalg.norm(posed(person, header, arrays)[some] - vertices_of(person, BODY)[some], axis=2)
        assert np.percentile(error, 99.5) < 2e-3 and error.max() < 0.02, "metres; four bones a vertex, not seven"


def test_the_page_is_one_file_that_asks_nobody_for_anything(vibe, run: Path) -> None:
    page = written(vibe, run)
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[0]
    assert "default-src 'none'" in policy and "http" not in policy
    code = re.sub(r'<script type="text/plain".*?</script>', "", page, flags=re.DOTALL)
    assert not re.findall(r"https?://|\bimport\b|\bfetch\(|XMLHttpRequest|WebSocket|src=|@@", code)


def test_the_pages_video_has_every_frame_at_its_time(vibe, run: Path, home: Path, result: Result) -> None:
    (home / "small.mp4").write_bytes(part_of(written(vibe, run), "clip"))
    with open_video(home / "small.mp4") as video:
        numbers = [number_of(frame) for _, frame in video]
    assert numbers == list(range(FRAMES))
    assert np.allclose(shown_times(result.video, range(FRAMES)), video.info.times, atol=2e-3)


def test_a_clip_of_odd_times_keeps_them(result: Result) -> None:
    times = np.arange(FRAMES) / 30 + 0.5 * (np.arange(FRAMES) >= 20)
    late = replace(result.video, times=times + 3)
    assert np.allclose(shown_times(late, range(FRAMES)), times, atol=1e-3)
    assert np.allclose(shown_times(late, range(10, FRAMES)), times[10:] - times[10], atol=1e-3)


def test_a_part_of_the_clip_and_of_the_people(vibe, run: Path, home: Path) -> None:
    page = written(vibe, run, "--person", 4, "--start", 0.5, "--end", 1.5)
    header, arrays = unpacked(page)
    assert [one["id"] for one in header["people"]] == [4] and header["first"] == 15 and header["cuts"] == [CUT - 15]
    assert len(arrays["times"]) == 30 and np.array_equal(arrays["frames4"], np.arange(30))
    (home / "part.mp4").write_bytes(part_of(page, "clip"))
    with open_video(home / "part.mp4") as video:
        assert [number_of(frame) for _, frame in video] == list(range(15, 45))


def test_a_page_without_its_clip_says_so(vibe, run: Path, home: Path) -> None:
    assert part_of(written(vibe, run, "--no-video"), "clip") == b""
    (home / "clip.mp4").unlink()
    answer = vibe("view", run, "--html", "page.html")
    assert answer.code == 0 and answer.lines[0].startswith("warning: clip.mp4: the clip of this result is not there")


def test_a_page_of_nobody(vibe, run: Path, result: Result) -> None:
    replace(result, people=[]).save(run / "result.npz")
    header, arrays = unpacked(written(vibe, run, "--no-video"))
    assert header["people"] == [] and len(arrays["times"]) == FRAMES


@pytest.mark.parametrize(("name", "said"), [("run", "a folder"), ("clip.mp4/page.html", "cannot write there")])
def test_a_page_that_cannot_be_written_is_said(name: str, said: str, vibe, run: Path) -> None:
    answer = vibe("view", run, "--no-video", "--html", name)
    assert answer.code == 3 and len(answer.lines) == 2 and said in answer.lines[0]


def test_names_in_the_page_are_text(vibe, run: Path, result: Result) -> None:
    replace(result, video=replace(result.video, path="</title><script>alert(1)</script>@@CLIP@@.mp4")).save(
        run / "result.npz"
    )
    page = written(vibe, run, "--no-video")
    assert "<script>alert" not in page and page.count("<script") == 3 and part_of(page, "clip") == b""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    with Chromium(tmp_path / "profile") as tab:
        yield tab


FRAME = "window.vibe.player.frame"


def coloured(picture: np.ndarray, box: tuple[int, int, int, int], person: int) -> int:
    """How many pixels in a box of a screenshot have about the hue of a person's colour."""
    left, top, right, bottom = box
    hues = cv2.cvtColor(picture[top:bottom, left:right], cv2.COLOR_RGB2HSV).astype(int)
    wanted = int(cv2.cvtColor(np.array([[colour_of(person)]], np.uint8), cv2.COLOR_RGB2HSV)[0, 0, 0])
    return int(((np.abs(hues[..., 0] - wanted) < 6) & (hues[..., 1] > 50) & (hues[..., 2] > 60)).sum())


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_the_people_and_the_frame_that_belongs_to_them(vibe, run: Path, home: Path, browser) -> None:
    written(vibe, run)
    browser.open((home / "page.html").as_uri() + "#frame=37&hide=camera,floor")
    assert browser.errors == [] and browser.evaluate(FRAME) == 37
    assert all(address.startswith(("file://", "blob:")) for address in browser.requests), browser.requests
    browser.wait("!window.vibe.player.video.seeking")
    left, top, right, bottom = browser.box("screen")
    picture = browser.picture()
    assert number_of(picture[top:bottom, left:right]) == 37, "the video's frame is the people's"
    space = browser.box("space")
    both = [coloured(picture, space, person) for person in (1, 4)]
    assert min(both) > 300
    browser.press("m")
    browser.press("s")
    bones = browser.picture()
    assert all(20 < coloured(bones, space, person) < full for person, full in zip((1, 4), both, strict=True))
    browser.press("s")
    bare = browser.picture()
    assert max(coloured(bare, space, person) for person in (1, 4)) < 20
    browser.press("m")
    browser.evaluate("window.vibe.scene.people[0].hidden = true")
    assert coloured(browser.picture(), space, 1) < 20, "a person who is hidden is gone"


@pytest.mark.slow
@needs_chromium
def test_a_browser_poses_the_body_where_the_mesh_is(vibe, run: Path, home: Path, browser, result: Result) -> None:
    written(vibe, run, "--no-video")
    browser.open((home / "page.html").as_uri() + "#frame=20")
    header, _ = unpacked((home / "page.html").read_text("utf-8"))
    script = "(p => [p.poseAt(20), ...p.posed, ...p.place(p.at)])(window.vibe.scene.people[0])"
    there, *numbers = browser.evaluate(script)
    joints, pelvis = np.array(numbers[:72]).reshape(24, 3), np.array(numbers[72:])
    about = (joints - pelvis) @ np.array(header["camera"]["turn"])
    truth = Points(BODY).about_pelvis(result.people[0])[20, :24]
    assert there and np.abs(about - truth).max() < 2e-3


def frames_a_second(browser: Chromium, seconds: float = 4.0) -> float:
    """How fast the page plays, from the clip's beginning on, by what it shows when it draws."""
    browser.press("Home")
    browser.wait(f"{FRAME} > 2")
    (start, first), (end, last) = browser.evaluate(f"""new Promise(done => {{
      let start;
      const look = now => {{
        // a video goes by the clock of the wall, whenever the page comes to draw
        const seen = [(window.vibe.player.shows ? performance.now() : now) / 1000, {FRAME}];
        start ??= seen;
        seen[0] - start[0] > {seconds} ? done([start, seen]) : requestAnimationFrame(look);
      }};
      requestAnimationFrame(look);
    }})""")
    return (last - first) / (end - start)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("options", [(), ("--no-video",)], ids=["video", "clock"])
def test_a_browser_plays_at_the_clips_speed(options, vibe, home: Path, browser, result: Result) -> None:
    make_clip(home / "clip.mp4", frames=600, size=(64, 48), fps=30)
    (home / "run").mkdir()
    video = replace(result.video, times=np.arange(600) / 30, width=64, height=48, fps=Fraction(30))
    replace(result, video=video).save(home / "run" / "result.npz")
    written(vibe, home / "run", *options)
    browser.open((home / "page.html").as_uri() + "#hide=mesh,floor")
    browser.press(" ")
    assert abs(frames_a_second(browser) - 30) < 4.5
    browser.press("-")
    assert abs(frames_a_second(browser) - 15) < 3, "half as fast"
    browser.press(" ")
    at = browser.evaluate(FRAME)
    browser.press("ArrowRight")
    assert browser.evaluate(FRAME) == at + 1
    browser.press("Home")
    assert browser.evaluate(FRAME) == 0
