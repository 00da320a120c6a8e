"""Learning what is usual: a mixture of Gaussians over cells of normal lungs, and how far scans reach."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Final

import numpy as np
import torch

from dicomnode.analyse.grids import Float32
from dicomnode.learn.heads.kinds import require_sklearn
from dicomnode.learn.normal_lungs.filters import Filters
from dicomnode.learn.normal_lungs.network import LEAST_LUNG, LEVELS, Density, Mixture, Unusual, Usual
from dicomnode.learn.normal_lungs.scans import Seen
from dicomnode.values import Float64

ITERATIONS: Final = 60
_RIDGE: Final = 1e-3  # of scaled numbers: none of them lies on a plane
_LEAST_SPREAD: Final = 0.05  # of a logarithm: fewer scans than it takes may agree by chance


def tensor_of(seen: Seen) -> torch.Tensor:
    """Return what the network is shown: float32 (1, 2, k, j, i)."""
    return torch.from_numpy(np.stack([seen.hu, seen.lungs.astype(np.float32)])[np.newaxis])


def numbers_of(seen: Seen) -> Float32:
    """Measure the cells of the lungs: float32 (cells, names)."""
    with torch.no_grad():
        numbers, share = Filters()(tensor_of(seen))
    inside = share[0, 0] >= LEAST_LUNG
    cells: Float32 = numbers[0][:, inside].T.numpy()
    return cells


def some_of(cells: Float32, most: int, seed: int) -> Float32:
    """Take so many of them, evenly drawn."""
    if len(cells) <= most:
        return cells
    chosen = np.random.Generator(np.random.PCG64(seed)).choice(len(cells), most, replace=False)
    taken: Float32 = cells[np.sort(chosen)]
    return taken


def fit_mixture(cells: Float32, parts: int, seed: int, threads: int = 1) -> Mixture:
    """Fit it to cells of normal lungs. Raises NodeError(TRAIN_MISSING) without scikit-learn."""
    require_sklearn("learning what is usual in lungs")
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415  comes with it

    centre, scale = cells.mean(axis=0, dtype=np.float64), cells.std(axis=0, dtype=np.float64) + 1e-6
    model = GaussianMixture(
        n_components=parts,
        covariance_type="full",
        reg_covar=_RIDGE,
        max_iter=ITERATIONS,
        init_params="k-means++",
        random_state=seed,
    )
    with warnings.catch_warnings(), threadpool_limits(threads):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the card says so
        model.fit((cells - centre) / scale)
    return Mixture(
        centre=centre,
        scale=scale,
        weights=model.weights_,
        means=model.means_,
        whitened=np.transpose(model.precisions_cholesky_, (0, 2, 1)),
        converged=bool(model.converged_),
    )


def ends_of(mixture: Mixture, cells: Float32) -> Float64:
    """Return what `Usual.ends` holds, of cells that it was not fitted to."""
    with torch.no_grad():
        unlikely = Density(mixture)(torch.from_numpy(cells.T.copy())[None, :, None, None, :]).numpy().ravel()
    above = [0.5, *(10.0**-level for level in LEVELS)]
    ends = np.quantile(unlikely.astype(np.float64), [1.0 - one for one in above])
    return np.maximum.accumulate(ends + 1e-3 * np.arange(len(ends)))


def reach_of(mixture: Mixture, ends: Float64, seen: Iterable[Seen]) -> Float64:
    """Measure how far scans reach above each of `LEVELS`: float64 (scans, levels), as `Usual.means`."""
    zeros, ones = np.zeros(len(LEVELS)), np.ones(len(LEVELS))
    network = Unusual(mixture, Usual(ends=ends, means=zeros, spreads=ones)).eval()
    return np.array([_parts(network, one) for one in seen], dtype=np.float64)


def usual_of(ends: Float64, reach: Float64) -> Usual:
    """Return what is usual of these normal scans."""
    spreads = np.maximum(reach.std(axis=0, ddof=1), _LEAST_SPREAD)
    return Usual(ends=ends, means=reach.mean(axis=0), spreads=spreads)


def scores_left_out(ends: Float64, reach: Float64) -> tuple[float, ...]:
    """Score each of these scans by what is usual of all others, rising: no scan is its own measure."""
    scores = []
    for number, own in enumerate(reach):
        usual = usual_of(ends, np.delete(reach, number, axis=0))
        scores.append(float(((own - usual.means) / usual.spreads).max()))
    return tuple(sorted(scores))


def _parts(network: Unusual, seen: Seen) -> Float64:
    with torch.no_grad():
        shown = tensor_of(seen)
        _, share = network.filters(shown)
        found, _ = network(shown)
        inside = (share >= LEAST_LUNG).float()
        return network.parts_above(found, inside)[0].numpy().astype(np.float64)
