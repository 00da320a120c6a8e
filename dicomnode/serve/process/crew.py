"""The workers that there shall be: one a GPU, or one for the CPU. Decisions without I/O.

A device that ends its workers again and again is taken out of service until the node starts anew: a worker
that stayed there would end one study after the other. Times are seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dicomnode.serve.process.place import CRASHES, WITHIN_S, Place

NO_GPU: Final = ""  # of CUDA_VISIBLE_DEVICES


@dataclass(slots=True)
class _Member:
    place: Place
    crashed_at: list[float] = field(default_factory=list)


class Crew:
    """Where each worker works. places: of the first ones; their numbers are counted from 0."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._members = {place.number: _Member(place) for place in places}

    @property
    def places(self) -> tuple[Place, ...]:
        """Where they work now."""
        return tuple(member.place for member in self._members.values())

    def after_crash(self, number: int, loading: str | None, now: float) -> Place | None:
        """Decide where the successor of a worker works that was ended; None: it gets none.

        loading: the engine that it was loading. What ends a process when it is loaded a third time, without
        the GPU, says nothing of the GPU.
        """
        member = self._members[number]
        place = member.place
        if loading is not None:
            lost = {**place.lost, loading: place.lost.get(loading, 0) + 1}
            member.place = replace(place, lost=lost)
        if place.on_gpu and not (loading is not None and place.is_suspect(loading)):
            recent = [at for at in member.crashed_at if now - at < WITHIN_S]
            member.crashed_at = [*recent, now]
            if len(member.crashed_at) >= CRASHES:
                return self._take_out(member)
        return member.place

    def _take_out(self, member: _Member) -> Place | None:
        """Take the device out of service: the other GPUs do its work, or else the CPU, where that may be."""
        place = member.place
        del self._members[place.number]
        if any(other.place.on_gpu for other in self._members.values()):
            return None
        workers = len(self._members) + 1
        successor = Place(number=place.number, workers=workers, visible=NO_GPU, without=place.device)
        self._members[place.number] = _Member(successor)
        return successor
