import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from bmem import kinematics
from bmem.events.record import JET_FEATURES, Objects, RecoEvents
from bmem.simulation.decays import BOTTOM, CHARM, LIGHT
from bmem.simulation.detector import TruthEvents, detect, jet_resolution, merge_close, order_by_pt, photon_resolution
from bmem.simulation.settings import DetectorSettings

N = 20_000
FALSE_ALARM = 2e-5
"""Probability with which each seeded statistical test would fail for another seed although all is well."""
PERFECT = DetectorSettings(
    photon_stochastic=0.0,
    photon_constant=0.0,
    photon_angle=0.0,
    photon_efficiency=1.0,
    photon_turn_on=1e-3,
    isolation_efficiency=1.0,
    jet_noise=0.0,
    jet_stochastic=0.0,
    jet_constant=0.0,
    jet_angle=0.0,
    jet_mass=0.0,
    jet_efficiency=1.0,
    btag_efficiency=1.0,
    charm_mistag=0.0,
    light_mistag=0.0,
)


def vectors(*objects: tuple[float, float, float, float]) -> Tensor:
    """Four-vectors [n, 4] of (pT, η, φ, mass)."""
    pt, eta, phi, mass = torch.tensor(objects, dtype=torch.float64).unbind(-1)
    return kinematics.from_pt_eta_phi(pt, eta, phi, mass)


def truth(photons: Tensor, jets: Tensor, flavour: list[int], n: int = 1, activity: float = 0.0) -> TruthEvents:
    """``n`` times the same event."""

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.expand(n, *tensor.shape)

    return TruthEvents(
        photons=repeated(photons),
        photon_mask=torch.ones(n, len(photons), dtype=torch.bool),
        photon_activity=torch.full((n, len(photons)), activity, dtype=torch.float64),
        jets=repeated(jets),
        jet_mask=torch.ones(n, len(jets), dtype=torch.bool),
        jet_flavour=repeated(torch.tensor(flavour)),
    )


PHOTONS = vectors((80.0, 0.5, 1.0, 0.0))
JETS = vectors((60.0, 1.2, -2.0, 8.0))


def sample(settings: DetectorSettings, seed: int = 1, flavour: int = LIGHT, activity: float = 0.0) -> RecoEvents:
    return detect(truth(PHOTONS, JETS, [flavour], N, activity), settings, torch.Generator().manual_seed(seed))


def pull_p_value(values: Tensor, mean: float, sigma: float) -> float:
    return float(stats.kstest(((values - mean) / sigma).numpy(), "norm").pvalue)


