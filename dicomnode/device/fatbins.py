"""The compiled kernels beside the source: which of them a driver takes, and whether they are what was built.

They are made by scripts/kernels.sh where wheels are built. Nothing is compiled when the node runs.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

from dicomnode.faults import KERNELS_ALTERED, KERNELS_MISSING, KERNELS_UNFIT, NodeError

_FOLDER: Final = Path(__file__).with_name("fatbins")
_SOURCE: Final = Path(__file__).with_name("kernels.cu")

# CUDA runs what was compiled with its own major version or, where that is older, an earlier one
_BY_MAJOR: Final = {13: "kernels-cu13.fatbin", 12: "kernels-cu12.fatbin"}
_OLDEST: Final = 12
_MAGIC: Final = b"\x50\xed\x55\xba"


def fatbin(driver_version: int, folder: Path = _FOLDER, source: Path = _SOURCE) -> bytes:
    """Return the kernels for a driver, for its module loader.

    driver_version: as cuDriverGetVersion says, 1000 · major + 10 · minor of the CUDA that the driver is of.
    Raises NodeError: KERNELS_UNFIT (a driver older than CUDA 12), KERNELS_MISSING (not in this installation),
    KERNELS_ALTERED (not what was built, or not built from this kernels.cu).
    """
    major = driver_version // 1000
    if major < _OLDEST:
        raise NodeError(KERNELS_UNFIT, driver=f"{major}.{driver_version % 1000 // 10}")
    fitting = [folder / name for built, name in _BY_MAJOR.items() if built <= major]
    for path in fitting:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise NodeError(KERNELS_MISSING, file=path, problem=error.strerror) from error
        _check(path, content, source)
        return content
    raise NodeError(KERNELS_MISSING, file=fitting[0], problem="no such file")


def _check(path: Path, content: bytes, source: Path) -> None:
    """Refuse kernels whose digest, or that of the source they were made from, is not the one written down."""
    sums = path.with_name(f"{path.name}.sha256")
    try:
        lines = sums.read_text(encoding="ascii").splitlines()
        text = source.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise NodeError(KERNELS_ALTERED, file=path, problem=f"they cannot be checked: {error}") from error
    if not content.startswith(_MAGIC) or f"{sha256(content).hexdigest()}  {path.name}" not in lines:
        raise NodeError(KERNELS_ALTERED, file=path, problem=f"their digest is not the one in {sums.name}")
    if f"{sha256(text).hexdigest()}  {source.name}" not in lines:
        raise NodeError(KERNELS_ALTERED, file=path, problem=f"they were made from another {source.name}")
