"""The shape of the package: what may be loaded where, how long a file is, and names that say something."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import dicomnode

_PACKAGE = Path(dicomnode.__file__).parent
_SOURCES = sorted(path for path in _PACKAGE.rglob("*.py"))
_LONGEST = 400  # lines of a file
_LONGEST_FUNCTION = 60  # lines with its docstring; forty of them code
_ROOMS = sorted(path.name for path in _PACKAGE.iterdir() if (path / "__init__.py").exists())

_HEAVY = (
    "numpy",
    "scipy",
    "pydicom",
    "pynetdicom",
    "highdicom",
    "onnxruntime",
    "sqlalchemy",
    "alembic",
    "torch",
    "SimpleITK",
    "PIL",
    "typer",
)

# What may be loaded by importing a module, of the libraries that cost time or memory.
_LIGHT: dict[str, tuple[str, ...]] = {
    "dicomnode": (),
    "dicomnode.values": (),
    "dicomnode.values.study": (),
    "dicomnode.values.instance": (),
    "dicomnode.values.uids": (),
    "dicomnode.faults": (),
    "dicomnode.settings": (),
    "dicomnode.store": (),
    "dicomnode.engine": (),
    "dicomnode.analyse": (),
    "dicomnode.assemble": (),
    "dicomnode.report": (),
    "dicomnode.phantom": (),
    "dicomnode.evaluate": (),
    "dicomnode.serve.logs": (),
    "dicomnode.cli": ("typer",),
    # pynetdicom takes pydicom along
    "dicomnode.net": ("pynetdicom", "pydicom"),
    # which takes these where they are installed; see tests/unit/receive/test_imports.py
    "dicomnode.receive": ("pynetdicom", "pydicom", "numpy", "PIL"),
    "dicomnode.deliver": ("pynetdicom", "pydicom"),
    "dicomnode.journal": ("sqlalchemy", "alembic"),
    # It decides and writes; what analyses, and what lays a map over images, loads more
    "dicomnode.serve.scheduler": ("numpy", "pydicom", "pynetdicom", "sqlalchemy", "alembic", "PIL"),
}


def _loaded(statement: str) -> set[str]:
    """Libraries that a fresh process has loaded after `statement`, besides those it starts with."""
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("module", list(_LIGHT))
def test_importing_a_room_loads_nothing_heavy(module: str) -> None:
    heavy = _loaded(f"import {module}") & set(_HEAVY)
    assert heavy <= set(_LIGHT[module])


def test_the_check_for_heavy_imports_sees_them() -> None:
    assert "numpy" in _loaded("import numpy")


def test_help_loads_nothing_heavy() -> None:
    statement = (
        "import io, contextlib\n"
        "from dicomnode.cli import main\n"
        "sys.argv = ['dicomnode', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "assert 'serve' in out.getvalue()"
    )
    assert not _loaded(statement) & (set(_HEAVY) - {"typer"})


@pytest.mark.parametrize("path", _SOURCES, ids=lambda path: str(path.relative_to(_PACKAGE)))
def test_a_file_is_one_idea_on_a_few_screens(path: Path) -> None:
    if path.name == "faults.py":
        return  # a table: as long as there are rows
    assert len(path.read_text(encoding="utf-8").splitlines()) <= _LONGEST


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "shared", "lib"}
    for path in _SOURCES:
        words = set(path.relative_to(_PACKAGE).with_suffix("").parts)
        assert not words & drawers, path


@pytest.fixture(scope="module")
def written() -> dict[Path, tuple[str | None, dict[str, int]]]:
    """Of each file its docstring, and its functions with their lines (of those of one name, the longest)."""
    found = {}
    for path in _SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines: dict[str, int] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines[node.name] = max(lines.get(node.name, 0), node.end_lineno - node.lineno + 1)
        found[path] = ast.get_docstring(tree), lines
    return found


def test_no_function_is_longer_than_a_screen(written) -> None:
    long = [
        f"{path.relative_to(_PACKAGE)}: {name} has {lines} lines"
        for path, (_, functions) in written.items()
        for name, lines in functions.items()
        if lines > _LONGEST_FUNCTION
    ]
    assert not long


@pytest.mark.parametrize("room", _ROOMS)
def test_every_room_has_a_face_with_all_its_names(room: str) -> None:
    if room == "cli":
        return  # its face is the command
    face = ast.parse((_PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(face), f"{room} does not say what it is"
    module = import_module(f"dicomnode.{room}")
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None


@pytest.mark.parametrize("room", _ROOMS)
def test_no_module_takes_the_place_of_what_its_room_gives(room: str) -> None:
    # Importing a module makes it an attribute of its package: a face that loads late would give it away.
    face = import_module(f"dicomnode.{room}")
    for name in {path.stem for path in (_PACKAGE / room).glob("*.py")} & set(getattr(face, "__all__", ())):
        import_module(f"dicomnode.{room}.{name}")
        assert not isinstance(getattr(face, name), ModuleType), name


_PRINTING = re.compile(r"^\s*print\(", re.MULTILINE)


def test_only_the_command_line_prints() -> None:
    printing = [path for path in _SOURCES if _PRINTING.search(path.read_text(encoding="utf-8"))]
    assert {path.relative_to(_PACKAGE).parts[0] for path in printing} <= {"cli"}


def test_every_file_says_what_it_is(written) -> None:
    silent = [path for path, (says, _) in written.items() if not says and path.name != "__main__.py"]
    assert not silent
