"""Parametric detector response, shared by all simulation chains: true photons and jets in, reconstructed events out.

Resolutions and efficiencies are like those of ATLAS and CMS in Run 2. Energies are smeared log-normally, so the response has
a positive, smooth density at every positive pT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bmem import kinematics
from bmem.events.record import JET_FEATURES, PHOTON_FEATURES, Objects, RecoEvents
from bmem.rng import normal, uniform
from bmem.simulation.decays import BOTTOM, CHARM
from bmem.simulation.effects import NOMINAL, Shifts
from bmem.simulation.settings import DetectorSettings


@dataclass(frozen=True)
class TruthEvents:
    """What reaches the detector, padded with masks (True where an object is); masked entries are ignored.

    ``photons`` [N, P, 4] and ``jets`` [N, J, 4] four-vectors, ``photon_mask`` [N, P], ``jet_mask`` [N, J], ``jet_flavour``
    [N, J] (5, 4 or 0), ``photon_activity`` [N, P]: sum pT in GeV of everything else within the isolation cone.
    """

    photons: Tensor
    photon_mask: Tensor
    photon_activity: Tensor
    jets: Tensor
    jet_mask: Tensor
    jet_flavour: Tensor


def detect(
    truth: TruthEvents, settings: DetectorSettings, rng: torch.Generator, shifts: Shifts = NOMINAL
) -> RecoEvents:
    """Return the reconstructed events: photons and jets ordered by falling pT, before selection."""
    photons = _photons(truth, settings, rng, shifts)
    jets = _jets(truth, settings, rng, shifts)
    distance = kinematics.delta_r(
        jets.feature("eta")[:, :, None],
        jets.feature("phi")[:, :, None],
        photons.feature("eta")[:, None, :],
        photons.feature("phi")[:, None, :],
    )
    isolated = photons.mask & (photons.feature("isolated") > 0)
    overlap = ((distance < settings.jet_radius) & isolated[:, None, :]).any(-1)
    jets = Objects(jets.features, jets.mask & ~overlap, jets.names)
    return RecoEvents({"photons": order_by_pt(photons), "jets": order_by_pt(jets)})


def photon_resolution(energy: Tensor, settings: DetectorSettings) -> Tensor:
    """σ_E/E of photons of ``energy`` in GeV."""
    return torch.sqrt(settings.photon_stochastic**2 / energy + settings.photon_constant**2)


def jet_resolution(pt: Tensor, settings: DetectorSettings) -> Tensor:
    """σ_pT/pT of jets of true ``pt`` in GeV."""
    noise, stochastic, constant = settings.jet_noise, settings.jet_stochastic, settings.jet_constant
    return torch.sqrt((noise / pt) ** 2 + stochastic**2 / pt + constant**2)


def order_by_pt(objects: Objects) -> Objects:
    """Order by falling pT, masked entries last and zero, and drop the columns that no event fills."""
    pt = torch.where(objects.mask, objects.feature("pt"), -1.0)
    order = torch.argsort(pt, dim=1, descending=True, stable=True)
    mask = objects.mask.gather(1, order)
    features = objects.features.gather(1, order[..., None].expand_as(objects.features))
    features = torch.where(mask[..., None], features, 0.0)
    used = int(mask.sum(1).max()) if len(mask) else 0
    return Objects(features[:, :used], mask[:, :used], objects.names)


def merge_close(truth: TruthEvents, radius: float) -> TruthEvents:
    """Add up the closest jets until none are closer than ``radius``; a merged jet has the heaviest flavour of its parts.

    This is the Cambridge/Aachen algorithm (Dokshitzer et al., JHEP 08 (1997) 001), for the few partons of an event.
    """
    jets, mask, flavour = truth.jets.clone(), truth.jet_mask.clone(), truth.jet_flavour.clone()
    active = torch.arange(len(jets), device=jets.device)
    while len(active):
        distance = _pair_distance(jets[active], mask[active])
        closest, pair = distance.flatten(1).min(dim=1)
        active, pair = active[closest < radius], pair[closest < radius]
        first, second = pair // mask.shape[1], pair % mask.shape[1]
        jets[active, first] += jets[active, second]
        flavour[active, first] = torch.maximum(flavour[active, first], flavour[active, second])
        mask[active, second] = False
    return TruthEvents(truth.photons, truth.photon_mask, truth.photon_activity, jets, mask, flavour)


def _pair_distance(jets: Tensor, mask: Tensor) -> Tensor:
    """ΔR [N, J, J] above the diagonal, infinite elsewhere and where either is masked."""
    eta, phi = kinematics.eta(jets), kinematics.phi(jets)
    distance = kinematics.delta_r(eta[:, :, None], phi[:, :, None], eta[:, None, :], phi[:, None, :])
    valid = (mask[:, :, None] & mask[:, None, :]).triu(1)
    return torch.where(valid, distance, math.inf)


def _lognormal(sigma: Tensor | float, like: Tensor, rng: torch.Generator) -> Tensor:
    """Positive factors of mean 1 and, for small σ, standard deviation σ."""
    return torch.exp(sigma * normal(like.shape, rng, like) - 0.5 * sigma**2)


def _coordinates(momenta: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """pT, η, φ, with harmless numbers where masked."""
    safe = torch.where(mask[..., None], momenta, momenta.new_tensor([1.0, 1.0, 0.0, 0.0]))
    return kinematics.pt(safe), kinematics.eta(safe), kinematics.phi(safe)


def _photons(truth: TruthEvents, s: DetectorSettings, rng: torch.Generator, shifts: Shifts) -> Objects:
    true_pt, true_eta, true_phi = _coordinates(truth.photons, truth.photon_mask)
    smeared = true_pt * _lognormal(photon_resolution(true_pt * torch.cosh(true_eta), s), true_pt, rng)
    pt = smeared * shifts.photon_energy_scale
    eta = true_eta + s.photon_angle * normal(pt.shape, rng, pt)
    phi = kinematics.wrap(true_phi + s.photon_angle * normal(pt.shape, rng, pt))
    efficiency = s.photon_efficiency * (1 - torch.exp(-true_pt / s.photon_turn_on))
    found = uniform(pt.shape, rng, pt) < efficiency
    quiet = uniform(pt.shape, rng, pt) < s.isolation_efficiency
    isolated = quiet & (truth.photon_activity < s.isolation_fraction * pt)
    mask = truth.photon_mask & found & (pt > s.photon_min_pt) & (eta.abs() < s.photon_max_eta)
    return Objects(torch.stack([pt, eta, phi, isolated.to(pt.dtype)], dim=-1), mask, PHOTON_FEATURES)


def _jets(truth: TruthEvents, s: DetectorSettings, rng: torch.Generator, shifts: Shifts) -> Objects:
    true_pt, true_eta, true_phi = _coordinates(truth.jets, truth.jet_mask)
    resolution = jet_resolution(true_pt, s) * shifts.jet_energy_resolution
    pt = true_pt * _lognormal(resolution, true_pt, rng) * shifts.jet_energy_scale
    eta = true_eta + s.jet_angle * normal(pt.shape, rng, pt)
    phi = kinematics.wrap(true_phi + s.jet_angle * normal(pt.shape, rng, pt))
    mass = kinematics.mass(truth.jets) * (pt / true_pt) * _lognormal(s.jet_mass, pt, rng)
    tag = torch.full_like(pt, s.light_mistag)
    tag[truth.jet_flavour == CHARM] = s.charm_mistag
    tag = tag * shifts.mistag
    bottom = torch.full_like(pt, s.btag_efficiency) * shifts.btag_efficiency
    tag = torch.where(truth.jet_flavour == BOTTOM, bottom, tag)
    btag = (uniform(pt.shape, rng, pt) < tag) & (eta.abs() < s.btag_max_eta)
    found = uniform(pt.shape, rng, pt) < s.jet_efficiency
    mask = truth.jet_mask & (true_pt > s.jet_threshold) & found & (pt > s.jet_min_pt) & (eta.abs() < s.jet_max_eta)
    return Objects(torch.stack([pt, eta, phi, mass, btag.to(pt.dtype)], dim=-1), mask, JET_FEATURES)
