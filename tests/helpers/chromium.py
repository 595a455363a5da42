"""A headless Chromium that tests drive through a pipe (Chrome DevTools Protocol); no driver, no network."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--mute-audio", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)


class Chromium:
    """One tab. `requests` are the addresses that the page asked for, `errors` what its console complained of."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 720, patience: float = 120) -> None:
        self._command = [str(PROGRAM), *_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        self._patience, self._numbers = patience, itertools.count(1)
        self._size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.requests: list[str] = []
        self.errors: list[str] = []

    def __enter__(self) -> Chromium:
        import fcntl  # not on Windows, where these tests are skipped

        theirs, self._out = os.pipe()
        self._in, back = os.pipe()
        reads, writes = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, back))

        def place_pipes() -> None:
            """Chromium reads from 3 and writes to 4, whichever numbers the pipes have here."""
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        silent = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
        self._process = subprocess.Popen(self._command, pass_fds=(3, 4), preexec_fn=place_pipes, **silent)
        for end in (theirs, back, reads, writes):
            os.close(end)
        self._rest, self._session = b"", None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", **self._size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def open(self, address: str) -> None:
        """Load a page and wait until it says that it is ready, or why it will not be."""
        self.call("Page.navigate", url="about:blank")
        self.requests.clear()
        self.call("Page.navigate", url=address)
        self.wait("document.documentElement?.dataset.ready")

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", script))
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + self._patience
        while not self.evaluate(f"Boolean({script})"):
            if time.monotonic() > end:
                raise TimeoutError(f"{script}; console: {self.errors}")
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """One key, down and up."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def picture(self) -> np.ndarray:
        """What is seen after two more turns of the page, RGB uint8 (height, width, 3)."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def box(self, element: str) -> tuple[int, int, int, int]:
        """left, top, right, bottom of the element of that id, pixels of `picture`."""
        place = f"document.getElementById({element!r}).getBoundingClientRect()"
        script = f"(b => [b.left, b.top, b.right, b.bottom])({place})"
        left, top, right, bottom = (round(value) for value in self.evaluate(script))
        return left, top, right, bottom

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command; its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + self._patience
        while True:
            answer = self._read(end)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._notice(answer)

    def _notice(self, event: dict[str, Any]) -> None:
        method, facts = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(facts["exceptionDetails"].get("exception", {}).get("description", "?"))
        elif method == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.errors.append(facts["entry"]["text"])

    def _read(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("chromium does not answer")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError("chromium has ended")
            self._rest += data
        text, self._rest = self._rest.split(b"\0", 1)
        return json.loads(text)
