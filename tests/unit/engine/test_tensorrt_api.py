"""The code is valid on TensorRT 10.16, TensorRT 11 and TensorRT-RTX 1.7: held against the bindings of each.

Twice: every name that `api` has exists in the real module, and the type checker reads the whole package
with the real classes in the place of `api`.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dicomnode.engine.runtimes.tensorrt import api
from dicomnode.engine.runtimes.tensorrt.flavours import Trt, TrtRtx
from tests.fixtures.tensorrt.fetched import BINDINGS, environment, fetched

PACKAGE = Path("dicomnode") / "engine" / "runtimes" / "tensorrt"
RTX_ALONE = {
    "RtxRuntime": "Runtime",
    "RtxRuntimeConfig": "IRuntimeConfig",
    **{name: name for name in ("EngineValidity", *TrtRtx.__annotations__)},
}
WITHIN = {"Severity": "ILogger.Severity"}


def classes():
    return {
        name: one
        for name, one in vars(api).items()
        if inspect.isclass(one) and one.__module__ == api.__name__ and not name.startswith("_")
    }


def members(one):
    own = {name for base in one.__mro__[:-1] if base.__module__ == api.__name__ for name in vars(base)}
    annotated = set(getattr(one, "__annotations__", {}))
    skipped = {"__buffer__"}  # of C before Python 3.12; `bytes(plan)` of the builds shows it
    return sorted(
        name
        for name in own | annotated
        if name not in skipped and (not name.startswith("_") or name in {"__len__", "__getitem__", "__int__"})
    )


def where(name):
    return RTX_ALONE.get(name) or WITHIN.get(name) or name


def names_of(folder):
    """Every name that the code may use, dotted, as the module of that folder has to have it."""
    for name, one in classes().items():
        if name not in RTX_ALONE or folder == "rtx":
            yield where(name)
            for member in members(one):
                yield f"{where(name)}.{member}"
    yield from (name for name in Trt.__annotations__)


@pytest.mark.parametrize("folder", BINDINGS)
def test_every_name_that_is_used_exists(folder):
    code = f"""
import functools, json, sys
import {BINDINGS[folder]} as trt
missing = []
for dotted in json.load(sys.stdin):
    try:
        functools.reduce(getattr, dotted.split("."), trt)
    except AttributeError:
        missing.append(dotted)
print(json.dumps([trt.__version__, missing]))
"""
    names = sorted(set(names_of(folder)))
    assert len(names) > 80
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([*names, "Builder.no_such_name"]),
        capture_output=True,
        text=True,
        check=True,
        env=environment(folder),
    )
    version, missing = json.loads(done.stdout)
    assert missing == ["Builder.no_such_name"]
    assert version.split(".")[0] == {"10": "10", "11": "11", "rtx": "1"}[folder]


def mended(text):
    """Mend what the generator writes as the bindings say it, and Python does not read."""
    text = text.replace("(self, in: ", "(self, in_: ").replace("(self: IPluginV3, in: ", "(self, in_: ")
    text = text.replace(
        "channel_axis: typing.SupportsInt) -> IScaleLayer", "channel_axis: int = 0) -> IScaleLayer"
    )
    text = re.sub(r"(?m)^bool: .*\n", "", text)  # a DataType of the same name hides the type
    # It does not see the buffer protocol of C: `bytes(plan)`
    buffer = "    def __buffer__(self, flags: int, /) -> memoryview: ...\n"
    return text.replace("class IHostMemory:\n", "class IHostMemory:\n" + buffer)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """What the type checker knows of other libraries: it reads them once for all tests here."""
    return tmp_path_factory.mktemp("known")


def checked(folder, tmp_path, known, more=""):
    """Run the type checker over the package, with `api` made of the real classes; return what it says.

    more: code that is added to build.py.
    """
    types = fetched("types") / folder
    shutil.copytree(types, tmp_path / "types")
    stub = next((tmp_path / "types" / BINDINGS[folder]).glob("tensorrt*.pyi"))
    text = mended(stub.read_text(encoding="utf-8"))
    stub.write_text(text, encoding="utf-8")
    root = tmp_path / "code"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(__file__).resolve().parents[3] / "dicomnode", root / "dicomnode", ignore=ignored)
    (root / PACKAGE / "api.py").unlink()
    module = BINDINGS[folder]
    lines = ["from typing import Any", f"import {module}"]
    for name in classes():
        real = "Any" if name in RTX_ALONE and folder != "rtx" else f"{module}.{where(name)}"
        lines.append(f"{name} = {real}")
    (root / PACKAGE / "api.pyi").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (root / PACKAGE / "build.py").open("a", encoding="utf-8") as file:
        file.write(more)
    settings = tmp_path / "mypy.ini"
    # What api.py has as two classes, the bindings of TensorRT-RTX have as one
    own = "[mypy]\nstrict = True\nwarn_redundant_casts = False\n"
    settings.write_text(f"{own}[mypy-{module}.*]\nignore_errors = True\n", encoding="utf-8")
    options = ["--follow-imports=silent", "--ignore-missing-imports", "--no-warn-unused-ignores"]
    options += ["--no-warn-return-any", f"--config-file={settings}", f"--cache-dir={known}"]
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(PACKAGE)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MYPYPATH": str(tmp_path / "types")},
    )


@pytest.mark.slow
@pytest.mark.parametrize("folder", BINDINGS)
def test_the_package_type_checks_against_the_real_classes(folder, tmp_path, known):
    done = checked(folder, tmp_path, known)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_what_tensorrt_11_removed_is_found_by_that_check(tmp_path, known):
    removed = """

def precision_by_flag(trt: Trt, config: api.IBuilderConfig) -> None:
    config.set_flag(trt.BuilderFlag.FP16)
"""
    done = checked("11", tmp_path, known, removed)
    assert done.returncode == 1
    assert 'has no attribute "FP16"' in done.stdout
