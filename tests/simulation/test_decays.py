import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from bmem import kinematics
from bmem.channels.thj.response import THJ_PHASE_SPACE, higgs_decay, top_decay
from bmem.channels.thj.settings import DecaySettings
from bmem.events.record import HardEvents
from bmem.simulation.decays import BOTTOM, CHARM, LIGHT, breit_wigner, decay

N = 20_000
FALSE_ALARM = 2e-5
"""Probability with which each seeded statistical test would fail for another seed although all is well."""


@pytest.fixture(scope="module")
def momenta(make_hard: Callable[..., HardEvents]) -> tuple[Tensor, Tensor]:
    """Tops and Higgs bosons [N, 4]."""
    outgoing = THJ_PHASE_SPACE.to_momenta(make_hard(N, seed=7).x)[0]
    return outgoing[:, 0], outgoing[:, 1]


def to_rest_frame(p: Tensor, frame: Tensor) -> Tensor:
    """``p`` as seen from the rest frame of ``frame``."""
    back = torch.cat([frame[:, :1], -frame[:, 1:]], dim=-1)
    return kinematics.boost(p, back)


def isotropy_p_value(p: Tensor, frame: Tensor) -> float:
    """Chi-squared test of the direction of ``p`` in the rest frame, on an 8 × 8 grid of equal solid angles."""
    rest = to_rest_frame(p, frame)
    cos = rest[:, 3] / rest[:, 1:].norm(dim=-1)
    phi = kinematics.phi(rest)
    cell = ((cos + 1) * 4).long().clamp(0, 7) * 8 + ((phi / math.pi + 1) * 4).long().clamp(0, 7)
    return float(stats.chisquare(cell.bincount(minlength=64).numpy()).pvalue)


def test_masses_and_balance_of_the_top_decay(momenta: tuple[Tensor, Tensor]) -> None:
    top, _ = momenta
    partons, _ = top_decay(top, DecaySettings(), torch.Generator().manual_seed(1))
    torch.testing.assert_close(partons.sum(1), top, rtol=1e-12, atol=1e-9)
    masses = kinematics.mass_squared(partons)
    torch.testing.assert_close(masses[:, 0], torch.full((N,), 4.7**2, dtype=torch.float64), rtol=0, atol=1e-6)
    assert masses[:, 1:].abs().max() < 1e-6
    w = kinematics.mass(partons[:, 1:].sum(1))
    assert w.max() < 172.5 - 4.7


def test_every_decay_is_isotropic_in_its_rest_frame(momenta: tuple[Tensor, Tensor]) -> None:
    """False-alarm rate: 3 tests at 2e-5 each."""
    top, higgs = momenta
    rng = torch.Generator().manual_seed(2)
    partons, _ = top_decay(top, DecaySettings(), rng)
    w = partons[:, 1:].sum(1)
    assert isotropy_p_value(partons[:, 0], top) > FALSE_ALARM
    assert isotropy_p_value(partons[:, 1], w) > FALSE_ALARM
    assert isotropy_p_value(higgs_decay(higgs, rng)[:, 0], higgs) > FALSE_ALARM


def test_isotropy_test_sees_a_polarised_decay(momenta: tuple[Tensor, Tensor]) -> None:
    top, _ = momenta
    first, _ = decay(top, (4.7, 80.0), torch.Generator().manual_seed(3))
    rest = to_rest_frame(first, top)
    cos = rest[:, 3] / rest[:, 1:].norm(dim=-1)
    kept = torch.rand(N, generator=torch.Generator().manual_seed(4)) < (1 + 0.3 * cos) / 1.3
    assert isotropy_p_value(first[kept], top[kept]) < FALSE_ALARM


def test_photons_of_the_higgs_are_massless_and_add_up(momenta: tuple[Tensor, Tensor]) -> None:
    _, higgs = momenta
    photons = higgs_decay(higgs, torch.Generator().manual_seed(5))
    torch.testing.assert_close(photons.sum(1), higgs, rtol=1e-12, atol=1e-9)
    assert kinematics.mass_squared(photons).abs().max() < 1e-6


def test_w_mass_follows_the_truncated_breit_wigner() -> None:
    """Kolmogorov-Smirnov against the closed form, which is an arctangent in m². False-alarm rate 2e-5."""
    s = DecaySettings()
    largest = torch.full((N,), 90.0, dtype=torch.float64)
    mass = breit_wigner(s.w_mass, s.w_width, largest, torch.Generator().manual_seed(6))

    def primitive(m: float | Tensor) -> Tensor:
        return torch.atan((torch.as_tensor(m, dtype=torch.float64) ** 2 - s.w_mass**2) / (s.w_mass * s.w_width))

    uniform = (primitive(mass) - primitive(0.0)) / (primitive(90.0) - primitive(0.0))
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > FALSE_ALARM
    assert mass.min() >= 0
    assert mass.max() <= 90


def test_flavours(momenta: tuple[Tensor, Tensor]) -> None:
    """The charm fraction is binomial: false-alarm rate 2e-5."""
    top, _ = momenta
    _, flavour = top_decay(top, DecaySettings(charm_fraction=0.3), torch.Generator().manual_seed(8))
    assert (flavour[:, 0] == BOTTOM).all()
    assert (flavour[:, 2] == LIGHT).all()
    charm = int((flavour[:, 1] == CHARM).sum())
    assert stats.binomtest(charm, N, 0.3).pvalue > FALSE_ALARM
