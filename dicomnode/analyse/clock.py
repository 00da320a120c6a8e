"""How long the stages of an analysis took: for the log, and for who measures. Nothing is decided by it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PREPARING: Final = "preparing"
MEASURING: Final = "measuring"
COMPARING: Final = "comparing"  # the whole chain, run on an earlier study
GATHER: Final = "gather"  # parts of a network's step: cropping and stacking what it takes,
INFER: Final = "infer"  # the network with its windows and their blending,
INTERPRET: Final = "interpret"  # and what its outputs mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of an analysis: preparing, a step by its name, or measuring; in seconds.

    parts: of a step, in their order; what is left over belongs to none of them.
    """

    name: str
    seconds: float
    parts: Mapping[str, float] = field(default_factory=dict)


class Clock:
    """Takes the time of one analysis, stage by stage."""

    def __init__(self) -> None:
        self._stages: list[Stage] = []
        self._parts: dict[str, float] = {}
        self._begun = self._last = time.perf_counter()

    def part(self, name: str) -> None:
        """End a part of the stage that runs."""
        now = time.perf_counter()
        self._parts[name] = self._parts.get(name, 0.0) + now - self._last
        self._last = now

    def took(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self._stages.append(Stage(name=stage, seconds=now - self._begun, parts=self._parts))
        self._parts, self._begun, self._last = {}, now, now

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What has ended so far."""
        return tuple(self._stages)

    @property
    def facts(self) -> dict[str, float]:
        """For the log: `lungs_s` and so on."""
        return {f"{stage.name}_s": round(stage.seconds, 2) for stage in self._stages}
