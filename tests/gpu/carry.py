"""Pack what `run_all` needs on a machine without a network: python -m tests.gpu.carry brought.tar.xz.

That is, beside this repository and what `BESIDE` says must be there: packages for the version of Python
there, PyCUDA, built here for it (`scripts/pycuda.sh VENV` with a VENV of that version), and TensorRT-RTX.
Packed anew, all of it is far smaller than its wheels; that takes some minutes. What is more than one transfer
may carry beside the repository is cut into parts: brought.tar.xz.0, .1 … NVIDIA's licence forbids to publish
them.

Prints one JSON object with the sizes.
"""

from __future__ import annotations

import argparse
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
BESIDE: Final = (
    "numpy",
    "scipy",
    "onnx",
    "onnxruntime",
    "pillow",
    "pytest",
    "hypothesis",
    "rich",
    "typer",
    "xxhash",
)
"""What must be installed there already."""

_PACKAGES: Final = (
    "structlog",
    "pydicom",
    "python-gdcm",  # of the room that decodes studies: `engine bench` decodes one
    *("pytools", "siphash24", "platformdirs"),  # of PyCUDA
    "monai",  # its network is that of the comparison with torch
)
_RTX: Final = ("tensorrt-rtx-cu13-libs==1.7.1.116", "tensorrt-rtx-cu13-bindings==1.7.1.116")
_PLATFORMS: Final = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
# Jumps are made absolute, so that equal calls are equal bytes; then a window that nearly holds all of it
_FILTERS: Final[list[dict[str, Any]]] = [
    {"id": lzma.FILTER_X86},
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 256 << 20},
]


def download(python: str, into: Path, packages: Sequence[str]) -> None:
    """Fetch the wheels of packages, without their needs, as constraints.txt wants them."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for platform in _PLATFORMS:
        command += ["--platform", f"{platform}_x86_64"]
    command += ["--constraint", str(_REPOSITORY / "constraints.txt"), "--dest", str(into), *packages]
    subprocess.run(command, check=True)


def pycuda(python: str) -> Path:
    """Return the wheel of PyCUDA for a version of Python."""
    tag = "cp" + python.replace(".", "")
    found = sorted((_REPOSITORY / "build" / "pycuda").glob(f"*/pycuda-*-{tag}-*.whl"))
    if not found:
        text = (
            f"There is no wheel of PyCUDA for Python {python}: run scripts/pycuda.sh VENV with a VENV of it."
        )
        raise SystemExit(text)
    return found[-1]


def pack(wheels: Sequence[Path], target: Path, filters: list[dict[str, Any]] = _FILTERS) -> None:
    """Put what wheels install into one archive, without what only a debugger reads."""
    with tempfile.TemporaryDirectory() as folder:
        for wheel in wheels:
            with ZipFile(wheel) as archive:
                archive.extractall(folder)
        if strip := shutil.which("strip"):
            for library in Path(folder).rglob("_driver*.so"):  # PyCUDA's: others have none left
                subprocess.run([strip, "--strip-debug", str(library)], check=True)
        with (
            lzma.open(target, "wb", format=lzma.FORMAT_XZ, filters=filters) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            for path in sorted(Path(folder).iterdir()):
                tar.add(path, arcname=path.name)


def cut(file: Path, largest: int) -> list[Path]:
    """Cut a file into parts that are no larger than so many bytes; one that is small enough stays whole."""
    content = file.read_bytes()
    if len(content) <= largest:
        return [file]
    parts = []
    for number, first in enumerate(range(0, len(content), largest)):
        parts.append(file.with_name(f"{file.name}.{number}"))
        parts[-1].write_bytes(content[first : first + largest])
    file.unlink()
    return parts


def tree_bytes() -> int:
    """Return the size of this repository as Git knows it, and of the compiled kernels."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=True).stdout
    files = {_REPOSITORY / name for name in listed.split("\0") if name}
    files |= set((_REPOSITORY / "dicomnode" / "device" / "fatbins").glob("*.fatbin*"))
    return sum(path.stat().st_size for path in files if path.is_file())


def main() -> int:
    """Pack, and tell how large it became."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path, help="the archive, such as brought.tar.xz")
    parser.add_argument("--python", default="3.12", help="version of Python there")
    parser.add_argument("--without-rtx", action="store_true", help="leave TensorRT-RTX out")
    parser.add_argument("--limit-mib", type=float, default=64.0, help="of one transfer, repository included")
    given = parser.parse_args()
    wanted = [*_PACKAGES, *([] if given.without_rtx else _RTX)]
    with tempfile.TemporaryDirectory() as folder:
        download(given.python, Path(folder), wanted)
        pack([*sorted(Path(folder).glob("*.whl")), pycuda(given.python)], given.file)
    tree = tree_bytes()
    parts = cut(given.file, int(given.limit_mib * 2**20) - tree)
    sizes = {part.name: round(part.stat().st_size / 2**20, 2) for part in parts}
    print(json.dumps({"mib": sizes, "repository_mib": round(tree / 2**20, 2), "beside": BESIDE}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
