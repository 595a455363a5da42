"""The house: imports point one way, and only the command line talks or ends the process."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vibe_cli"

# The floors, the lowest first. A folder is one room; a room imports what stands on lower floors, and nothing of its own
# floor but itself. The folders of a clip's way stand one above the other: video, people, zoo, motion, pipeline.
FLOORS = (
    ("_version", "errors", "paths", "progress", "geometry"),
    ("options", "device", "networks", "run_folder"),
    ("importing",),
    ("body",),
    ("results",),  # above body, which poses the people in them
    ("video",),
    ("rendering", "export"),
    ("people",),
    ("zoo",),  # above people, because a model is loaded with its detector
    ("motion",),
    ("pipeline", "finished_run", "report"),
    ("run", "synth", "viewer"),
    ("batch",),
    ("datasets",),  # above synth, which composes the clips of its work folders
    ("training", "evaluation"),
    ("cli",),
    ("camera", "skeleton"),  # names for users' scripts: nothing of ours imports them
)
LEVELS = {name: level for level, names in enumerate(FLOORS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    """The name under which a file stands in FLOORS."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(tree: ast.Module) -> list[tuple[str, int]]:
    """What a module imports of ours, anywhere in it: the room's name and the line."""
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide where they point"
            names = [f"vibe_cli.{alias.name}" for alias in node.names] if node.module == "vibe_cli" else [node.module]
        found += [(name.split(".")[1], node.lineno) for name in names if name.startswith("vibe_cli.")]
    return found


def arrows_up(name: str, tree: ast.Module, levels: dict[str, int]) -> list[str]:
    """Imports of another room that does not stand lower than `name`, those for types alone as well."""
    return [
        f"line {line}: {name} imports {target}"
        for target, line in imports_of(tree)
        if target != name and levels[target] >= levels[name]
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    assert room(path) in LEVELS, f"say on which floor {room(path)} stands"
    assert arrows_up(room(path), ast.parse(path.read_text("utf-8")), LEVELS) == []


def test_an_arrow_upward_would_be_found() -> None:
    """The test above sees imports at the top and inside functions, in all their forms."""
    for line in (
        "from vibe_cli.cli import main",
        "import vibe_cli.cli.demo",
        "from vibe_cli import cli",
        "def late():\n    from vibe_cli.cli.info import describe",
    ):
        assert arrows_up("results", ast.parse(line), LEVELS), line
    assert not arrows_up("cli", ast.parse("from vibe_cli.results import Result"), LEVELS)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("video", "people"),
        ("people", "motion"),
        ("motion", "pipeline"),
        ("pipeline", "run"),
        ("synth", "datasets"),
        ("datasets", "training"),
    ],
)
def test_the_order_of_the_story_is_enforced(lower: str, higher: str) -> None:
    assert arrows_up(lower, ast.parse(f"from vibe_cli.{higher} import anything"), LEVELS)
    assert not arrows_up(higher, ast.parse(f"from vibe_cli.{lower} import anything"), LEVELS)


def test_every_room_has_one_floor_and_every_name_is_a_room() -> None:
    named = [name for names in FLOORS for name in names]
    assert sorted(named) == sorted({room(path) for path in MODULES})


def test_few_files_stand_outside_the_folders() -> None:
    assert len([path for path in PACKAGE.iterdir() if path.is_file()]) <= 16


def test_from_the_command_line_to_the_network_is_four_hops() -> None:
    """cli → run → pipeline → zoo or motion → networks, or fewer."""
    edges: dict[str, set[str]] = {room(path): set() for path in MODULES}
    for path in MODULES:
        edges[room(path)] |= {target for target, _ in imports_of(ast.parse(path.read_text("utf-8")))}
    hops, reached = 0, {"cli"}
    while "networks" not in reached:
        reached |= {target for name in reached for target in edges[name]}
        hops += 1
    assert hops <= 4


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_talks_or_ends_the_process(path: Path) -> None:
    if room(path) == "cli" or "if __name__" in path.read_text("utf-8"):
        pytest.skip("may talk")
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "exit", "quit", "sys.exit", "os._exit", "click.echo", "input"), (
                f"{path.name}:{node.lineno}: {called} below cli/"
            )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 350, "split the file"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 60, f"{path.name}: split {node.name}"
            assert node.returns is not None, f"{path.name}:{node.lineno}: {node.name} states no return type"
