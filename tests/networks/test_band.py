"""Bands of learned densities: averages over bins, marginals, transformations, samples, and pulls against references."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from bmem.errors import InputError
from bmem.networks.band import DensityBand, band_of_sample, band_on_grid
from bmem.networks.contract import ConditionalDensity
from bmem.replicas import Replicas
from bmem.transforms.contract import Transform

FALSE_ALARM = 2e-5
EDGES = np.linspace(0, 1, 6)
NONE = torch.zeros(1, dtype=torch.float64)


class Powers(ConditionalDensity):
    """(a + 1) xᵃ for each of the coordinates in (0, 1), whatever the condition."""

    def __init__(self, *powers: float) -> None:
        super().__init__()
        self.noise_dim = len(powers)
        self.powers = torch.nn.Parameter(torch.tensor(powers, dtype=torch.float64))

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        return (self.powers * x.log() + (self.powers + 1).log()).sum(dim=-1)

    def from_noise(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        x = noise ** (1 / (self.powers + 1))
        return x, self.log_prob(x, condition)


class Square(Transform):
    """y = x²."""

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = y.sqrt()
        return x, -(2 * x).log().sum(dim=-1)


def averages(power: float, edges: np.ndarray = EDGES) -> np.ndarray:
    """Of (a + 1) xᵃ over the bins."""
    return np.diff(edges ** (power + 1)) / np.diff(edges)


def first(x: Tensor, condition: Tensor) -> Tensor:
    return x[..., :1]


def test_one_coordinate_is_averaged_over_its_bins() -> None:
    band = band_on_grid(Replicas.of(Powers(1.0), Powers(2.0)), (EDGES,), NONE, points=200)
    np.testing.assert_allclose(band.values, [averages(1), averages(2)], rtol=1e-4)
    np.testing.assert_allclose(band.mean, (averages(1) + averages(2)) / 2, rtol=1e-4)
    np.testing.assert_allclose(band.error, np.abs(averages(1) - averages(2)) / 2**0.5, rtol=1e-3)
    np.testing.assert_allclose(band.relative_error, band.error / band.mean)
    assert not band.sampling.any()


def test_two_coordinates_and_their_marginals() -> None:
    other = np.linspace(0, 1, 4)
    band = band_on_grid(Replicas.of(Powers(1.0, 2.0), Powers(0.5, 3.0)), (EDGES, other), NONE, points=60)
    np.testing.assert_allclose(band.values[0], np.outer(averages(1), averages(2, other)), rtol=1e-3)
    np.testing.assert_allclose(band.marginal(0).values, [averages(1), averages(0.5)], rtol=2e-3)
    np.testing.assert_allclose(band.marginal(1).values, [averages(2, other), averages(3, other)], rtol=2e-3)
    known = band.against(np.ones((5, 3))).marginal(0)
    assert known.reference is not None
    np.testing.assert_allclose(known.reference, np.ones(5))


def test_a_transformation_of_the_coordinates_carries_its_jacobian() -> None:
    """x with density 2x is y = x² with density 1; with 4x³ it is 2y."""
    band = band_on_grid(Replicas.of(Powers(1.0), Powers(3.0)), (EDGES,), NONE, Square())
    np.testing.assert_allclose(band.values, [np.ones(5), averages(1)], rtol=1e-12)


def test_samples_give_the_same_with_the_error_they_claim() -> None:
    """χ² of 5 bins less one, against exact averages, at 2e-5 for each of two networks."""
    condition = torch.zeros(20_000, 1, dtype=torch.float64)
    rng = torch.Generator().manual_seed(3)
    band = band_of_sample(Replicas.of(Powers(1.0, 0.0), Powers(1.2, 0.0)), (EDGES,), condition, first, rng)
    for values, power in zip(band.values, (1.0, 1.2), strict=True):
        expected = averages(power) / 5
        chi2 = float((20_000 * (values / 5 - expected) ** 2 / expected).sum())
        assert stats.chi2.ppf(FALSE_ALARM, 4) < chi2 < stats.chi2.isf(FALSE_ALARM, 4)
    expected = np.sqrt(averages(1.1) / 5 * (1 - averages(1.1) / 5) / 20_000) * 5
    np.testing.assert_allclose(band.sampling, expected, rtol=0.1)
    # Common noise: the difference of two close networks is known far better than each of them.
    assert (np.abs(np.diff(band.values, axis=0)[0] - (averages(1.2) - averages(1))) < 2 * band.sampling).all()


def test_chunks_and_observables_of_the_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    condition = torch.linspace(0, 1, 1000, dtype=torch.float64)[:, None]

    def shifted(x: Tensor, condition: Tensor) -> Tensor:
        return (x[..., :1] + condition) / 2

    bands = []
    for rows in (1 << 16, 300):
        monkeypatch.setattr("bmem.networks.band._ROWS", rows)
        rng = torch.Generator().manual_seed(3)
        bands.append(band_of_sample(Replicas.of(Powers(1.0), Powers(2.0)), (EDGES,), condition, shifted, rng))
    np.testing.assert_array_equal(bands[0].values, bands[1].values)
    assert bands[0].mean[0] < bands[0].mean[3]


def test_pulls_against_an_exact_density_and_against_a_sample() -> None:
    rng = np.random.default_rng(2)
    band = DensityBand((EDGES,), np.array([[1.0] * 5, [1.2] * 5]), np.full(5, 0.3))
    error = np.hypot(0.2 / 2**0.5, 0.3)
    np.testing.assert_allclose(band.against(np.ones(5)).pull, 0.1 / error)
    sampled = band.against_sample(rng.random(500))
    assert sampled.reference_error is not None
    assert sampled.pull is not None
    counts = np.asarray(sampled.reference) * 100
    assert counts.sum() == pytest.approx(500)
    np.testing.assert_allclose(sampled.reference_error, np.sqrt(counts * (1 - counts / 500)) / 100)
    np.testing.assert_allclose(sampled.pull, (1.1 - counts / 100) / np.hypot(error, sampled.reference_error))


def test_what_has_no_meaning_is_refused() -> None:
    replicas = Replicas.of(Powers(1.0), Powers(2.0))
    with pytest.raises(InputError, match="edges that increase"):
        band_on_grid(replicas, (EDGES[::-1],), NONE)
    with pytest.raises(InputError, match="2 or more networks"):
        band_on_grid(Replicas.of(Powers(1.0)), (EDGES,), NONE)
    band = band_on_grid(replicas, (EDGES,), NONE)
    with pytest.raises(InputError, match="needs a reference"):
        _ = band.pull
    with pytest.raises(InputError, match="two coordinates"):
        band.marginal(0)
    with pytest.raises(InputError, match="reference has shape"):
        band.against(np.ones(3))
