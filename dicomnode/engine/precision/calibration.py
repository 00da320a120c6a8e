"""Inputs that a network is calibrated and compared with: seeded, or from a folder of the site."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from dicomnode.faults import CALIBRATION_WRONG, NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_SUFFIX = ".npz"
_KEPT = "calibration"
# Of numpy and zipfile, on what is no archive, is cut off or damaged, or is one array (TypeError)
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error)


def calibration_folder(store: Path, engine: str) -> Path:
    """Return the folder in which `engine build --calibrate` keeps inputs of an engine, one folder a step."""
    return store / _KEPT / engine


def site_folder(named: Path | None, store: Path, engine: str) -> Path | None:
    """Return the folder of the site's inputs: the one that [[engine]] calibration names, else the kept one.

    None: there is neither, and the seeded inputs of the network's gate serve.
    """
    kept = calibration_folder(store, engine)
    return named or (kept if kept.is_dir() else None)


def site_calibration(folder: Path, step: str) -> Calibration:
    """Return the site's inputs of one network: those in the folder of its step, else in `folder` itself."""
    own = folder.absolute() / step
    return Calibration(folder=str(own if own.is_dir() else folder.absolute()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Where the inputs come from.

    folder: of .npz files, each with one array per input under its name; empty: seeded ones. shapes: of
    each input by its name, under "" that of all others; low, high, seed: of the seeded inputs, as `GateSpec`
    says them; `count` of them with seeds counting on.
    """

    folder: str = ""
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    low: float = 0.0
    high: float = 1.0
    seed: int = 1
    count: int = 4

    def __post_init__(self) -> None:
        shapes = {name: tuple(shape) for name, shape in self.shapes.items()}
        object.__setattr__(self, "shapes", shapes)
        lengths = [length for shape in shapes.values() for length in (*shape, len(shape))]
        if not self.folder and (not lengths or min(lengths) < 1 or self.count < 1):
            raise ValueError(f"Calibration needs a folder, or shapes and a count, got {self!r}")

    @property
    def digest(self) -> str:
        """What a key says of it: 16 hex digits over the contents, wherever they lie.

        Raises NodeError(CALIBRATION_WRONG).
        """
        digest = hashlib.sha256()
        if self.folder:
            for path in self._files():
                try:
                    digest.update(hashlib.sha256(path.read_bytes()).digest())
                except OSError as error:
                    raise NodeError(CALIBRATION_WRONG, reason=f"{path}: {error.strerror}") from error
        else:
            digest.update(
                repr((sorted(self.shapes.items()), self.low, self.high, self.seed, self.count)).encode()
            )
        return digest.hexdigest()[:16]

    def feeds(self, names: Sequence[str], dtypes: Mapping[str, str]) -> Iterator[dict[str, NDArray[Any]]]:
        """Give the inputs one after another, by name; raises NodeError(CALIBRATION_WRONG)."""
        if self.folder:
            yield from self._of_folder(names, dtypes)
            return
        from dicomnode.engine.gate import seeded_input  # noqa: PLC0415  numpy: only who calibrates pays
        from dicomnode.engine.manifest.tree import GateSpec  # noqa: PLC0415

        for number in range(self.count):
            gate = GateSpec(low=self.low, high=self.high, seed=self.seed + number)
            yield {
                name: seeded_input(replace(gate, shape=self._shape(name))).astype(dtypes[name])
                for name in names
            }

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self.shapes.get(name, self.shapes.get(""))
        if shape is None:
            raise NodeError(CALIBRATION_WRONG, reason=f"the shape of input {name} is not given")
        return tuple(shape)

    def _of_folder(
        self, names: Sequence[str], dtypes: Mapping[str, str]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        import numpy as np  # noqa: PLC0415

        for path in self._files():
            try:
                # Opened here: of what is no archive numpy leaves the file open
                with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                    yield {name: arrays[name].astype(dtypes[name]) for name in names}
            except _UNREADABLE as error:
                raise NodeError(CALIBRATION_WRONG, reason=f"{path}: {error}") from error

    def _files(self) -> list[Path]:
        paths = sorted(Path(self.folder).glob(f"*{_SUFFIX}"))
        if not paths:
            raise NodeError(CALIBRATION_WRONG, reason=f"{self.folder} has no {_SUFFIX} file")
        return paths
