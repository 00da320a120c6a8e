"""Images on their way into the networks, for who wants to see what each thing does that is done to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Final

from dicomnode.analyse.resample import Prepared
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_geometry import Declaration


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """An image after something was done to it.

    name: of the [[input]], or of a channel of it ("photo/green"). done: what, in the words of engine.toml.
    keeps_values: it lies otherwise, or in other voxels, and its values mean what they meant.
    """

    name: str
    done: str
    image: Prepared
    keeps_values: bool = True


# They change values, and leave them in the unit that they were in
_IN_THEIR_UNIT: Final = frozenset({"clip", "gaussian", "median", "nonlocal_means", "curvature_flow"})

Watch = Callable[[Stage], None]
"""Is shown each stage, in the order in which they come about; what it is shown is not to be written to."""

Observer = Callable[[Preparation, Prepared], None]
"""Is shown each entry of `prepare`, and the image after it."""


def observer(watch: Watch | None, name: str) -> Observer | None:
    """Make an observer of the entries of one input, or channel, for who watches all; None for nobody."""
    if watch is None:
        return None
    return lambda entry, image: watch(
        Stage(name=name, done=words_of(entry), image=image, keeps_values=_keeps_values(entry))
    )


def _keeps_values(entry: Preparation) -> bool:
    return not entry.keeps_grid or entry.name in _IN_THEIR_UNIT


def words_of(entry: Preparation) -> str:
    """Say an entry of `prepare` in a line: its name and its keys that are not at their defaults."""
    declared = entry.declared
    if isinstance(declared, Declaration):
        keys = [(one, getattr(declared, one.name)) for one in fields(declared)]
        given = [(key.name, value) for key, value in keys if key.default is MISSING or value != key.default]
        said = "; ".join(f"{name} {_plain(value)}" for name, value in given)
    else:
        said = _plain(declared)
    return f"{entry.name} {said}".strip()


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_plain(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
