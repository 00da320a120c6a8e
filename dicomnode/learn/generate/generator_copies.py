"""Whether a drawn image is a copy: how near the nearest training image is, and how near others are.

Images are compared as the data set is (`evaluate.dataset`): reduced to 16 × 16 greys, from black to white.
The distance is the root of the mean squared difference, 0 to 1; a mirrored copy is a copy. A drawing is too
near where training images of different patients are that near to each other in one of twenty cases only.
What is copied within a small part of an image is not found by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.dataset.images import thumbnail_of
from dicomnode.values.geometry import Float64

QUANTILE: Final = 0.05
"""Of the nearest distances between training images of different patients: nearer is too near."""

_WHITE: Final = 255.0
_CHUNK: Final = 512  # rows at a time: all pairs at once would not fit into memory

UInt8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The training image that is nearest to a drawing, by its name, and how far it is, 0 to 1."""

    image: str
    distance: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """What was learned from. names: of the images; reduced: uint8 (n, 16, 16). Of whom is not kept."""

    names: tuple[str, ...]
    reduced: UInt8

    @classmethod
    def of(cls, images: Iterable[tuple[str, NDArray[np.float32]]]) -> Known:
        """Reduce images: name, values (c, j, i)."""
        named = [(name, reduced_of(values)) for name, values in images]
        return cls(names=tuple(name for name, _ in named), reduced=np.stack([one for _, one in named]))

    def nearest(self, drawn: UInt8) -> Nearest:
        """Find the training image that is nearest to a reduced drawing (16, 16), or to its mirror image."""
        apart = distances(drawn[np.newaxis], self.reduced)[0]
        number = int(apart.argmin())
        return Nearest(image=self.names[number], distance=float(apart[number]))


def threshold_of(reduced: UInt8, patients: Sequence[str]) -> float | None:
    """Return the distance up to which a drawing is too near to one of reduced images (n, 16, 16).

    patients: of each image, whose other images do not count. None where it is one patient.
    """
    found: list[float] = []
    of = np.array(patients)
    for start in range(0, len(reduced), _CHUNK):
        part = slice(start, start + _CHUNK)
        apart = distances(reduced[part], reduced)
        apart[of[part, None] == of[None]] = np.inf
        found += [float(one) for one in apart.min(axis=1) if np.isfinite(one)]
    return float(np.quantile(found, QUANTILE, method="lower")) if found else None


def reduced_of(values: NDArray[np.float32]) -> UInt8:
    """Reduce an image (c, j, i) to 16 × 16 greys; colours count by their mean."""
    return thumbnail_of(values.mean(axis=0))


def distances(first: UInt8, second: UInt8) -> Float64:
    """Return the distances (n, m), 0 to 1, of reduced images (n, j, i) from (m, j, i), mirrored or not."""
    plain = _apart(first, second)
    return np.minimum(plain, _apart(first[:, :, ::-1], second))


def _apart(first: UInt8, second: UInt8) -> Float64:
    # Whole numbers below 2^53: what comes out is exact, and 0 for what is equal
    a, b = (_rows(one) for one in (first, second))
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2.0 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / a.shape[1]) / _WHITE)


def _rows(images: UInt8) -> Float64:
    return np.asarray(images, dtype=np.float64).reshape(len(images), -1)


def discrepancy(drawn: Sequence[UInt8], real: Sequence[UInt8], width: float) -> float | None:
    """Return the squared maximum mean discrepancy of two samples of reduced images; about 0: of one kind.

    width: of the Gaussian kernel, in the unit of `distances`, see `kernel_width`. The unbiased estimate, of
    at least two images each, else None; it may be below 0.
    Source: Gretton et al., Journal of Machine Learning Research 13 (2012), equation 3.
    """
    n, m = len(drawn), len(real)
    if min(n, m) < 2:
        return None
    a, b = np.stack(list(drawn)), np.stack(list(real))
    within = (_kernel(a, a, width), _kernel(b, b, width))
    own = [float(one.sum() - np.trace(one)) / (k * (k - 1)) for one, k in zip(within, (n, m), strict=True)]
    return own[0] + own[1] - 2.0 * float(_kernel(a, b, width).mean())


def kernel_width(real: Sequence[UInt8], others: Sequence[UInt8]) -> float:
    """Return the median distance of two samples, the usual width of a kernel (section 8 there)."""
    width = float(np.median(_apart(np.stack(list(real)), np.stack(list(others)))))
    return width if width > 0 else 1.0


def _kernel(first: UInt8, second: UInt8, width: float) -> Float64:
    return np.asarray(np.exp(-0.5 * (_apart(first, second) / width) ** 2))
