"""Fiducial cross sections against closed forms, their errors against the scatter over seeds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exact_toy import GaussianAcceptance
from scipy import stats

from bmem.errors import ArtifactError, InputError
from bmem.events.record import HardEvents, Objects, PairedEvents, RecoEvents
from bmem.likelihood import cross_section
from bmem.likelihood.cross_section import (
    FiducialCrossSection,
    counted_cross_section,
    fiducial_cross_section,
    mixture_coefficients,
    mixture_grid,
    resampled_cross_section,
    simulated_cross_section,
)
from bmem.process.contract import Parameter
from bmem.process.toy import LinearGaussian
from bmem.replicas import Replicas
from bmem.replicas.resamples import resample_counts

FALSE_ALARM = 2e-5
TOY = LinearGaussian()
NETWORKS = (GaussianAcceptance(0.5, 1.5), GaussianAcceptance(0.9, 3.0))


def fiducial(n: int = 20_000, resamples: int = 0, seed: int = 1) -> FiducialCrossSection:
    return fiducial_cross_section(TOY, Replicas.of(*NETWORKS), n, torch.Generator().manual_seed(seed), resamples)


def test_is_the_closed_form_for_every_replica() -> None:
    """χ²(3) of all components with their covariance; false-alarm rate 2e-5 per replica."""
    found = fiducial()
    assert found.values.shape == (2, 3)
    for values, covariance, network in zip(found.values, found.covariance, NETWORKS, strict=True):
        difference = values - network.fiducial(TOY).numpy()
        assert (np.sqrt(np.diag(covariance)) / values < 0.02).all()
        assert stats.chi2(3).sf(difference @ np.linalg.solve(covariance, difference)) > FALSE_ALARM


def test_errors_are_those_of_repetitions() -> None:
    """χ² over 200 seeds with 300 events each is χ²(600): two-sided, false-alarm rate 2e-5."""
    exact, total = NETWORKS[0].fiducial(TOY).numpy(), 0.0
    for seed in range(200):
        found = fiducial(300, seed=seed)
        difference = found.values[0] - exact
        total += float(difference @ np.linalg.solve(found.covariance[0], difference))
    assert FALSE_ALARM / 2 < stats.chi2(600).cdf(total) < 1 - FALSE_ALARM / 2


def test_resamples_scatter_by_the_error() -> None:
    """1000 resamples know their standard deviation to 1/√2000 = 2.2 %: 4.3 times that is 2e-5 for each of 6 numbers."""
    found = fiducial(2000, resamples=1000)
    assert found.bootstrap is not None
    assert found.bootstrap.shape == (2, 1000, 3)
    error = np.sqrt(np.diagonal(found.covariance, axis1=1, axis2=2))
    np.testing.assert_allclose(found.bootstrap.std(1), error, rtol=stats.norm.isf(FALSE_ALARM / 2) / math.sqrt(2000))


def test_events_above_the_ceiling_keep_their_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that keeps only a third of the events at x_0 > 0, with weight 3: χ²(3), false-alarm rate 2e-5."""
    original = LinearGaussian.sample

    def thinned(self: LinearGaussian, n: int, theta: torch.Tensor, rng: torch.Generator) -> HardEvents:
        events = original(self, 3 * n, theta.repeat(3, 1), rng)
        right = events.x[:, 0] > 0
        kept = ~right | (torch.rand(3 * n, generator=rng, dtype=torch.float64) < 1 / 3)
        return replace(events, weight=1 + 2 * right.double())[kept][:n]

    monkeypatch.setattr(LinearGaussian, "sample", thinned)
    found = fiducial()
    for values, covariance, network in zip(found.values, found.covariance, NETWORKS, strict=True):
        difference = values - network.fiducial(TOY).numpy()
        assert stats.chi2(3).sf(difference @ np.linalg.solve(covariance, difference)) > FALSE_ALARM


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fiducial(1000, resamples=5)
    monkeypatch.setattr(cross_section, "_CHUNK", 77)
    for name, values in vars(fiducial(1000, resamples=5)).items():
        np.testing.assert_allclose(values, getattr(whole, name), rtol=1e-12, err_msg=name)


def test_mixture_is_a_normalised_density() -> None:
    """∫ Σ_k c_k s_k dx = Σ_k c_k σ_k = 1, and it is the average of the densities at the points of the grid."""
    c, x = mixture_coefficients(TOY), torch.randn(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert float(c @ TOY.strengths) == pytest.approx(1, abs=1e-12)
    densities = [(TOY.components(x) @ TOY.basis(t)) / TOY.cross_section(t)[0] for t in mixture_grid(TOY)]
    torch.testing.assert_close(TOY.components(x) @ c, torch.stack(densities).mean(0), rtol=1e-12, atol=0)


def test_grid_covers_every_parameter_evenly_and_not_only_the_diagonal() -> None:
    class Two(LinearGaussian):
        parameters: Any = (Parameter("a", (-1.0, 1.0)), Parameter("b", (0.0, 12.0)))

    grid = mixture_grid(Two()).numpy()
    for column, (low, high) in zip(grid.T, ((-1, 1), (0, 12)), strict=True):
        np.testing.assert_allclose(np.sort(column), low + (high - low) * (np.arange(24) + 0.5) / 24, atol=1e-12)
    assert abs(np.corrcoef(grid.T)[0, 1]) < 0.5


@pytest.mark.parametrize("resamples", [0, 4])
def test_files_give_back_what_was_saved(resamples: int, tmp_path: Path) -> None:
    found = fiducial(100, resamples)
    found.save(tmp_path / "fiducial.npz", {"events": 100}, {})
    again = FiducialCrossSection.load(tmp_path / "fiducial.npz")
    assert (again.bootstrap is None) == (resamples == 0)
    for name, values in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), values)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fiducial.npz"
    fiducial(100).save(path, {}, {})
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"fiducial\.npz: its checksum differs"):
        FiducialCrossSection.load(path)


