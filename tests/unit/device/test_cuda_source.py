"""What the source may not use: shortcuts of PyCUDA that compile at run time or make their own context."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dicomnode
from dicomnode.device.cuda import CudaContext
from tests.fixtures.cuda_driver.child import on_test_driver

_PACKAGE = Path(dicomnode.__file__).parent
_ALLOWED = {"pycuda.driver", "pycuda.tools"}
# They make a context of their own (TensorRT uses the primary one), compile with nvcc, or wait for all streams
_FORBIDDEN = {
    "SourceModule",
    "make_context",
    "make_default_context",
    "memcpy_htod",
    "memcpy_dtoh",
    "memset_d8",
    "set_debugging",
}


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.partition(".")[0] == "pycuda"}


def _names(tree: ast.AST) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
    }


def test_nothing_of_pycuda_is_used_that_compiles_or_makes_a_context():
    used = {}
    for path in sorted(_PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in (_imports(tree) - _ALLOWED) | (_names(tree) & _FORBIDDEN):
            used[str(path.relative_to(_PACKAGE))] = name
    assert not used


@pytest.mark.parametrize(
    "source",
    [
        "import pycuda.autoinit",
        "from pycuda.compiler import SourceModule",
        "import pycuda.gpuarray as g",
        "from pycuda import elementwise",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert _imports(ast.parse(source)) - _ALLOWED


def test_passing_by_loads_neither_pycuda_nor_numpy():
    code = "import sys, dicomnode.device.cuda.probe; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"pycuda", "numpy"} & set(done.stdout.split())


@on_test_driver()
def test_working_on_a_gpu_loads_no_compiler():
    with CudaContext() as context:
        context.zeros((9,), "float32")
    loaded = {name for name in sys.modules if name.partition(".")[0] == "pycuda"}
    assert not loaded & {"pycuda.autoinit", "pycuda.compiler", "pycuda.gpuarray", "pycuda.elementwise"}
