"""The page on this machine alone: a server that makes it anew when the result has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from vibe_cli.errors import UsageError

HOST = "127.0.0.1"
PORT = 8422  # the same each time, for those who forward it from another machine
_OURS = ("127.0.0.1", "localhost", "[::1]")  # names under which a browser may ask, so that no foreign site does


class PageServer(ThreadingHTTPServer):
    """Serves the page that `make` gives, at /; after the file `result` was written anew, a new one."""

    daemon_threads = True

    def __init__(self, make: Callable[[], str], result: Path, port: int | None = None) -> None:
        """`port` None is PORT, or any that is free where that is taken; UsageError where a wanted one is taken."""
        self._make, self._result, self._lock = make, result, threading.Lock()
        self._page, self._of = b"", 0
        try:
            super().__init__((HOST, PORT if port is None else port), _Handler)
        except OSError as error:
            if port is not None:
                reason = error.strerror or type(error).__name__
                raise UsageError(f"port {port} cannot be used ({reason})", hint="choose another --port") from None
            super().__init__((HOST, 0), _Handler)

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def page(self) -> bytes:
        """The page of the result as it is now; whatever `make` raises."""
        with self._lock:
            changed = self._result.stat().st_mtime_ns
            if changed != self._of:
                self._page, self._of = self._make().encode("utf-8"), changed
            return self._page


class _Handler(BaseHTTPRequestHandler):
    """GET / and nothing else."""

    server: PageServer

    def do_GET(self) -> None:
        """Answer a browser."""
        if self.headers.get("Host", "").rpartition(":")[0] not in _OURS or self.path.split("?")[0] != "/":
            self.send_error(404)
            return
        try:
            content, code = self.server.page(), 200
        except Exception as error:  # the result is being written, or has gone: said in the page, and tried again then
            content, code = f"{type(error).__name__}: {error}".encode("utf-8", "replace"), 500
        self.send_response(code)
        self.send_header("Content-Type", f"text/{'html' if code == 200 else 'plain'}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