def pairs(n: int, seed: int, accept: float | None = None, repeats: int = 1) -> PairedEvents:
    """Events of the toy, uniform in θ, accepted with the probability of the first network, or with ``accept``."""
    rng = torch.Generator().manual_seed(seed)
    angles = 2 * math.pi * torch.rand(n, 1, generator=rng, dtype=torch.float64) - math.pi
    hard = TOY.sample(n, angles, rng)[torch.arange(n).repeat(repeats)]
    probability = NETWORKS[0].probability(hard.x) if accept is None else torch.full((len(hard),), accept)
    accepted = torch.rand(len(hard), generator=rng, dtype=torch.float64) < probability
    rows = int(accepted.sum())
    nothing = Objects(torch.zeros(rows, 0, 1), torch.zeros(rows, 0, dtype=torch.bool), ("pt",))
    return PairedEvents(hard, accepted, RecoEvents({"photons": nothing}))


@pytest.mark.parametrize("repeats", [1, 3])
def test_counted_is_the_closed_form_within_its_error(repeats: int) -> None:
    """χ² over 100 samples of 1000 hard events each is χ²(300): two-sided, false-alarm rate 2e-5."""
    exact, total = NETWORKS[0].fiducial(TOY).numpy(), 0.0
    for seed in range(100):
        values, covariance = simulated_cross_section(TOY, pairs(1000, seed, repeats=repeats))
        total += (values - exact) @ np.linalg.solve(covariance, values - exact)
    assert FALSE_ALARM / 2 < stats.chi2(300).cdf(total) < 1 - FALSE_ALARM / 2


def test_one_replica_has_the_error_of_counting_in_its_resamples() -> None:
    """Variance of 2000 resamples over the stated one: deviation √(2/2000), false-alarm rate 2e-5 over 3 components."""
    sample = pairs(20_000, 1)
    values, covariance = simulated_cross_section(TOY, sample)
    found = counted_cross_section(TOY, sample, 1, seed=3, resamples=2000)
    assert found.bootstrap is not None
    np.testing.assert_array_equal(found.values, values[None])
    np.testing.assert_array_equal(found.covariance, covariance[None])
    ratio = found.bootstrap[0].var(0, ddof=1) / np.diag(covariance)
    assert (np.abs(ratio - 1) < stats.norm.isf(FALSE_ALARM / 6) * np.sqrt(2 / 2000)).all()


def test_replicas_have_the_error_of_counting_in_their_differences() -> None:
    """The same of 2000 replicas, whose mean is the counted value and which have no further error."""
    sample = pairs(20_000, 1)
    values, covariance = simulated_cross_section(TOY, sample)
    found = counted_cross_section(TOY, sample, 2000, seed=3, resamples=2)
    assert found.bootstrap is not None
    np.testing.assert_allclose(found.values.mean(0), values, rtol=1e-12)
    assert not found.covariance.any()
    np.testing.assert_array_equal(found.bootstrap[:, 0], found.values)
    ratio = found.values.var(0, ddof=1) / np.diag(covariance)
    assert (np.abs(ratio - 1) < stats.norm.isf(FALSE_ALARM / 6) * np.sqrt(2 / 2000)).all()


def test_a_resample_counts_events_as_often_as_it_takes_them() -> None:
    """Against the count of pairs in which they stand so often: the same sums, in another order."""
    sample = pairs(300, 1, repeats=2)
    counts = resample_counts(300, 4, seed=5)
    found = resampled_cross_section(TOY, sample, counts, resamples=2)
    assert found.resampled
    assert found.bootstrap is not None
    np.testing.assert_array_equal(found.bootstrap[:, 1], found.values)
    for r, taken in enumerate(counts):
        times = taken[sample.hard.numbers].long()
        rows = torch.arange(len(sample)).repeat_interleave(times)
        reco = sample.reco[torch.arange(len(sample.reco)).repeat_interleave(times[sample.accepted])]
        written_out = PairedEvents(sample.hard[rows], sample.accepted[rows], reco)
        np.testing.assert_allclose(found.values[r], simulated_cross_section(TOY, written_out)[0], rtol=1e-12)


@pytest.mark.parametrize("repeats", [1, 3])
def test_resamples_differ_by_the_error_of_counting(repeats: int) -> None:
    """1000 of 5000 hard events: variances to √(2/1000), rate 2e-5 over 3; the mean is the count to the second order, 1/5000
    of it, and a thousandth of the error."""
    sample = pairs(5000, 1, repeats=repeats)
    values, covariance = simulated_cross_section(TOY, sample)
    found = resampled_cross_section(TOY, sample, resample_counts(5000, 1000, seed=2))
    ratio = found.values.var(0, ddof=1) / np.diag(covariance)
    assert (np.abs(ratio - 1) < stats.norm.isf(FALSE_ALARM / 6) * np.sqrt(2 / 1000)).all()
    np.testing.assert_allclose(found.values.mean(0), values, rtol=1e-3)


def test_nothing_accepted_is_an_error() -> None:
    with pytest.raises(InputError, match="none was accepted"):
        counted_cross_section(TOY, pairs(100, 1, accept=0.0), 1, seed=1)
