"""Stated densities: normalised, sampled as they are evaluated, and the simulated signal's mass peak.

Every statistical test is seeded; each number is rejected with a probability of ``FALSE_ALARM``.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from bmem.channels.thj.backgrounds import WINDOW, DiphotonBackground, FallingMass, MassPeak
from bmem.channels.thj.reconstruction import OBSERVABLES, photon_pair
from bmem.channels.thj.selection import Selection
from bmem.errors import InputError
from bmem.kinematics import mass
from bmem.rng import generator

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
BACKGROUND = DiphotonBackground()
NARROWER = replace(
    BACKGROUND, pt_h=27.0, y_h=1.0, imbalance=16.0, eta_j=2.0, eta_max=4.0, y_t=0.9, log_m_t=0.2, log_m_w=0.23
)


def test_events_follow_the_density():
    """∫ p dx = 1 over a smaller region and with other widths: the mean of p_narrower / p under p is 1 (LIMIT errors).

    This tests every factor, sampled and evaluated with different numbers; the ratio is bounded."""
    x = BACKGROUND.sample(100_000, generator(1, "background"))
    ratio = torch.exp(NARROWER.log_density(x) - BACKGROUND.log_density(x)).numpy()
    assert (ratio == 0).mean() > 0.02
    assert abs(ratio.mean() - 1) < LIMIT * ratio.std() / math.sqrt(len(ratio))


@pytest.mark.parametrize("field", ["pt_h", "y_h", "pt_j", "eta_j", "imbalance", "y_t", "m_t", "log_m_t", "m_w", "log_m_w"])
def test_the_density_of_other_settings_fits_worse(field):
    """Gibbs: no density explains the events better than their own; 5 % off in one setting is seen in 100 000 events by the
    mean of the log-ratio, which is negative by more than LIMIT errors (its size is at least 2.5e-4 N)."""
    x = BACKGROUND.sample(100_000, generator(2, "background"))
    for factor in (0.9, 1.1):
        other = replace(BACKGROUND, **{field: factor * getattr(BACKGROUND, field)})
        ratio = (other.log_density(x) - BACKGROUND.log_density(x)).numpy()
        assert ratio.mean() < -LIMIT * ratio.std() / math.sqrt(len(ratio))


def test_events_are_what_the_selection_would_leave():
    x = dict(zip(OBSERVABLES, BACKGROUND.sample(1000, generator(3, "background")).T, strict=True))
    assert x["pt_j"].min() >= 25
    assert x["eta_j"].abs().max() <= 4.7
    assert min(x["pt_H"].min(), x["m_t"].min(), x["m_W"].min()) > 0
    assert all(x[name].abs().max() <= math.pi for name in ("phi_H", "phi_j"))
    assert not torch.isfinite(BACKGROUND.log_density(torch.tensor([50.0, 0, 0, 20.0, 0, 0, 0, 0, 0, 170.0, 80.0]).double()))


@pytest.mark.parametrize("density", [FallingMass(0.03), MassPeak(125.0, 1.5, 3.0, 0.2), MassPeak(106.0, 2.0, 5.0, 0.4)])
def test_masses_are_normalised_in_the_window(density):
    m = torch.linspace(*WINDOW, 20_001, dtype=torch.float64)
    assert torch.trapezoid(density.log_density(m).exp(), m).item() == pytest.approx(1, abs=1e-5)
    assert torch.isneginf(density.log_density(torch.tensor([104.9, 160.1]))).all()


def test_falling_masses_follow_their_density():
    """Kolmogorov-Smirnov against the exponential, FALSE_ALARM."""
    falling = FallingMass(0.03)
    m = falling.sample(20_000, generator(4, "mass")).numpy()
    low, high = WINDOW
    assert stats.kstest(m, lambda x: np.expm1(-0.03 * (x - low)) / np.expm1(-0.03 * (high - low))).pvalue > FALSE_ALARM


def test_a_fitted_peak_is_the_one_that_was_drawn():
    rng = np.random.default_rng(5)
    width = np.where(rng.random(50_000) < 0.2, 3.0, 1.5)
    peak = MassPeak.fit(torch.from_numpy(rng.normal(125.2, width)))
    assert peak.mean == pytest.approx(125.2, abs=0.05)
    assert peak.core == pytest.approx(1.5, abs=0.06)
    assert peak.tail == pytest.approx(3.0, abs=0.3)


def test_the_peak_of_the_simulated_signal(simulated_masses):
    """Two Gaussians fitted to one half describe the other (Kolmogorov-Smirnov, FALSE_ALARM); the scale is unbiased."""
    half = len(simulated_masses) // 2
    peak = MassPeak.fit(simulated_masses[:half])
    grid = torch.linspace(*WINDOW, 5501, dtype=torch.float64)
    cumulative = torch.cumulative_trapezoid(peak.log_density(grid).exp(), grid).numpy()
    other = simulated_masses[half:].numpy()
    assert stats.kstest(other, lambda m: np.interp(m, grid[1:].numpy(), cumulative)).pvalue > FALSE_ALARM
    assert peak.mean == pytest.approx(125.0, abs=0.1)


@pytest.fixture(scope="module")
def simulated_masses():
    """m_γγ of signal events of the parametric chain in the window."""
    from bmem.channels.thj.response import ParametricResponse
    from bmem.process import THJ
    from bmem.simulation.pairs import simulate

    hard = THJ().sample(40_000, torch.tensor([0.8], dtype=torch.float64), generator(6, "hard"))
    m = mass(photon_pair(simulate(hard, ParametricResponse(), Selection(), seed=6).reco.photons))
    return m[(m > WINDOW[0]) & (m < WINDOW[1])]


def test_bad_input():
    with pytest.raises(InputError, match="imbalance"):
        DiphotonBackground(imbalance=0.0)
    with pytest.raises(InputError, match="slope"):
        FallingMass(-0.1)
    with pytest.raises(InputError, match="12 events"):
        MassPeak.fit(torch.full((12,), 125.0))
