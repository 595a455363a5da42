"""`vibe view` without --html: the page on this machine alone."""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.people import make_result
from vibe_cli.errors import UsageError
from vibe_cli.viewer.server import PageServer


@pytest.fixture
def result(home: Path) -> Path:
    (home / "run").mkdir()
    make_result().save(home / "run" / "result.npz")
    return home / "run" / "result.npz"


@pytest.fixture
def server(result: Path) -> Iterator[PageServer]:
    made: list[str] = []

    def make() -> str:
        made.append("page")
        return f"page {len(made)}"

    with PageServer(make, result, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(server: PageServer, path: str = "/", host: str | None = None) -> tuple[int, str]:
    """Status and text of a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_page_is_made_once_and_anew_when_the_result_has_changed(server: PageServer, result: Path) -> None:
    assert ask(server) == (200, "page 1") and ask(server, "/?again") == (200, "page 1")
    os.utime(result, (1, 1))
    assert ask(server) == (200, "page 2")


def test_only_the_page_is_served_and_to_no_foreign_site(server: PageServer) -> None:
    assert server.address.startswith("http://127.0.0.1:")
    assert ask(server, "/../result.npz")[0] == 404 and ask(server, "/result.npz")[0] == 404
    assert ask(server, host=f"evil.example:{server.server_address[1]}")[0] == 404
    assert ask(server, host=f"localhost:{server.server_address[1]}")[0] == 200


def test_a_result_that_is_gone_is_said_in_the_browser_and_the_server_goes_on(server: PageServer, result: Path) -> None:
    data = result.read_bytes()
    result.unlink()
    status, text = ask(server)
    assert status == 500 and "FileNotFoundError" in text
    result.write_bytes(data)
    assert ask(server)[0] == 200


def test_a_port_that_is_taken(server: PageServer, result: Path, vibe) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        PageServer(lambda: "", result, server.server_address[1])
    answer = vibe("view", result, "--no-video", "--port", server.server_address[1])
    assert answer.code == 2 and len(answer.lines) == 2 and "--port" in answer.lines[1]


def test_the_command_serves_until_ctrl_c(vibe, result: Path, monkeypatch) -> None:
    shown: list[tuple[int, bytes]] = []

    def visit(server: PageServer, *_: object) -> None:
        shown.append((server.server_address[1], server.page()))
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", visit)
    answer = vibe("view", result, "--no-video", "--no-browser")
    assert answer.code == 0 and answer.out.strip() == f"http://127.0.0.1:{shown[0][0]}/"
    assert shown[0][1].startswith(b"<!doctype html>")
