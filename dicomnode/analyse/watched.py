"""A session that is looked at while an analysis runs it: how long it took, and what it was given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from numpy.typing import NDArray

from dicomnode.device import Buffer, HostBuffer
from dicomnode.engine import Session
from dicomnode.engine.runtimes import cuda_of

Arrays = Mapping[str, NDArray[Any]]

KEPT_BYTES: Final = 1 << 30
"""So much of what a network is given is kept to be run again; of the rest, the shapes alone."""


class WatchedSession:
    """A `Session` that does what another one does, and takes the time of it.

    seconds, calls: of the runs since `begin`. A run on a GPU is waited for, as nobody could time it else:
    what an analysis gains by not waiting is not in its figures when it is watched.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.seconds = 0.0
        self.calls = 0
        self._keeping = False
        self._kept: list[Arrays] = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def begin(self, *, keep: bool = False) -> None:
        """Count anew. keep: also keep what it is given from now on; what was kept before stays else."""
        self.seconds, self.calls, self._keeping = 0.0, 0, keep
        if keep:
            self._kept, self._bytes = [], 0

    @property
    def kept(self) -> Sequence[Arrays]:
        """What it was given, run by run; beyond KEPT_BYTES earlier tensors of the same shapes stand in."""
        return self._kept

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run it on arrays."""
        if self._keeping:
            self._keep(inputs)
        return self._timed(lambda: self.session.run(inputs))

    def infer(self, inputs: Mapping[str, Buffer]) -> dict[str, Buffer]:
        """Run it on buffers."""
        if self._keeping:
            self._keep({name: buffer.host() for name, buffer in inputs.items()})

        def waited_for() -> dict[str, Buffer]:
            outputs = self.session.infer(inputs)
            _wait_for(self.session)
            return outputs

        _wait_for(self.session)  # what makes the inputs is none of the network's time
        return self._timed(waited_for)

    def _timed(self, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        begun = time.perf_counter()
        outputs = run()
        self.seconds += time.perf_counter() - begun
        self.calls += 1
        return outputs

    def _keep(self, arrays: Arrays) -> None:
        size = sum(array.nbytes for array in arrays.values())
        shapes = [array.shape for array in arrays.values()]
        alike = [one for one in self._kept if [array.shape for array in one.values()] == shapes]
        if alike and self._bytes + size > KEPT_BYTES:
            self._kept.append(alike[0])
            return
        self._bytes += size
        self._kept.append(dict(arrays))


def alone(session: Session, given: Iterable[Arrays]) -> float:
    """Run a session on arrays with nothing around it; return the seconds that the runs took together.

    On a GPU the arrays lie there before the time of a run begins, and it ends when the device has done it.
    """
    context = cuda_of(session)
    upload: Callable[[NDArray[Any]], Buffer] = HostBuffer if context is None else context.upload
    seconds = 0.0
    for arrays in given:
        buffers = {name: upload(array) for name, array in arrays.items()}
        _wait_for(session)
        begun = time.perf_counter()
        outputs = session.infer(buffers)
        _wait_for(session)
        seconds += time.perf_counter() - begun
        for buffer in (*outputs.values(), *buffers.values()):
            buffer.close()
    return seconds


def _wait_for(session: Session) -> None:
    """Wait until the device of a session has done all that is queued; on the CPU nothing is."""
    context = cuda_of(session)
    if context is not None:
        context.stream.synchronize()
