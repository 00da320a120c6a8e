"""How each kernel of kernels.cu is launched: its arguments in order, its block, and its threads.

This table is the only place that knows it. What launches on a GPU, what stands in for a driver in the
tests, and what loops over a grid on the host all read it here; none of them counts arguments by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Final, Literal

Extent3 = tuple[int, int, int]  # x, y, z, as CUDA counts: x runs along i
Code = Literal["P", "i", "q", "f"]  # pointer, int32, int64, float32: codes of pycuda's Function.prepare

_CODES: Final = ("P", "i", "q", "f")
MOST_BLOCKS: Final[Extent3] = (2**31 - 1, 65_535, 65_535)  # CUDA C++ Programming Guide, compute capabilities

SEGMENT: Final = 1024  # voxels in which the first voxels of components are counted and then numbered
RUN: Final = 16  # voxels that a thread looks through before it adds to the size of a component
REDUCED: Final = 256  # rows that statistics are brought down to on the device; the host adds these up
_LEAST_PARTS: Final = 256
_MOST_PARTS: Final = 262_144  # threads: an H200 holds 270 336 at a time
_VOXELS_A_PART: Final = 64  # the partial results then stay below a sixth of the bytes read


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A kernel and how it is launched.

    arguments: (name, code) in the order of the C signature. threads: for x, y and z the arguments whose
    product is the number of threads wanted there; none: one. each: along x, how many of them one thread
    does. A kernel of the flat kind strides over what its grid leaves, so `each` is a matter of speed only.
    """

    kernel: str
    arguments: tuple[tuple[str, Code], ...]
    block: Extent3
    threads: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    each: int = 1

    def __post_init__(self) -> None:
        names = [name for name, _ in self.arguments]
        if len(set(names)) != len(names) or any(code not in _CODES for _, code in self.arguments):
            raise ValueError(f"Launch.arguments of {self.kernel} repeat a name or hold an unknown code")
        if not {name for axis in self.threads for name in axis} <= set(names):
            raise ValueError(f"Launch.threads of {self.kernel} name what is no argument: {self.threads}")
        if prod(self.block) > 1024 or min(*self.block, self.each) < 1:
            raise ValueError(f"Launch.block of {self.kernel} must have 1 to 1024 threads, got {self.block}")

    @property
    def codes(self) -> str:
        """Codes of the arguments, as pycuda's `Function.prepare` takes them: "PPqffff"."""
        return "".join(code for _, code in self.arguments)

    def in_order(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """Put arguments given by name in their order; ValueError unless there is exactly one for each."""
        names = [name for name, _ in self.arguments]
        if set(values) != set(names):
            odd = sorted(set(values) ^ set(names))
            raise ValueError(f"{self.kernel} takes {names}; missing or not known: {odd}")
        return tuple(values[name] for name in names)

    def grid(self, values: Mapping[str, float]) -> Extent3:
        """Return the blocks along x, y and z; ValueError where there is nothing to do, or too much.

        CUDA refuses an empty grid: who has no voxel to work on does not launch.
        """
        wanted = [prod(int(values[name]) for name in axis) for axis in self.threads]
        if min(wanted) < 1:
            raise ValueError(f"{self.kernel} has nothing to do: {wanted} threads")
        per_block = (self.block[0] * self.each, self.block[1], self.block[2])
        blocks = [-(-threads // one) for threads, one in zip(wanted, per_block, strict=True)]
        if any(have > most for have, most in zip(blocks, MOST_BLOCKS, strict=True)):
            raise ValueError(f"{self.kernel} would need a grid of {blocks} blocks")
        return blocks[0], blocks[1], blocks[2]


def parts_of(count: int) -> int:
    """Return how many partial results statistics of `count` voxels are made of.

    It depends on the number of voxels only, not on the GPU: sums are the same to the last bit on any of
    them.
    """
    return min(max(count // _VOXELS_A_PART, _LEAST_PARTS), _MOST_PARTS)


def segments_of(count: int) -> int:
    """Return how many segments `count` voxels make when components are numbered."""
    return -(-count // SEGMENT)


_SIZE: Final[tuple[tuple[str, Code], ...]] = (("size_k", "i"), ("size_j", "i"), ("size_i", "i"))
_SOURCE: Final[tuple[tuple[str, Code], ...]] = (("source_k", "i"), ("source_j", "i"), ("source_i", "i"))
_WINDOW: Final[tuple[tuple[str, Code], ...]] = (("window_k", "i"), ("window_j", "i"), ("window_i", "i"))
_LOW: Final[tuple[tuple[str, Code], ...]] = (("low_k", "i"), ("low_j", "i"), ("low_i", "i"))
_BOX: Final[tuple[tuple[str, Code], ...]] = (("box_k", "i"), ("box_j", "i"), ("box_i", "i"))
_MATRIX: Final[tuple[tuple[str, Code], ...]] = tuple(
    (f"matrix_{row}{column}", "f") for row in "kji" for column in "kji1"
)


def _flat(kernel: str, *arguments: tuple[str, Code], over: str = "count", each: int = 4) -> Launch:
    """Return the launch of a kernel over a row of numbers."""
    return Launch(kernel=kernel, arguments=arguments, block=(256, 1, 1), threads=((over,), (), ()), each=each)


def _boxed(
    kernel: str,
    *arguments: tuple[str, Code],
    over: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] = (("size_i",), ("size_j",), ("size_k",)),
    block: Extent3 = (32, 8, 1),
) -> Launch:
    """Return the launch of a kernel with one thread a voxel of a box; a warp is 32 of them along i."""
    return Launch(kernel=kernel, arguments=arguments, block=block, threads=over)


def _scale_clip(kind: str) -> Launch:
    return _flat(
        f"dn_scale_clip_{kind}",
        ("values", "P"),
        ("out", "P"),
        ("count", "q"),
        ("slope", "f"),
        ("intercept", "f"),
        ("low", "f"),
        ("high", "f"),
    )


def _turn(kind: str) -> Launch:
    # Four planes a block: where k of the result runs along i of the source, a block uses what it reads
    return _boxed(
        f"dn_turn_{kind}",
        ("values", "P"),
        ("out", "P"),
        ("first", "q"),
        ("step_k", "q"),
        ("step_j", "q"),
        ("step_i", "q"),
        *_SIZE,
        block=(32, 4, 4),
    )


_ALL: Final = (
    *(_scale_clip(kind) for kind in ("i16", "u16", "f32")),
    _flat(
        "dn_z_score",
        ("values", "P"),
        ("out", "P"),
        ("count", "q"),
        ("mean", "f"),
        ("inverse_std", "f"),
        ("only_nonzero", "i"),
    ),
    *(_turn(kind) for kind in ("u8", "i16", "u16", "f32")),
    _boxed(
        "dn_axis_map",
        ("values", "P"),
        ("out", "P"),
        ("row_starts", "P"),
        ("columns", "P"),
        ("weights", "P"),
        ("axis", "i"),
        ("length", "i"),
        *_SIZE,
    ),
    _boxed(
        "dn_trilinear",
        ("values", "P"),
        ("out", "P"),
        *_SOURCE,
        *_SIZE,
        *_MATRIX,
        ("hold_edge", "i"),
        ("outside", "f"),
    ),
    _boxed("dn_nearest", ("values", "P"), ("out", "P"), *_SOURCE, *_SIZE, *_MATRIX, ("outside", "i")),
    _flat(
        "dn_statistics",
        ("values", "P"),
        ("partials", "P"),
        ("count", "q"),
        ("parts", "i"),
        ("only_nonzero", "i"),
        over="parts",
        each=1,
    ),
    _flat(
        "dn_statistics_reduce",
        ("partials", "P"),
        ("out", "P"),
        ("parts", "i"),
        ("rows", "i"),
        over="rows",
        each=1,
    ),
    _boxed(
        "dn_gather",
        ("values", "P"),
        ("out", "P"),
        ("starts", "P"),
        ("windows", "i"),
        *_SIZE,
        *_WINDOW,
        ("outside", "f"),
        over=(("window_i",), ("window_j",), ("windows", "window_k")),
    ),
    _boxed(
        "dn_blend",
        ("patches", "P"),
        ("sums", "P"),
        ("starts", "P"),
        ("weights_k", "P"),
        ("weights_j", "P"),
        ("weights_i", "P"),
        ("windows", "i"),
        ("channels", "i"),
        *_WINDOW,
        *_SIZE,
        *_LOW,
        *_BOX,
        over=(("box_i",), ("box_j",), ("box_k",)),
    ),
    _boxed(
        "dn_blend_within",
        ("patches", "P"),
        ("sums", "P"),
        ("starts", "P"),
        ("weights", "P"),
        ("windows", "i"),
        ("channels", "i"),
        *_WINDOW,
        *_SIZE,
        *_LOW,
        *_BOX,
        over=(("box_i",), ("box_j",), ("box_k",)),
    ),
    _boxed(
        "dn_normalise",
        ("sums", "P"),
        ("weights", "P"),
        ("starts_k", "P"),
        ("starts_j", "P"),
        ("starts_i", "P"),
        ("count_k", "i"),
        ("count_j", "i"),
        ("count_i", "i"),
        ("channels", "i"),
        *_WINDOW,
        *_SIZE,
    ),
    _flat("dn_softmax", ("values", "P"), ("out", "P"), ("channels", "i"), ("count", "q"), each=1),
    _flat("dn_sigmoid", ("values", "P"), ("out", "P"), ("count", "q")),
    _flat("dn_argmax", ("values", "P"), ("labels", "P"), ("channels", "i"), ("count", "q"), each=1),
    _flat(
        "dn_last_above",
        ("values", "P"),
        ("labels", "P"),
        ("channels", "i"),
        ("count", "q"),
        ("above", "f"),
        each=1,
    ),
    _flat("dn_threshold", ("values", "P"), ("mask", "P"), ("count", "q"), ("above", "f")),
    _boxed("dn_components_init", ("values", "P"), ("parents", "P"), ("label", "i"), *_SIZE),
    _boxed("dn_components_merge", ("parents", "P"), *_SIZE),
    _boxed("dn_components_merge_corners", ("parents", "P"), *_SIZE),
    _flat(
        "dn_components_flatten",
        ("parents", "P"),
        ("firsts", "P"),
        ("count", "q"),
        ("segment", "i"),
        each=1,
    ),
    _flat(
        "dn_components_rank",
        ("parents", "P"),
        ("before", "P"),
        ("labels", "P"),
        ("count", "q"),
        ("segment", "i"),
        ("segments", "i"),
        over="segments",
        each=1,
    ),
    _flat("dn_components_relabel", ("parents", "P"), ("labels", "P"), ("count", "q")),
    _flat(
        "dn_sizes",
        ("labels", "P"),
        ("sizes", "P"),
        ("most", "i"),
        ("count", "q"),
        ("run", "i"),
        ("runs", "q"),
        over="runs",
        each=1,
    ),
    _flat("dn_chosen", ("labels", "P"), ("wanted", "P"), ("mask", "P"), ("most", "i"), ("count", "q")),
    _boxed("dn_extent", ("values", "P"), ("flags", "P"), ("label", "i"), *_SIZE),
    _flat(
        "dn_pack_bits",
        ("values", "P"),
        ("bits", "P"),
        ("label", "i"),
        ("size_j", "i"),
        ("size_i", "i"),
        *_LOW,
        *_BOX,
        ("count", "q"),
        each=1,
    ),
)

LAUNCHES: Final[Mapping[str, Launch]] = MappingProxyType({launch.kernel: launch for launch in _ALL})
