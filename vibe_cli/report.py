"""run.json: what was done to a clip, with what, how long it took, and what was odd about it."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass, field, is_dataclass
from enum import Enum
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vibe_cli._version import __version__

if TYPE_CHECKING:
    from vibe_cli.results import Result

REPORT_VERSION = 1
LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "opencv-python",
    "ultralytics",
    "filterpy",
    "smplx",
    "pyrender",
    "imageio-ffmpeg",
)


@dataclass(frozen=True)
class PersonFacts:
    """One person of a result: where in the clip, and how many of the boxes were filled in."""

    id: int
    frames: int
    first: int
    last: int
    filled: int


@dataclass(frozen=True)
class SceneFacts:
    """One shot of a clip."""

    first: int  # frame
    last: int
    start: float  # seconds


@dataclass(kw_only=True)
class Facts:
    """The entries of run.json, in its order."""

    report_version: int = REPORT_VERSION
    input: dict[str, Any]  # the clip, as it was given and as it was decoded
    options: dict[str, Any]  # all choices, those of the model first
    versions: dict[str, str | None]
    device: str
    detector: str
    model: str
    body: str
    renderer: str | None = None  # where something was drawn
    frames: int
    scenes: list[SceneFacts] = field(default_factory=list)  # shots, which no track crosses
    people: list[PersonFacts]
    filled_frames: int
    dropped_tracks: int
    unsure_tracks: int  # of those dropped
    left_out_tracks: int  # by choice
    jitter: dict[str, Any]
    warnings: list[str]
    seconds: dict[str, float]  # by stage
    total_seconds: float = 0.0
    peak_memory_mb: float | None = None
    files: list[str]  # in the clip's folder, as far as they are of this run


def versions() -> dict[str, str | None]:
    """The versions of Python, of this program and of what it stands on; None where a library is missing."""
    found: dict[str, str | None] = {"vibe": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def peak_memory_mb() -> float | None:
    """The most memory that this process has held so far, in megabytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux: getrusage would count what the parent process held before it started us
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    if sys.platform == "win32":
        return _windows_peak_mb()
    try:
        import resource
    except ImportError:
        return None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(size / (1024**2 if sys.platform == "darwin" else 1024), 1)


def _windows_peak_mb() -> float | None:
    """PeakWorkingSetSize of this process."""
    if sys.platform != "win32":
        return None
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = [
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("rest", ctypes.c_size_t * 6),
        ]

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    query = kernel.K32GetProcessMemoryInfo
    query.argtypes = [wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD]
    if not query(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
        return None
    return round(counters.PeakWorkingSetSize / 1024**2, 1)


def plain(value: Any) -> Any:
    """A value as JSON knows it: dataclasses as objects, paths and fractions as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (Path, Fraction)):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def clip_facts(result: Result, path: Path) -> dict[str, Any]:
    """The clip, as it was given and as it was decoded."""
    video = result.video
    facts = {name: getattr(video, name) for name in ("kind", "width", "height", "fps", "frames", "has_audio")}
    named = {"files": video.files} if video.files else {}
    elsewhere = "://" in video.path  # a URL, of which `path` was a copy
    place = {"path": video.path, "resolved": video.path} if elsewhere else {"path": path, "resolved": path.resolve()}
    return plain({**place, **facts, **named})


def scene_facts(result: Result) -> list[SceneFacts]:
    """The shots of the clip."""
    starts = result.video.scenes.tolist()
    ends = [*starts[1:], result.video.frames]
    return [
        SceneFacts(first, end - 1, round(float(result.video.times[first]), 3))
        for first, end in zip(starts, ends, strict=True)
    ]


def people_facts(result: Result) -> list[PersonFacts]:
    """Who was found, where, and how many of the boxes were filled in."""
    return [
        PersonFacts(
            id=person.id,
            frames=len(person),
            first=int(person.frames[0]),
            last=int(person.frames[-1]),
            filled=int(person.filled.sum()),
        )
        for person in result.people
    ]
