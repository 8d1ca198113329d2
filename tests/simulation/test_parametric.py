from collections.abc import Callable

import pytest
import torch

from bmem import kinematics
from bmem.channels.thj.response import THJ_PHASE_SPACE, ParametricResponse
from bmem.channels.thj.selection import Selection
from bmem.channels.thj.settings import ParametricSettings
from bmem.events.record import HardEvents
from bmem.simulation.decays import BOTTOM, LIGHT
from bmem.simulation.pairs import simulate

Make = Callable[..., HardEvents]


def test_parton_jets_carry_the_hard_momenta(make_hard: Make) -> None:
    """Three-momenta only: the energies contain the masses of the jets."""
    hard = make_hard(2_000)
    truth = ParametricResponse().truth(hard, torch.Generator().manual_seed(1))
    top, higgs, jet = THJ_PHASE_SPACE.to_momenta(hard.x)[0].unbind(1)
    torch.testing.assert_close(truth.photons.sum(1), higgs)
    jets = (truth.jets * truth.jet_mask[..., None]).sum(1)
    torch.testing.assert_close(jets[:, 1:], (top + jet)[:, 1:], rtol=1e-9, atol=1e-9)


def test_every_event_has_one_b_jet_and_at_most_four_jets(make_hard: Make) -> None:
    truth = ParametricResponse().truth(make_hard(2_000), torch.Generator().manual_seed(1))
    assert (((truth.jet_flavour == BOTTOM) & truth.jet_mask).sum(1) == 1).all()
    multiplicity = truth.jet_mask.sum(1)
    assert multiplicity.max() == 4
    assert multiplicity.min() < 4


def test_jet_masses_are_as_configured(make_hard: Make) -> None:
    """Mean of m/pT of unmerged spectator jets. A Rayleigh mean of 0.15 has σ = 0.0784: with 4000 events, 5 σ are 0.0062."""
    truth = ParametricResponse().truth(make_hard(4_000), torch.Generator().manual_seed(2))
    spectator = truth.jets[truth.jet_mask.all(1)][:, 0]
    ratio = kinematics.mass(spectator) / kinematics.pt(spectator)
    assert float(ratio.mean()) == pytest.approx(ParametricSettings().jet_mass, abs=0.0062 * (4_000 / len(ratio)) ** 0.5)


def test_a_parton_in_the_cone_spoils_isolation() -> None:
    """The Higgs at rest in φ = 0 decays along a parton only if we put it there: the spectator along the first photon."""
    x = torch.tensor([[200.0, 0.0, 0.0, 60.0, 0.0, 0.0, 0.5]], dtype=torch.float64).repeat(2_000, 1)
    hard = HardEvents(x, x[:, :1] * 0, x[:, 0] * 0 + 1)
    truth = ParametricResponse().truth(hard, torch.Generator().manual_seed(3))
    eta, phi = kinematics.eta(truth.photons), kinematics.phi(truth.photons)
    near = torch.hypot(eta, phi) < 0.3
    assert near.any()
    assert (truth.photon_activity[near] > 59.999).all()


def test_diphoton_mass_peaks_at_the_higgs_mass(make_hard: Make) -> None:
    """Median within 0.2 GeV (some 5 standard errors of 2000 events); half of the events within 0.5 to 2 GeV."""
    reco = ParametricResponse()(make_hard(4_000), torch.Generator().manual_seed(4))
    both = reco.photons.mask.all(1)
    pt, eta, phi = (reco.photons.feature(name)[both] for name in ("pt", "eta", "phi"))
    mass = kinematics.mass(kinematics.from_pt_eta_phi(pt, eta, phi).sum(1))
    assert float(mass.median()) == pytest.approx(125.0, abs=0.2)
    assert 0.5 < float((mass - 125).abs().median()) < 2


def test_jets_are_ordered_by_pt_so_that_roles_are_unknown(make_hard: Make) -> None:
    jets = ParametricResponse()(make_hard(2_000), torch.Generator().manual_seed(5)).jets
    pt = jets.feature("pt")
    assert (pt[:, :-1] >= pt[:, 1:]).all()
    tagged_first = (jets.feature("btag")[:, 0] == 1).double().mean()
    assert 0.1 < tagged_first < 0.6


def test_light_flavours_only_where_expected(make_hard: Make) -> None:
    truth = ParametricResponse().truth(make_hard(500), torch.Generator().manual_seed(6))
    unmerged = truth.jet_mask.all(1)
    assert (truth.jet_flavour[unmerged, 0] == LIGHT).all()
    assert (truth.jet_flavour[unmerged, 1] == BOTTOM).all()


def test_acceptance_of_thj(real: HardEvents) -> None:
    """The acceptance at α = 0, measured as 0.143 on 20 000 MadGraph events: 5 σ of 200 independent hard events are 0.09."""
    pairs = simulate(real.repeat(50), ParametricResponse(), Selection(), seed=1)
    assert float(pairs.accepted.double().mean()) == pytest.approx(0.143, abs=0.09)
