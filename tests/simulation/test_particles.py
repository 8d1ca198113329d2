import awkward as ak
import pytest
import torch

from bmem import kinematics
from bmem.simulation.decays import BOTTOM, CHARM, LIGHT
from bmem.simulation.detector import TruthEvents
from bmem.simulation.particles import contains, photons_of, truth_events
from bmem.simulation.settings import DetectorSettings

Particle = tuple[int, int, int, float, float, float]
"""id, status, mother1, pT, η, φ of a massless particle."""


def records(*events: list[Particle]) -> ak.Array:
    """Event records in Pythia's layout; entry 0 is the system, as in Pythia."""
    listed = []
    for event in events:
        particles = []
        for code, status, mother, pt, eta, phi in [(90, -11, 0, 1.0, 0.0, 0.0), *event]:
            values = (torch.tensor(v, dtype=torch.float64) for v in (pt, eta, phi))
            e, px, py, pz = kinematics.from_pt_eta_phi(*values).tolist()
            p = {"px": px, "py": py, "pz": pz, "e": e}
            particles.append({"id": code, "status": status, "mother1": mother, "p": p})
        listed.append(particles)
    return ak.Array(listed)


def truth(*events: list[Particle]) -> TruthEvents:
    return truth_events(records(*events), DetectorSettings(), 25)


def test_only_photons_of_the_higgs_are_photons() -> None:
    """Also through photons that recoiled; but not those of a pion, nor those that are not final."""
    event: list[Particle] = [
        (25, -22, 0, 50, 0.0, 0.0),
        (22, -23, 1, 60, 0.5, 0.0),
        (22, 51, 2, 59, 0.5, 0.0),
        (22, 23, 1, 40, -0.5, 2.0),
        (111, -83, 0, 30, 1.0, 1.0),
        (22, 91, 5, 15, 1.0, 1.0),
    ]
    chosen = photons_of(records(event, [(211, 83, 0, 5.0, 0.0, 0.0)], event), 25)
    assert chosen.tolist() == [[False, False, False, True, True, False, False], [False] * 2, chosen[0].tolist()]


def test_flavour_comes_from_hadrons_by_their_digits() -> None:
    codes = [511, -521, 5122, 513, 541, 553, 10511, 411, 4122, 443, 20423, 211, 2212, 5, 4, 21, 5101, 1000022, 310]
    bottom = [abs(c) in (511, 521, 5122, 513, 541, 553, 10511) for c in codes]
    charm = [c in (541, 411, 4122, 443, 20423) for c in codes]
    assert contains(ak.Array([codes]), BOTTOM).tolist() == [bottom]
    assert contains(ak.Array([codes]), CHARM).tolist() == [charm]


def test_jets_exclude_neutrinos_and_higgs_photons() -> None:
    made = truth(
        [
            (25, -22, 0, 50, 0.0, 0.0),
            (22, 23, 1, 60, 0.0, 0.0),
            (22, 23, 1, 50, 0.0, 2.0),
            (211, 83, 0, 30, 0.1, 0.1),
            (12, 83, 0, 80, 1.5, 1.5),
            (22, 91, 0, 10, 0.1, 0.15),
        ]
    )
    assert made.photon_mask.tolist() == [[True, True]]
    assert made.jet_mask.tolist() == [[True]]
    assert float(kinematics.pt(made.jets)[0, 0]) == pytest.approx(40.0, abs=0.1)
    # both the pion and the pion's photon lie within 0.3 of the first photon only
    assert made.photon_activity[0].tolist() == pytest.approx([40.0, 0.0])


def test_jets_get_the_heaviest_flavour_within_reach() -> None:
    made = truth(
        [
            (511, -83, 0, 40, 0.0, 0.0),
            (411, -91, 1, 30, 0.0, 0.0),
            (211, 91, 2, 40, 0.0, 0.0),
            (421, -83, 0, 30, 0.1, 2.0),
            (211, 91, 4, 30, 0.1, 2.0),
            (521, -83, 0, 4, 0.1, -2.0),  # too soft to make a b jet
            (211, 91, 6, 20, 0.1, -2.0),
        ]
    )
    order = kinematics.pt(made.jets)[0].argsort(descending=True)
    assert made.jet_flavour[0, order].tolist() == [BOTTOM, CHARM, LIGHT]


def test_a_hadron_between_two_jets_belongs_to_the_nearer() -> None:
    made = truth([(211, 83, 0, 50, 0.0, 0.0), (211, 83, 0, 50, 0.5, 0.0), (511, -83, 0, 20, 0.3, 0.0)])
    by_eta = kinematics.eta(made.jets)[0].argsort()
    assert made.jet_flavour[0, by_eta].tolist() == [LIGHT, BOTTOM]


def test_particles_beyond_the_detector_are_not_clustered() -> None:
    made = truth([(211, 83, 0, 50, 5.2, 0.0), (211, 83, 0, 50, -4.8, 0.0)])
    assert made.jet_mask.sum() == 1


def test_events_without_anything() -> None:
    made = truth([], [(211, 83, 0, 50, 0.0, 0.0)])
    assert made.photon_mask.shape == (2, 0)
    assert made.jet_mask.tolist() == [[False], [True]]
