"""What is measured of each place in the lungs, how likely that is, and what becomes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from dicomnode.learn.normal_lungs.density import ends_of, fit_mixture, scores_left_out, usual_of
from dicomnode.learn.normal_lungs.filters import NAMES, Filters
from dicomnode.learn.normal_lungs.network import LEVELS, Density, Mixture, Unusual, Usual

SHAPE = (24, 24, 24)
LUNG_HU, SOLID_HU = -850.0, 40.0
ENDS = np.array([1.0, 3.0, 6.0, 10.0, 15.0])


def shown(*solid: tuple[slice, slice, slice], lungs: bool = True) -> torch.Tensor:
    hu = np.full(SHAPE, LUNG_HU, np.float32)
    for part in solid:
        hu[part] = SOLID_HU
    return torch.from_numpy(np.stack([hu, np.full(SHAPE, float(lungs), np.float32)])[None])


def numbers(tensor: torch.Tensor) -> dict[str, np.ndarray]:
    with torch.no_grad():
        found, _ = Filters()(tensor)
    return dict(zip(NAMES, found[0].numpy(), strict=True))


def mixture(features: int, parts: int = 3, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    whitened = np.tril(rng.normal(size=(parts, features, features)))
    diagonal = np.arange(features)
    whitened[:, diagonal, diagonal] = rng.uniform(0.5, 2.0, size=(parts, features))
    return Mixture(
        centre=rng.normal(size=features),
        scale=rng.uniform(0.5, 2.0, size=features),
        weights=rng.dirichlet(np.ones(parts)),
        means=rng.normal(size=(parts, features)),
        whitened=whitened,
    )


def network(spreads: float = 1.0) -> Unusual:
    count = len(LEVELS)
    usual = Usual(ends=ENDS, means=-np.arange(1.0, count + 1), spreads=np.full(count, spreads))
    return Unusual(mixture(len(NAMES)), usual).eval()


def test_a_vessel_is_opened_away_and_a_ball_of_the_same_density_is_not() -> None:
    vessel = (slice(11, 13), slice(11, 13), slice(0, 24))
    ball = (slice(9, 15), slice(9, 15), slice(9, 15))
    name = "thicker than 6 mm"
    assert numbers(shown(vessel))[name].max() == pytest.approx(numbers(shown())[name].max())
    assert numbers(shown(ball))[name].max() > 1.0


def test_means_do_not_know_what_lies_outside_of_the_lungs() -> None:
    tensor = shown()
    tensor[0, 1, :, :, 12:] = 0.0
    wall = tensor.clone()
    wall[0, 0, :, :, 12:] = 400.0
    for name, values in numbers(tensor).items():
        assert np.allclose(values[:, :, :6], numbers(wall)[name][:, :, :6]), name


def test_how_likely_a_cell_is_is_that_of_a_mixture_of_gaussians() -> None:
    one = mixture(4)
    rows = np.random.default_rng(1).normal(size=(50, 4))
    scaled = (rows - one.centre) / one.scale
    parts = []
    for weight, mean, whitened in zip(one.weights, one.means, one.whitened, strict=True):
        covariance = np.linalg.inv(whitened.T @ whitened)
        parts.append(np.log(weight) + multivariate_normal(mean, covariance).logpdf(scaled))
    wanted = -logsumexp(parts, axis=0)
    cells = torch.from_numpy(rows.T.astype(np.float32).copy())[None, :, None, None, :]
    assert np.allclose(Density(one)(cells).numpy().ravel(), wanted, rtol=1e-4, atol=1e-3)


def test_the_map_is_the_part_of_normal_cells_that_are_as_unusual() -> None:
    found = network().ranked(torch.from_numpy(np.array([0.0, *ENDS, 20.0, 1e6], np.float32)))
    assert found.tolist() == pytest.approx([0.30, 0.30, *LEVELS, 5.0, 8.0])
    line = network().ranked(torch.linspace(-5.0, 60.0, 400))
    assert (line[1:] >= line[:-1]).all()


def test_the_map_is_nothing_outside_of_the_lungs_and_something_inside() -> None:
    tensor = shown((slice(8, 16), slice(8, 16), slice(8, 16)))
    tensor[0, 1, :4] = 0.0
    with torch.no_grad():
        found, score = network()(tensor)
    assert found.shape == (1, 1, 12, 12, 12)
    assert (found[0, 0, :2] == 0.0).all()
    assert (found[0, 0, 2:] > 0.0).all()
    assert score.shape == (1, 1)


def test_a_scan_without_lungs_has_a_finite_score() -> None:
    with torch.no_grad():
        found, score = network()(shown(lungs=False))
    assert (found == 0.0).all()
    assert torch.isfinite(score).all()


def test_the_score_is_of_the_level_where_a_scan_is_farthest_from_the_usual() -> None:
    found = torch.zeros((1, 1, 10, 10, 10))
    found[0, 0, 0] = 2.5  # a tenth of the cells: usual above 1, and ten times the usual above 2
    inside = torch.ones_like(found)
    one = network()
    parts = one.parts_above(found, inside)
    assert parts[0].tolist() == pytest.approx([-0.96, -1.0, -4.0, -5.0], abs=0.01)
    assert float(one.score(parts)) == pytest.approx(1.0, abs=0.01)
    assert float(network(spreads=0.5).score(parts)) == pytest.approx(2.0, abs=0.02)


def test_what_is_learned_of_cells_calls_others_like_them_usual() -> None:
    rng = np.random.default_rng(3)
    two = np.concatenate([rng.normal(-3.0, 1.0, (4000, 2)), rng.normal(3.0, 0.5, (4000, 2))])
    cells = two.astype(np.float32)
    one = fit_mixture(cells[::2], 2, seed=0)
    ends = ends_of(one, cells[1::2])
    assert (np.diff(ends) > 0.0).all()
    between = torch.zeros((1, 2, 1, 1, 1))
    assert float(Density(one)(between)) > ends[-2]


def test_a_mixture_that_was_stopped_before_it_converged_says_so(monkeypatch) -> None:
    cells = np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32)
    assert fit_mixture(cells, 1, seed=0).converged
    monkeypatch.setattr("dicomnode.learn.normal_lungs.density.ITERATIONS", 1)
    assert not fit_mixture(cells, 4, seed=0).converged


def test_no_scan_is_measured_by_itself() -> None:
    reach = np.array([[-1.0, -2.0], [-1.1, -2.1], [-0.9, -1.9], [0.5, 0.0]])
    scores = scores_left_out(ENDS, reach)
    assert scores == tuple(sorted(scores))
    assert scores[-1] > 10.0  # by the three others; of all four it would be the measure itself
    own = usual_of(ENDS, reach)
    assert ((reach[3] - own.means) / own.spreads).max() < 2.0
