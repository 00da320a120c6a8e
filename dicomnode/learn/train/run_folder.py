"""The folder of a training: its state after each epoch, written whole or not at all, and what it is of."""

from __future__ import annotations

import fcntl
import io
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from dicomnode.faults import RUN_DIFFERS, RUN_NOT_WRITTEN, RUN_TAKEN, RUN_THERE, NodeError

_STATE: Final = "state.pt"
_LOCK: Final = "lock"
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Where a training keeps itself. of: digest of the recipe and the data, which must be the same to go on.

    resume: whether one that is there is gone on with; without it such a folder is refused.
    """

    folder: Path
    of: str
    resume: bool = False

    @property
    def cache(self) -> Path:
        """Folder of prepared samples; what is in it is made again where it is missing."""
        return self.folder / "cache"

    def begin(self) -> None:
        """Make the folder; NodeError: RUN_THERE when it holds a training and `resume` is false."""
        begun = [self.folder / _STATE, *self.folder.glob(f"fold-*/{_STATE}")]
        if not self.resume and any(path.exists() for path in begun):
            raise NodeError(RUN_THERE, run=self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._not_written(error) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out while the block runs; the kernel lets go of it however a process ends.

        Raises NodeError: RUN_TAKEN where another trains there, RUN_NOT_WRITTEN.
        """
        try:
            file = (self.folder / _LOCK).open("ab")
        except OSError as error:
            raise self._not_written(error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise NodeError(RUN_TAKEN, run=self.folder) from error
            yield

    def within(self, name: str) -> RunFolder:
        """Return the folder of a part of this training."""
        return RunFolder(folder=self.folder / name, of=self.of, resume=self.resume)

    def read_state(self) -> Mapping[str, Any] | None:
        """Return the state that was kept; None where there is none. NodeError(RUN_DIFFERS) for another's."""
        path = self.folder / _STATE
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NodeError(RUN_DIFFERS, run=self.folder, what=error.strerror or str(error)) from error
        try:
            kept = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            raise NodeError(RUN_DIFFERS, run=self.folder, what="its state is damaged") from error
        if not isinstance(kept, dict) or kept.get("schema") != _SCHEMA:
            raise NodeError(RUN_DIFFERS, run=self.folder, what="its state is of another version")
        if kept["of"] != self.of:
            raise NodeError(
                RUN_DIFFERS, run=self.folder, what="it was begun with another recipe, or with other data"
            )
        state: Mapping[str, Any] = kept["state"]
        return state

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Keep a state in the place of the one before; NodeError(RUN_NOT_WRITTEN)."""
        content = io.BytesIO()
        torch.save({"schema": _SCHEMA, "of": self.of, "state": dict(state)}, content)
        self.write(_STATE, content.getvalue())

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; NodeError(RUN_NOT_WRITTEN)."""
        path = self.folder / name
        staged = path.with_name(f".{name}.new")
        try:
            with staged.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(path)
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> NodeError:
        return NodeError(RUN_NOT_WRITTEN, path=self.folder, error=error.strerror or str(error))
