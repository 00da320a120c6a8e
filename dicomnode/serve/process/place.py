"""What the supervisor tells a worker when it starts it: where it works, and what ended those before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

# The exit status of a worker whose device broke down under it. It ended itself, and what it had at work
# counts all the same as having ended it: the next one may fare alike.
DEVICE_BROKE: Final = 20

# An engine whose loading has ended so many processes is loaded without the GPU; after one more, not at all
CAREFUL: Final = 2
LEFT_OUT: Final = 3

# A device that has ended so many workers within an hour is out of service until the node starts anew
CRASHES: Final = 3
WITHIN_S: Final = 3600.0
OUT_BECAUSE: Final = f"it ended {CRASHES} processes within an hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a worker works.

    number: of the worker, from 0. workers: how many there are, which share the cores. device: for people.
    visible: what CUDA_VISIBLE_DEVICES says to it: the UUID of its GPU, "" for none; None leaves it as it is.
    without: the GPU that worked here before and is out of service (`OUT_BECAUSE`). lost: how many processes
    have ended or hung while they loaded an engine, by its name.
    """

    number: int = 0
    workers: int = 1
    device: str = "the CPU"
    visible: str | None = None
    without: str = ""
    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether it has a GPU of its own."""
        return bool(self.visible)

    @property
    def name(self) -> str:
        """Of the worker, in logs and for systemd."""
        return f"worker-{self.number}"

    def is_suspect(self, engine: str) -> bool:
        """Whether loading the engine has ended so many processes that it gets no GPU any more."""
        return self.on_gpu and self.lost.get(engine, 0) >= CAREFUL

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Give the environment of the worker's process; drivers read it before any code of ours runs."""
        given = dict(environ)
        if self.visible is not None:
            given["CUDA_VISIBLE_DEVICES"] = self.visible
        return given

    def text(self) -> str:
        """Write it as one argument of a command."""
        return json.dumps(asdict(self))


def read_place(text: str) -> Place:
    """Read what `Place.text` wrote."""
    return Place(**json.loads(text))
