"""`vibe models fetch` from a server of the test's own: broken off, resumed, wrong, missing, on a full disk."""

from __future__ import annotations

import errno
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.onnx_models import write_constant
from vibe_cli.zoo import fetchable
from vibe_cli.zoo.fetched import default_detector, find_keypoints
from vibe_cli.zoo.reader import load_detector


class Server:
    """Files by path; `cut` breaks the first answer off, `ranges` answers Range."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: int | None = None
        self.ranges, self.asked = True, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Range")))
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/d.onnx")
                    self.end_headers()
                    return
                if self.path not in outer.files:
                    self.send_error(404)
                    return
                content, start = outer.files[self.path], 0
                if outer.ranges and self.headers.get("Range"):
                    start = int(self.headers["Range"][6:-1])
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                cut, outer.cut = outer.cut, None
                self.wfile.write(content[start:][:cut])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that has the catalogue's yolox-nano, a tiny stand-in."""
    running = Server()
    finds = {"dets": np.array([[[4, 4, 30, 40, 0.9]]])}
    running.files["/d.onnx"] = write_constant(home / "d.onnx", finds, (64, 64)).read_bytes()
    checksum = hashlib.sha256(running.files["/d.onnx"]).hexdigest()
    model = replace(fetchable.MODELS["yolox-nano"], urls=(f"{running.url}/d.onnx",), sha256=checksum)
    monkeypatch.setitem(fetchable.MODELS, "yolox-nano", model)
    yield running
    running.http.shutdown()
    running.http.server_close()


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / ".vibe" / "models").glob("*"))


def test_a_fetched_detector_is_listed_found_by_name_and_forgotten(vibe, home: Path, server: Server) -> None:
    answer = vibe("models", "fetch", "yolox-nano", "--yes")
    assert answer.code == 0 and "Apache-2.0" in answer.err and left(home) == ["yolox-nano"]
    assert "yolox-nano" in vibe("models", "list").out
    detector, name = load_detector("yolox-nano", "cpu")
    assert name == "yolox-nano" and len(detector.detect([np.zeros((64, 64, 3), np.uint8)])[0]) == 1
    assert default_detector() == "open-detector"
    (home / ".vibe/models/yolox-nano/model.onnx").write_bytes(b"other")
    assert vibe("models", "forget", "yolox-nano").code == 0 and left(home) == []


def test_what_broke_off_goes_on_where_it_was(vibe, home: Path, server: Server) -> None:
    server.cut = 100
    answer = vibe("models", "fetch", "yolox-nano", "--yes")
    assert answer.code == 4 and "broke off after 100" in answer.err and "again" in answer.err
    assert left(home) == ["yolox-nano.download.part"]
    assert vibe("models", "fetch", "yolox-nano", "--yes").code == 0
    assert server.asked[-1] == ("/d.onnx", "bytes=100-") and left(home) == ["yolox-nano"]


def test_a_server_that_cannot_go_on_begins_anew(vibe, home: Path, server: Server) -> None:
    server.cut, server.ranges = 100, False
    assert vibe("models", "fetch", "yolox-nano", "--yes").code == 4
    assert vibe("models", "fetch", "yolox-nano", "--yes").code == 0 and left(home) == ["yolox-nano"]


def test_another_file_is_refused_and_not_kept(vibe, home: Path, server: Server) -> None:
    server.files["/d.onnx"] += b"x"
    answer = vibe("models", "fetch", "yolox-nano", "--yes")
    assert answer.code == 4 and "not the file that was published" in answer.err and left(home) == []


def test_a_missing_file_is_one_line_and_a_mirror_that_moved_helps(vibe, home: Path, server: Server) -> None:
    answer = vibe("models", "fetch", "yolox-nano", "--yes", "--mirror", f"{server.url}/none")
    assert answer.code == 0
    assert vibe("models", "forget", "yolox-nano").code == 0
    content = server.files.pop("/d.onnx")
    answer = vibe("models", "fetch", "yolox-nano", "--yes")
    assert answer.code == 4 and "404" in answer.err and answer.lines[-1].startswith("hint") and left(home) == []
    server.files["/d.onnx"] = content
    assert vibe("models", "fetch", "yolox-nano", "--yes", "--mirror", f"{server.url}/moved").code == 0


def test_a_full_disk_is_said(vibe, home: Path, server: Server, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    answer = vibe("models", "fetch", "yolox-nano", "--yes")
    assert answer.code == 4 and "No space left" in answer.err and left(home) == ["yolox-nano.download.part"]


def test_recommended_ones_are_the_default_and_come_out_of_zips(vibe, home: Path, server: Server, monkeypatch) -> None:
    with zipfile.ZipFile(home / "k.zip", "w") as archive:
        archive.writestr("../deep/end2end.onnx", server.files["/d.onnx"])
    server.files["/k.zip"] = (home / "k.zip").read_bytes()
    pose = replace(fetchable.MODELS["rtmpose-m"], urls=(f"{server.url}/k.zip",), sha256=None)
    monkeypatch.setitem(fetchable.MODELS, "rtmpose-m", pose)
    monkeypatch.setattr("vibe_cli.zoo.fetch.RECOMMENDED", ("yolox-nano", "rtmpose-m"))
    assert vibe("models", "fetch", "recommended", "--yes").code == 0 and left(home) == ["rtmpose-m", "yolox-nano"]
    file = str(home / ".vibe/models/rtmpose-m/model.onnx")
    assert default_detector() == "yolox-nano" and find_keypoints(None) == find_keypoints("rtmpose-m") == file
    assert find_keypoints("encoder") is None and find_keypoints("kp.json") == "kp.json"
    assert vibe("models", "forget", "recommended").code == 0
    assert default_detector() == "open-detector" and find_keypoints(None) is None


def test_a_file_got_elsewhere_does_without_a_network(vibe, home: Path, server: Server) -> None:
    assert vibe("models", "fetch", "yolox-nano", "--yes", "--from", home / "d.onnx").code == 0 and not server.asked
    answer = vibe("models", "fetch", "nonsense", "--yes")
    assert answer.code == 4 and "yolox-nano" in answer.err


def test_demo_says_once_on_a_terminal_that_better_ones_can_be_had(home: Path, monkeypatch, capsys) -> None:
    from vibe_cli.cli.demo import tell_of_better_models

    tell_of_better_models()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    tell_of_better_models()
    tell_of_better_models()
    assert capsys.readouterr().err.count("vibe models fetch recommended") == 1


def test_nothing_is_fetched_before_the_licence_is_agreed_to(vibe, home: Path, server: Server, monkeypatch) -> None:
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    answer = vibe("models", "fetch", "yolox-nano")
    assert answer.code == 2 and "Apache-2.0" in answer.lines[0] and "--yes" in answer.lines[-1] and not server.asked
