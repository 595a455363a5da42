"""`vibe doctor`: what works on this machine, found by trying it, and the fix for what does not."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import click

from vibe_cli._version import __version__
from vibe_cli.cli.options import debug_option, output_option, table
from vibe_cli.cli.words import echo
from vibe_cli.errors import EXIT_BUG, EXIT_OK, VibeError
from vibe_cli.run_folder import make_writable, remove_if_empty

OLDEST_PYTHON = (3, 10)
ROOM_WANTED = 1_000_000_000  # bytes: a long clip's overlay and meshes
MODULES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "cv2",
    "filterpy",
    "safetensors",
    "ffmpeg",
    "imageio_ffmpeg",
    "joblib",
    "pygltflib",
    "trimesh",
    "yaml",
    "rich",
)
OPTIONAL = {
    "ultralytics": "YOLO detectors",
    "smplx": "SMPL bodies",
    "pyarrow": "Parquet files",
}  # what is shipped works without them


@dataclass(frozen=True)
class Finding:
    """The finding of a check."""

    works: bool
    what: str  # what there is, or what is wrong
    fix: str | None = None  # what to do, when it does not work or could be better


@click.command("doctor", short_help="Check this machine: what works, and the fix for what does not.")
@output_option
@debug_option
def command(output: Path) -> int:
    """Check this machine: what works, and the fix for what does not.

    Everything is tried, not looked up: a clip is encoded and read back, a picture is drawn, the models are
    loaded. Exit code 0 when `vibe demo` can run here, else 1.
    """
    findings = []
    for name, check in checks(output).items():
        finding = examine(check)
        findings.append(finding)
        echo(table([("ok " if finding.works else "BAD", f"{name:<10}", finding.what)], indent=""))
        if finding.fix:
            echo(f"                 fix: {finding.fix}" if not finding.works else f"                 {finding.fix}")
    bad = sum(not finding.works for finding in findings)
    echo(f"{bad} of {len(findings)} checks failed" if bad else "Everything that vibe needs works here.")
    return EXIT_BUG if bad else EXIT_OK


def checks(output: Path) -> dict[str, Callable[[], Finding]]:
    """All checks by name, in the order in which they are made."""
    return {
        "vibe": check_python,
        "libraries": check_libraries,
        "device": check_device,
        "ffmpeg": check_ffmpeg,
        "video": check_video,
        "renderer": check_renderer,
        "body": check_body,
        "models": check_models,
        "SMPL": check_smpl,
        "output": lambda: check_output(output),
    }


def examine(check: Callable[[], Finding]) -> Finding:
    """Run a check; one that fails in an unforeseen way is a finding as well."""
    try:
        return check()
    except VibeError as error:
        return Finding(False, error.message, error.hint)
    except Exception as error:
        return Finding(False, f"{type(error).__name__}: {error}", "pip install --force-reinstall vibe-cli")


def check_python() -> Finding:
    """Versions of this program and of Python."""
    what = f"{__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding(False, what, "use Python 3.10 or newer")
    return Finding(True, what)


def check_libraries() -> Finding:
    """Whether every library is there; importing those that matter is what the other checks do."""
    missing = [name for name in MODULES if find_spec(name) is None]
    if missing:
        return Finding(False, f"missing: {', '.join(missing)}", "pip install --upgrade vibe-cli")
    lacking = [f"{name}, for {what}" for name, what in OPTIONAL.items() if find_spec(name) is None]
    return Finding(True, f"all {len(MODULES)} are installed" + (f"; not here: {'; '.join(lacking)}" if lacking else ""))


def check_device() -> Finding:
    """Where the networks run."""
    import torch

    from vibe_cli.device import choose_device, choose_dtype

    device = choose_device("auto")
    kind = str(choose_dtype(device)).removeprefix("torch.")
    total = float(torch.ones(2, 2, device=device).matmul(torch.ones(2, 2, device=device)).sum())
    if total != 8:
        return Finding(False, f"{device} computes wrongly", "use --device cpu")
    if device.type == "cpu":
        name = f"{torch.get_num_threads()} threads"
    else:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "Apple GPU"
    return Finding(True, f"torch {torch.__version__} on {device.type} ({name}), {kind}")


def check_ffmpeg() -> Finding:
    """Which ffmpeg program is used."""
    import subprocess

    from vibe_cli.video.ffmpeg import ffmpeg_program

    program = ffmpeg_program()
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False)
    version = answer.stdout.split("\n")[0].split(" Copyright")[0] or "no version"
    if answer.returncode:
        return Finding(False, f"{program} does not start", "pip install --force-reinstall imageio-ffmpeg")
    return Finding(True, f"{version} ({program})")


def check_video() -> Finding:
    """Write a small clip as H.264 and read it back."""
    import numpy as np

    from vibe_cli.video.reader import open_video
    from vibe_cli.video.writer import VideoWriter

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "try.mp4"
        with VideoWriter(clip, 64, 48, Fraction(25)) as writer:
            for shade in (40, 120, 200):
                writer.write(np.full((48, 64, 3), shade, np.uint8))
        with open_video(clip) as video:
            shades = [float(frame.mean()) for _, frame in video]
    if len(shades) != 3 or max(abs(got - put) for got, put in zip(shades, (40, 120, 200), strict=True)) > 12:
        return Finding(
            False, "a clip does not come back as it was written", "pip install --force-reinstall imageio-ffmpeg"
        )
    return Finding(True, "H.264 is written and read back")


def check_renderer() -> Finding:
    """Which renderer starts."""
    from vibe_cli.rendering.renderer import Renderer

    with Renderer(64, 48) as renderer:
        what = f"{renderer.name} ({renderer.device})"
        better = "; ".join(renderer.refused)
    return Finding(True, what, f"tried before it: {better}" if better else None)


def check_body() -> Finding:
    """Pose the shipped body."""
    import torch

    from vibe_cli.body.body_models import load_body

    body = load_body(None)
    output = body(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10))
    height = float(output.vertices[0, :, 1].max() - output.vertices[0, :, 1].min())
    return Finding(True, f"the open body: {output.vertices.shape[1]} vertices, {height:.2f} m tall")


def check_models() -> Finding:
    """Load the shipped models."""
    from vibe_cli.zoo.reader import load_model

    model = load_model(device="cpu")
    return Finding(True, f"{model.name}, detector {model.detector_name}")


def check_smpl() -> Finding:
    """Whether the user has SMPL; it is not needed."""
    from vibe_cli.importing.library import find_body

    body = find_body()
    return Finding(True, f"{body}" if body else "not here; not needed, the open body is used")


def check_output(output: Path) -> Finding:
    """Whether results can be written, and how much room there is."""
    there = output.exists()
    make_writable(output)
    free = shutil.disk_usage(output).free
    what = f"{output.resolve()} can be written, {free / 1e9:.1f} GB free"
    if not there:
        remove_if_empty(output, output)
    if free < ROOM_WANTED:
        return Finding(False, what, "free some space, or use another folder with --output")
    return Finding(True, what)
