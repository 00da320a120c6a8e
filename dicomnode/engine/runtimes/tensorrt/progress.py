"""How far a build is: TensorRT counts steps in phases within phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from dicomnode.engine.runtimes.tensorrt import api
from dicomnode.engine.runtimes.tensorrt.flavours import Trt
from dicomnode.engine.runtimes.tensorrt.guard import Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a build stands: the innermost phase, and the whole from 0 to 1.

    TensorRT does not know how long a step takes: `part` grows, but not evenly.
    """

    phase: str
    part: float


def _go_on(_progress: Progress) -> bool:
    return True


def _no_line(_severity: str, _text: str) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWatch:
    """Who follows a build. Calls come from threads of TensorRT.

    progress: returns whether to go on; False ends the build. line: severity and text of TensorRT's log.
    """

    progress: Callable[[Progress], bool] = _go_on
    line: Callable[[str, str], None] = _no_line


@dataclass(slots=True)
class _Phase:
    name: str
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """The phases that are open, as a tree, and how much of the whole is done."""

    def __init__(self) -> None:
        self._open: dict[str, _Phase] = {}
        self._lock = Lock()
        self._most = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> Progress:
        """Open a phase of so many steps within another."""
        with self._lock:
            self._open[name] = _Phase(name, parent, max(steps, 1))
            return self._progress(name)

    def step(self, name: str, step: int) -> Progress:
        """Note that a step (0, 1 …) is done."""
        with self._lock:
            if name in self._open:
                self._open[name].done = min(step + 1, self._open[name].steps)
            return self._progress(name)

    def finish(self, name: str) -> Progress:
        """Close a phase; the step of its parent that it was is counted by its parent."""
        with self._lock:
            self._open.pop(name, None)
            return self._progress(name)

    def _progress(self, name: str) -> Progress:
        roots = [phase for phase in self._open.values() if phase.parent not in self._open]
        part = sum(self._part(root) for root in roots) / len(roots) if roots else self._most
        self._most = max(self._most, min(part, 1.0))  # a phase that opens late must not turn it back
        return Progress(phase=name, part=self._most)

    def _part(self, phase: _Phase) -> float:
        """Return what is done of a phase: whole steps, and of the one under way what its children did."""
        children = [one for one in self._open.values() if one.parent == phase.name]
        under_way = sum(self._part(one) for one in children) / len(children) if children else 0.0
        return min((phase.done + under_way) / phase.steps, 1.0)


def monitor_of(trt: Trt, watch: BuildWatch, guard: Guard) -> api.IProgressMonitor:
    """Make the object that TensorRT reports to; what `watch` raises waits in `guard` and ends the build."""
    phases = Phases()
    base: Any = trt.IProgressMonitor

    def tell(progress: Progress) -> bool:
        return guard.error is None and guard.call(lambda: watch.progress(progress)) is True

    class Monitor(base):  # type: ignore[misc]  # the module is known at run time alone
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tell(phases.start(phase_name, parent_phase, num_steps))

        def step_complete(self, phase_name: str, step: int) -> bool:
            return tell(phases.step(phase_name, step))

        def phase_finish(self, phase_name: str) -> None:
            tell(phases.finish(phase_name))

    monitor: api.IProgressMonitor = Monitor()
    return monitor
