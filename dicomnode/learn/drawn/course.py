"""The course of a training: its folder is held, patients are drawn into it, real scans beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import torch

from dicomnode.faults import BACKGROUNDS_NONE, NodeError
from dicomnode.learn.drawn.card import Made
from dicomnode.learn.drawn.kept import Shelf, sweep
from dicomnode.learn.drawn.order import DrawnOrder
from dicomnode.learn.drawn.state import Learned
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.train.loop import quiet_machine
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.training import versions
from dicomnode.values import Progress, Refusal

DRAWING: Final = "drawing patients"
REAL: Final = "looking at real scans"
JUDGING: Final = "judging"
_LIBRARY: Final = "scikit-learn"

Asked = TypeVar("Asked")


class Scan(Protocol):
    """A real scan. digest: over all that a world that is made of it follows from."""

    @property
    def uid(self) -> str:
        """Its Series Instance UID."""

    @property
    def digest(self) -> str:
        """SHA-256."""


Taken = TypeVar("Taken", bound=Scan)
Kept = TypeVar("Kept")


def place_of(order: DrawnOrder, device: torch.device) -> str:
    """Return where a training runs, as its card says it."""
    name = order.machine or "an unnamed machine"
    if device.type == "cuda":
        name += f" with {torch.cuda.get_device_name(device)}"
    return f"{name}, {device.type}, {order.threads} thread(s)"


def made_by(
    order: DrawnOrder, learned: Learned, real: Sequence[tuple[str, str]] = (), left_out: int = 0
) -> Made:
    """Say how a network came about, for its card. real, left_out: as of `Made`."""
    return Made(
        order=order,
        seconds=learned.seconds,
        places=learned.places,
        versions=versions(),
        real=real,
        left_out=left_out,
    )


def made_at_once(order: DrawnOrder, seconds: float) -> Made:
    """Say how it came about what scikit-learn learned, which is done at once and on the CPU."""
    return Made(
        order=order,
        seconds=seconds,
        places=[place_of(order, torch.device("cpu"))],
        versions={**versions(), _LIBRARY: metadata.version(_LIBRARY)},
    )


@contextmanager
def begun(order: DrawnOrder, digest: str, *folders: str) -> Iterator[RunFolder]:
    """Hold the folder of a training, on a machine with so many threads; it is as it was afterwards.

    folders: in which patients are kept; what a killed training left half made there is removed. Another's
    state is refused before hours of work. NodeError: RUN_THERE, RUN_TAKEN, RUN_DIFFERS, RUN_NOT_WRITTEN.
    """
    run = RunFolder(folder=order.run, of=digest, resume=order.resume)
    run.begin()
    with run.held(), quiet_machine(order.threads):
        run.read_state()
        for name in folders:
            sweep(run.folder / name)
        yield run


def each(
    workers: Workers,
    function: Callable[[Asked], Any],
    orders: Sequence[Asked],
    stage: str,
    progress: Progress,
) -> None:
    """Have `function`, which has a name in a module, do all orders, and tell how far it is."""
    progress(stage, 0, len(orders))
    for number, _ in enumerate(workers.answers(function, orders), start=1):
        progress(stage, number, len(orders))


@dataclass(frozen=True, slots=True)
class Wanted(Generic[Kept]):
    """A patient who is wanted: his seed, where he is kept, who draws him (which has a name in a module)."""

    seed: int
    shelf: Shelf[Kept]
    draw: Callable[[int], Kept]


def make_wanted(wanted: Wanted[Kept]) -> str:
    """Draw a patient unless he is there; return the name of what is kept. NodeError(RUN_NOT_WRITTEN)."""
    return wanted.shelf.keep(wanted.seed, lambda: wanted.draw(wanted.seed)).name


def drawn_worlds(
    workers: Workers,
    shelf: Shelf[Kept],
    draw: Callable[[int], Kept],
    seeds: Sequence[int],
    progress: Progress,
) -> list[Path]:
    """Have patients drawn who are not kept yet, and return where all of them are."""
    each(workers, make_wanted, [Wanted(seed, shelf, draw) for seed in seeds], DRAWING, progress)
    return [shelf.place(seed) for seed in seeds]


def told(some: Sequence[Asked], stage: str, progress: Progress) -> Iterator[Asked]:
    """Yield each, and tell how many are done."""
    progress(stage, 0, len(some))
    for number, one in enumerate(some, start=1):
        yield one
        progress(stage, number, len(some))


def real_worlds(
    scans: Sequence[Taken],
    given: Path | None,
    shelf: Shelf[Kept],
    make: Callable[[Taken], Kept | Refusal],
    progress: Progress,
) -> tuple[list[tuple[Taken, Path]], tuple[Refusal, ...]]:
    """Make worlds of the real scans that are sure, each kept by its digest; and say which are not.

    given: the folder that was asked for, None: none. NodeError(BACKGROUNDS_NONE) where none of it is sure.
    """
    found, left_out = [], []
    for one in told(scans, REAL, progress) if scans else ():
        name = f"real-{one.digest[:24]}"
        if not shelf.has(name):
            made = make(one)
            if isinstance(made, Refusal):
                left_out.append(made)
                continue
            shelf.write(made, shelf.place(name))
        found.append((one, shelf.place(name)))
    if given is not None and not found:
        reasons = "; ".join(one.text for one in left_out[:3]) or "there is none"
        raise NodeError(BACKGROUNDS_NONE, count=len(scans), path=given, reasons=reasons)
    return found, tuple(left_out)
