"""tHj with a diphoton background, from events to α and the fraction: integrals by bmem, both densities known.

Slow: 4 000 events are generated, smeared and integrated. What the learned networks of the parametric chain do to it is
measured by ``studies/backgrounds``.
"""

import math

import numpy as np
import pytest
import torch
from measurements import fixed
from oracles import FINE
from scipy import stats
from thj_closure import ThjStudy, angle

from bmem.calibration.pulls import moments
from bmem.channels.thj.backgrounds import DiphotonBackground, FallingMass, MassPeak
from bmem.inference.minima import fit
from bmem.inference.mixture import mixture_by_fractions
from bmem.inference.objective import NegativeTwoLogLikelihood
from bmem.likelihood.basis import MorphingBasis
from bmem.rng import generator

LIMIT = stats.norm.isf(2e-5 / 2)
SIZE, SHARE, SAMPLES = 100, 0.3, 40
TRUTH = np.array([math.pi / 4, SHARE])
BACKGROUND = DiphotonBackground()
PEAK, FALLING = MassPeak(125.0, 1.2, 1.6, 0.3), FallingMass()
KINEMATIC = [0, 1, 2, 3, 4, 5, 8]
"""The observables that this response measures: all but those of the top's decay, which are independent of them."""


def log_background(x: torch.Tensor) -> torch.Tensor:
    """log p of the seven: the closed form with the other four at their most likely values, less the factors of these."""
    pt_h, phi_h, y_h, pt_j, phi_j, eta_j, y_t = x.unbind(-1)
    b, one = BACKGROUND, torch.ones_like(pt_h)
    balance = [-pt_h * f(phi_h) - pt_j * f(phi_j) for f in (torch.cos, torch.sin)]
    full = torch.stack([pt_h, phi_h, y_h, pt_j, phi_j, eta_j, *balance, y_t, b.m_t * one, b.m_w * one], -1)
    widths = (b.imbalance, b.imbalance, b.log_m_t, b.log_m_w, b.m_t, b.m_w)
    return b.log_density(full) + sum(math.log(w) for w in widths) + 2 * math.log(2 * math.pi)


def mass_ratios(signal: np.ndarray) -> np.ndarray:
    """log p_b(m) / p_s(m) of masses drawn for signal (True) and background."""
    rng = generator(3, "mass")
    peak = PEAK.mean + PEAK.core * torch.randn(signal.shape, generator=rng, dtype=torch.float64)
    wide = torch.rand(signal.shape, generator=rng, dtype=torch.float64) < PEAK.tail_share
    peak = torch.where(wide, PEAK.mean + (peak - PEAK.mean) * PEAK.tail / PEAK.core, peak)
    m = torch.where(torch.from_numpy(signal), peak, FALLING.sample(signal.size, rng).reshape(signal.shape))
    return (FALLING.log_density(m) - PEAK.log_density(m)).numpy()


@pytest.mark.slow
def test_angle_and_fraction_with_and_without_the_mass() -> None:
    """40 samples of 100 events, 30 % of them background: α̂ and f̂ are unbiased within LIMIT errors, with the mass and
    without, which is 4 numbers (8e-5). The mass makes f̂ follow the true share of a sample more closely. Ignoring the
    background shifts the α̂ of all events by more than LIMIT errors.
    """
    s = ThjStudy(seed=1, resolutions=FINE)
    n_background = np.random.default_rng(1).binomial(SIZE, SHARE, SAMPLES)
    x_signal, _ = s.pairs(SIZE * SAMPLES - int(n_background.sum()), angle(45), "signal")
    x_background = BACKGROUND.sample(int(n_background.sum()), generator(2, "background"))[:, KINEMATIC]
    kind = np.array([i >= n for n in n_background for i in range(SIZE)])
    x = torch.empty(len(kind), 7, dtype=torch.float64)
    x[kind], x[~kind] = x_signal, x_background
    measured = s.measured(s.integrand(x, s.transfer), fixed(512))
    log_p = log_background(x).numpy()
    log_p[np.isneginf(log_p)] = -700.0
    with_mass = log_p + mass_ratios(kind)
    basis = MorphingBasis.of(s.process)
    residual = {}
    for name, values in (("with", with_mass), ("without", log_p)):
        mixed, both = mixture_by_fractions(measured, basis, {"diphoton": values})
        samples = [mixed.select(slice(i * SIZE, (i + 1) * SIZE)) for i in range(SAMPLES)]
        found = np.array([fit(NegativeTwoLogLikelihood.of(one, both)).nearest(TRUTH).theta for one in samples])
        for j, truth in enumerate(TRUTH):
            mean, error, _, _ = moments(found[:, j])
            assert abs(mean - truth) < LIMIT * error
        residual[name] = np.std(found[:, 1] - n_background / SIZE)
    assert residual["with"] < 0.8 * residual["without"]
    impossible = np.flatnonzero((measured.values[0] == 0).all(1))
    ignoring = fit(NegativeTwoLogLikelihood.of(measured, basis, exclude=impossible)).nearest(TRUTH[:1])
    assert abs(ignoring.theta[0] - TRUTH[0]) > LIMIT * ignoring.error[0]
