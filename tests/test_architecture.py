"""The floors: a room imports only from floors below it, and nothing goes in a circle."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "llmsim"

# Bottom to top, as in docs/architecture.md. Rooms of one floor may not import each other.
FLOORS = [
    ["llmsim"],
    ["errors"],
    ["plugin_conf"],
    ["arguments"],
    ["config"],
    ["registry"],
    ["cells", "arrow"],
    ["specs"],
    ["workload", "trials"],
    ["curves"],
    ["fleet"],
    ["backends"],
    ["policies"],
    ["measurement"],
    ["simulation"],
    ["studies"],
    ["report"],
    ["tasks"],
    ["paper"],
    ["api"],
    ["testing"],
    ["sweeps"],
    ["__main__"],
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> set[str]:
    """llmsim modules that a file imports anywhere, as dotted names of files that exist."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "llmsim"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "llmsim":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                path = PACKAGE.parent / Path(*inner.split("."))
                is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
                found.add(inner if is_module else str(node.module))
    return found


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "llmsim"


@pytest.mark.parametrize("file", modules(), ids=name_of)
def test_a_room_imports_only_from_floors_below(file):
    room = room_of(name_of(file))
    assert room in LEVEL, f"{room} is on no floor: add it to FLOORS and to docs/architecture.md"
    for imported in imports(file):
        below = room_of(imported)
        assert below == room or LEVEL[below] < LEVEL[room], f"{name_of(file)} imports {imported}"


def test_no_import_goes_in_a_circle():
    graph = networkx.DiGraph()
    for file in modules():
        graph.add_edges_from((name_of(file), imported) for imported in imports(file))
    graph.remove_edges_from(list(networkx.selfloop_edges(graph)))
    assert list(networkx.simple_cycles(graph)) == []


@pytest.mark.parametrize(
    "file", sorted((ROOT / "conf").glob("*/*.yaml")), ids=lambda f: f"{f.parent.name}/{f.stem}"
)
def test_the_header_of_a_configuration_file_names_its_place(file):
    group = file.parent.name
    expected = {
        "hardware": f"hardware.{file.stem}",
        "model": f"model.{file.stem}",
        "experiment": "_global_",
    }.get(group, group)
    assert re.match(rf"# @package {re.escape(expected)}\n", file.read_text())


def test_ci_runs_the_readmes_two_commands_word_for_word():
    readme = (ROOT / "README.md").read_text()
    commands = [line for line in readme.splitlines() if line.startswith("python3 -m venv .venv && ")]
    assert len(commands) == 2
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert ci.index(commands[1]) < ci.index(commands[0])