def test_a_perfect_detector_returns_the_truth() -> None:
    reco = detect(truth(PHOTONS, JETS, [BOTTOM]), PERFECT, torch.Generator().manual_seed(1))
    torch.testing.assert_close(reco.photons.features[0, 0], torch.tensor([80.0, 0.5, 1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(reco.jets.features[0, 0], torch.tensor([60.0, 1.2, -2.0, 8.0, 1.0], dtype=torch.float64))


def test_photon_resolutions_are_as_configured() -> None:
    """Kolmogorov-Smirnov of the pulls of log E, η and φ; false-alarm rate 3 tests at 2e-5."""
    s = DetectorSettings()
    photons = sample(s).photons
    found = photons.mask[:, 0]
    sigma = float(photon_resolution(torch.tensor(80.0 * math.cosh(0.5)), s))
    assert sigma == pytest.approx(math.hypot(0.10 / math.sqrt(80.0 * math.cosh(0.5)), 0.01))
    log_pt = torch.log(photons.feature("pt")[found, 0] / 80.0)
    assert pull_p_value(log_pt, -(sigma**2) / 2, sigma) > FALSE_ALARM
    assert pull_p_value(photons.feature("eta")[found, 0], 0.5, s.photon_angle) > FALSE_ALARM
    assert pull_p_value(photons.feature("phi")[found, 0], 1.0, s.photon_angle) > FALSE_ALARM


def test_jet_resolutions_are_as_configured() -> None:
    """As for photons; pT 60 GeV lies so far above the threshold that nothing is cut off. False-alarm rate 3 × 2e-5."""
    s = DetectorSettings()
    jets = sample(s, seed=2).jets
    found = jets.mask[:, 0]
    sigma = float(jet_resolution(torch.tensor(60.0), s))
    assert sigma == pytest.approx(math.sqrt((3 / 60) ** 2 + 0.8**2 / 60 + 0.04**2))
    assert pull_p_value(torch.log(jets.feature("pt")[found, 0] / 60.0), -(sigma**2) / 2, sigma) > FALSE_ALARM
    assert pull_p_value(jets.feature("eta")[found, 0], 1.2, s.jet_angle) > FALSE_ALARM
    assert pull_p_value(jets.feature("phi")[found, 0], -2.0, s.jet_angle) > FALSE_ALARM


@pytest.mark.parametrize(("flavour", "rate"), [(BOTTOM, 0.70), (CHARM, 0.15), (LIGHT, 0.01)])
def test_b_tag_rates(flavour: int, rate: float) -> None:
    """Binomial, false-alarm rate 2e-5."""
    jets = sample(DetectorSettings(), flavour=flavour).jets
    assert stats.binomtest(int(jets.feature("btag").sum()), int(jets.mask.sum()), rate).pvalue > FALSE_ALARM


def test_nothing_is_b_tagged_outside_the_tracker() -> None:
    event = truth(PHOTONS, vectors((60.0, 2.6, 0.0, 5.0)), [BOTTOM])
    assert detect(event, PERFECT, torch.Generator().manual_seed(1)).jets.feature("btag").sum() == 0


def test_efficiencies() -> None:
    """Photon and jet counts are binomial; false-alarm rate 3 tests at 2e-5."""
    s = DetectorSettings()
    reco = sample(s, seed=3)
    photon_efficiency = s.photon_efficiency * (1 - math.exp(-80 / s.photon_turn_on))
    found = int(reco.photons.mask.sum())
    assert stats.binomtest(found, N, photon_efficiency).pvalue > FALSE_ALARM
    isolated = int(reco.photons.feature("isolated").sum())
    assert stats.binomtest(isolated, found, s.isolation_efficiency).pvalue > FALSE_ALARM
    assert stats.binomtest(int(reco.jets.mask.sum()), N, s.jet_efficiency).pvalue > FALSE_ALARM


def test_activity_spoils_isolation() -> None:
    assert (sample(PERFECT, activity=7.9).photons.feature("isolated") == 1).all()
    assert (sample(PERFECT, activity=8.1).photons.feature("isolated") == 0).all()


@pytest.mark.parametrize(("activity", "left"), [(0.0, 1), (50.0, 2)])
def test_only_an_isolated_photon_removes_the_jet_around_it(activity: float, left: int) -> None:
    event = truth(PHOTONS, vectors((60.0, 0.5, 1.3, 5.0), (50.0, -1.0, 1.0, 5.0)), [LIGHT, LIGHT], activity=activity)
    assert detect(event, PERFECT, torch.Generator().manual_seed(1)).jets.mask.sum() == left


def test_soft_and_far_forward_objects_are_lost() -> None:
    photons = vectors((14.0, 0.0, 0.0, 0.0), (50.0, 3.1, 0.0, 0.0))
    jets = vectors((19.0, 0.0, 2.0, 1.0), (50.0, 5.1, 2.0, 1.0), (4.9, 0.0, 1.0, 1.0))
    reco = detect(truth(photons, jets, [LIGHT] * 3), PERFECT, torch.Generator().manual_seed(1))
    assert reco.photons.mask.sum() == 0
    assert reco.jets.mask.sum() == 0


def test_masked_truth_leaves_no_trace() -> None:
    event = truth(torch.zeros(2, 4, dtype=torch.float64), torch.zeros(3, 4, dtype=torch.float64), [LIGHT] * 3, 5)
    event.photon_mask[:], event.jet_mask[:] = False, False
    reco = detect(event, DetectorSettings(), torch.Generator().manual_seed(1))
    assert reco.photons.features.isfinite().all()
    assert reco.jets.mask.sum() == 0


def test_order_by_pt_sorts_and_clears() -> None:
    features = torch.zeros(2, 3, len(JET_FEATURES))
    features[..., 0] = torch.tensor([[30.0, 90.0, 50.0], [70.0, 20.0, 80.0]])
    mask = torch.tensor([[True, False, True], [False, True, False]])
    ordered = order_by_pt(Objects(features, mask, JET_FEATURES))
    assert ordered.feature("pt").tolist() == [[50.0, 30.0], [20.0, 0.0]]
    assert ordered.mask.tolist() == [[True, True], [True, False]]


def test_close_partons_become_one_jet() -> None:
    jets = vectors((50.0, 0.0, 3.1, 0.0), (40.0, 0.2, -3.1, 0.0), (30.0, 0.5, 3.1, 0.0), (30.0, 2.0, 0.0, 0.0))
    merged = merge_close(truth(PHOTONS, jets, [LIGHT, BOTTOM, CHARM, LIGHT]), 0.4)
    kept = merged.jets[0][merged.jet_mask[0]]
    # 1 and 2 are 0.22 apart, across φ = π; then their sum, at η = 0.09, is farther than 0.4 from 3
    assert len(kept) == 3
    torch.testing.assert_close(kept[0], jets[0] + jets[1])
    assert merged.jet_flavour[0][merged.jet_mask[0]].tolist() == [BOTTOM, CHARM, LIGHT]


def test_merging_conserves_momentum_and_leaves_nothing_close() -> None:
    rng = torch.Generator().manual_seed(9)
    pt, eta, phi = (torch.rand(500, 5, generator=rng, dtype=torch.float64) for _ in range(3))
    jets = kinematics.from_pt_eta_phi(20 + 50 * pt, 2 * eta, 2 * phi)
    mask = torch.rand(500, 5, generator=rng) < 0.8
    event = truth(PHOTONS, jets[0], [LIGHT] * 5, 500)
    merged = merge_close(TruthEvents(event.photons, event.photon_mask, event.photon_activity, jets, mask, mask.long()), 0.4)
    assert merged.jet_mask.sum() < mask.sum()
    before, after = (jets * mask[..., None]).sum(1), (merged.jets * merged.jet_mask[..., None]).sum(1)
    torch.testing.assert_close(after, before)
    eta, phi = kinematics.eta(merged.jets), kinematics.phi(merged.jets)
    distance = kinematics.delta_r(eta[:, :, None], phi[:, :, None], eta[:, None], phi[:, None])
    both = (merged.jet_mask[:, :, None] & merged.jet_mask[:, None]).triu(1)
    assert distance[both].min() >= 0.4
