"""Libraries that report to their makers do not do so from here: seen from outside, by what they look up.

A small library counts every look-up of a name in the process, whoever makes it, and answers that there is
no such host; so nothing leaves this machine, also from the process that shows that the count works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# ONNX Runtime makes its first look-up some ten seconds after the first session
_WATCHED_S = 22
_HOOK = """
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const void *hints, void **found) {
    int fd = open(getenv("LOOKUPS"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (node && fd >= 0) { write(fd, node, strlen(node)); write(fd, "\\n", 1); }
    if (fd >= 0) close(fd);
    return -2; /* EAI_NONAME */
}
"""
_ONNX_FILE = "from tests.unit.engine.small_engine import network; content = network().SerializeToString()\n"
_WAIT = f"import time; time.sleep({_WATCHED_S})\n"

_REPORTING_ORT = (
    _ONNX_FILE
    + "import onnxruntime\n"
    + "onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])\n"
    + _WAIT
)
_OUR_ORT = (
    _ONNX_FILE
    + "from dicomnode.engine.runtimes import REFERENCE, Network\n"
    + "REFERENCE.load(Network(engine='e', file='f', content=content), REFERENCE.probe(1))\n"
    + _WAIT
)
_REPORTING_OPENVINO = "import openvino\n"
_OUR_OPENVINO = (
    _ONNX_FILE
    + "import time\n"
    + "from dicomnode.engine.runtimes import Network\n"
    + "from dicomnode.engine.runtimes.openvino import OpenVino\n"
    + "OpenVino().load(Network(engine='e', file='f', content=content), OpenVino().try_here())\n"
    + "time.sleep(2)\n"
)


@pytest.fixture(scope="module")
def hook(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler to count look-ups with")
        pytest.skip("no C compiler (cc, gcc) to count look-ups with")
    folder = tmp_path_factory.mktemp("hook")
    (folder / "hook.c").write_text(_HOOK)
    made = folder / "hook.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", made, folder / "hook.c"], check=True)
    return made


class Watched:
    """A Python program whose look-ups are counted, in a home of its own, and where CI does not seem to be."""

    def __init__(self, hook: Path, folder: Path, program: str) -> None:
        folder.mkdir()
        self.home = folder
        self._lookups = folder.with_suffix(".lookups")
        hidden = {"CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY"}
        environment = {name: text for name, text in os.environ.items() if name not in hidden}
        environment |= {"LD_PRELOAD": str(hook), "LOOKUPS": str(self._lookups), "HOME": str(folder)}
        environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(Path.cwd())}
        self._process = subprocess.Popen([sys.executable, "-c", program], env=environment)

    def end(self) -> None:
        assert self._process.wait(timeout=_WATCHED_S + 60) == 0

    @property
    def looked_up(self) -> set[str]:
        return set(self._lookups.read_text().split()) if self._lookups.exists() else set()

    @property
    def written(self) -> list[str]:
        return sorted(path.name for path in self.home.rglob("*") if path.is_file())


def watch(hook: Path, folder: Path, programs: dict[str, str]) -> dict[str, Watched]:
    watched = {name: Watched(hook, folder / name, text) for name, text in programs.items()}
    for one in watched.values():
        one.end()
    return watched


@pytest.mark.long
@pytest.mark.slow
def test_onnxruntime_looks_up_nothing_and_writes_nothing(hook, tmp_path):
    """Beside it the same library without our word, so that it is seen that this test would see it."""
    found = watch(hook, tmp_path, {"reporting": _REPORTING_ORT, "ours": _OUR_ORT})
    assert "mobile.events.data.microsoft.com" in found["reporting"].looked_up
    assert found["ours"].looked_up == set()
    assert found["ours"].written == []


def test_openvino_looks_up_nothing_and_writes_nothing(hook, tmp_path):
    """Beside it the same library imported plainly, which asks nobody."""
    found = watch(hook, tmp_path, {"reporting": _REPORTING_OPENVINO, "ours": _OUR_OPENVINO})
    assert "www.google-analytics.com" in found["reporting"].looked_up
    assert found["ours"].looked_up == set()
    assert found["ours"].written == []


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        ("import onnxruntime", True),
        ("import os; os.environ['ORT_DISABLE_TELEMETRY'] = '1'; import onnxruntime", False),
        ("import os; os.environ['ORT_DISABLE_TELEMETRY'] = '0'", False),
        ("", False),
    ],
    ids=["imported without", "imported with", "told otherwise", "not imported"],
)
def test_the_word_stands_before_the_library_can_be_imported(before, refused):
    code = f"""{before}
import dicomnode, os, sys
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
assert dicomnode.ORT_IMPORTED_REPORTING is {refused}
from dicomnode.engine.runtimes import REFERENCE, Reason
assert isinstance(REFERENCE.probe(1), Reason) is {refused}
"""
    environment = {name: text for name, text in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    # In CI the library reports nothing: also a process that is to be refused sends nothing then
    subprocess.run([sys.executable, "-c", code], env={**environment, "CI": "1"}, check=True)
