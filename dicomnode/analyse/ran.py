"""What came of running an engine's chain on one volume, or why nothing did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dicomnode.analyse.numbers import Numbers
from dicomnode.analyse.register import Registration
from dicomnode.analyse.segments import Placed
from dicomnode.values import Change, Refusal, Remark, RemarkKind, Unreported


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ran:
    """A chain that was run: what is said of what it found, and no image, so that another one has room.

    steps: remarks of the steps themselves. told, registered: how further volumes were laid over the first
    one, in words and for who computes. where: what was computed on a device, and what beside it. refusal: why
    nothing was analysed. changes: of lesions since an earlier study. unreported: candidates that are no
    findings, where somebody asked for them.
    """

    placed: Placed = field(default_factory=Placed)
    numbers: Numbers = field(default_factory=Numbers)
    steps: tuple[Remark, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    registered: Mapping[str, Registration] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    refusal: Refusal | None = None
    changes: tuple[Change, ...] = ()
    unreported: Unreported = field(default_factory=Unreported)

    @property
    def remarks(self) -> Iterator[Remark]:
        """All that must be said: what the steps say, why nothing was analysed, what is said of the rest."""
        yield from self.steps
        if self.refusal is not None:
            yield Remark(kind=RemarkKind.NOT_ANALYSED, text=self.refusal.text, code=self.refusal.code)
        yield from self.placed.remarks
        yield from self.numbers.remarks
