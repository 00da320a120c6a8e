"""How a plan is built: what belongs into its key, beside the network, the machine and the versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_GIB: Final = 1 << 30
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRange:
    """The shapes of one input that a plan takes, and the one that it is made fast for."""

    name: str
    smallest: Shape
    best: Shape
    largest: Shape

    def __post_init__(self) -> None:
        axes = list(zip(self.smallest, self.best, self.largest, strict=True))  # ValueError: other ranks
        if not axes or not all(1 <= low <= best <= high for low, best, high in axes):
            shapes = f"{self.smallest}, {self.best}, {self.largest}"
            raise ValueError(
                f"InputRange {self.name!r} must ascend from 1 or more on each axis, got {shapes}"
            )

    @classmethod
    def batches(cls, name: str, item: Shape, best: int, largest: int) -> InputRange:
        """Make the range of a batch of items of one shape: 1 to `largest` of them, at best `best`."""
        return cls(name=name, smallest=(1, *item), best=(best, *item), largest=(largest, *item))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The choices of a build.

    profiles: each a set of ranges, one for every input with a length that may vary.
    workspace_bytes: the most that one operation may take for intermediate results.
    tf32: whether fp32 convolutions may round to 10 bits (on Ampere and later); off, so that fp32 is fp32.
    optimisation_level: 0 to 5, of the search for the fastest operations; 3 is TensorRT's own.
    """

    profiles: tuple[tuple[InputRange, ...], ...] = ()
    workspace_bytes: int = 4 * _GIB
    tf32: bool = False
    optimisation_level: int = 3

    def __post_init__(self) -> None:
        if self.workspace_bytes < 1:
            raise ValueError(f"BuildOptions.workspace_bytes must be 1 or more, got {self.workspace_bytes!r}")
        if self.optimisation_level not in range(6):
            raise ValueError(
                f"BuildOptions.optimisation_level must be 0 to 5, got {self.optimisation_level!r}"
            )
        for profile in self.profiles:
            names = [one.name for one in profile]
            if not names or len(set(names)) != len(names):
                raise ValueError(f"each profile names each input once, got {names}")

    def material(self) -> dict[str, object]:
        """Return what the key of a plan is made of, for canonical JSON."""
        return {
            "profiles": [
                [[one.name, list(one.smallest), list(one.best), list(one.largest)] for one in profile]
                for profile in self.profiles
            ],
            "workspace_bytes": self.workspace_bytes,
            "tf32": self.tf32,
            "optimisation_level": self.optimisation_level,
            "flags": ["STRONGLY_TYPED", "RUNTIME_ACTIVATION_RESIZE_10_10"],
        }


def options_of(material: Mapping[str, Any]) -> BuildOptions:
    """Make the options that `BuildOptions.material` was made of; ValueError when it is none."""
    try:
        profiles = tuple(
            tuple(
                InputRange(name=name, smallest=tuple(low), best=tuple(best), largest=tuple(high))
                for name, low, best, high in profile
            )
            for profile in material["profiles"]
        )
        return BuildOptions(
            profiles=profiles,
            workspace_bytes=material["workspace_bytes"],
            tf32=material["tf32"],
            optimisation_level=material["optimisation_level"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"these are no options of a build: {error!r}") from error
