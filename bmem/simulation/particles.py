"""From generated particles to what reaches the detector: photons of the signal, anti-kt jets and their flavour.

Particles come as awkward arrays in the layout of Pythia's event record: per event a list of records with ``id``, ``status``
(positive if final), ``mother1`` (index within the event) and four-momentum ``p``.
"""

from __future__ import annotations

import awkward as ak
import fastjet
import numpy as np
import torch
from torch import Tensor

from bmem import kinematics
from bmem.simulation.decays import BOTTOM, CHARM, LIGHT
from bmem.simulation.detector import TruthEvents
from bmem.simulation.settings import DetectorSettings

_NEUTRINOS = (12, 14, 16)
_PHOTON = 22
_MIN_HADRON_PT = 5.0
"""Heavy hadrons softer than this (GeV) give a jet no flavour: the usual convention of ATLAS and CMS."""


def truth_events(particles: ak.Array, settings: DetectorSettings, resonance: int) -> TruthEvents:
    """Cluster the visible final-state particles of each event and pick out the photons of the ``resonance`` (its code)."""
    signal_photon = photons_of(particles, resonance)
    code = np.abs(particles.id)
    visible = (particles.status > 0) & ~signal_photon
    for neutrino in _NEUTRINOS:
        visible = visible & (code != neutrino)
    photons, photon_mask = _padded(particles.p[signal_photon])
    rest, rest_mask = _padded(particles.p[visible])
    jets, jet_mask = _padded(cluster(particles.p[visible], settings))
    flavour = torch.full_like(jet_mask, LIGHT, dtype=torch.int64)
    for quark in (CHARM, BOTTOM):
        hadrons, hadron_mask = _padded(particles.p[contains(particles.id, quark)])
        hadron_mask &= kinematics.pt(hadrons) > _MIN_HADRON_PT
        flavour[has_nearest(jets, jet_mask, hadrons, hadron_mask, settings.jet_radius)] = quark
    near = _distance(photons, rest) < settings.isolation_cone
    activity = (near * (kinematics.pt(rest) * rest_mask)[:, None, :]).sum(-1)
    return TruthEvents(photons, photon_mask, activity, jets, jet_mask, flavour)


def photons_of(particles: ak.Array, resonance: int) -> ak.Array:
    """Which particles are final photons that descend from the ``resonance`` through photons only (per event, bool)."""
    counts = ak.to_numpy(ak.num(particles.id))
    first = np.repeat(np.cumsum(counts) - counts, counts)
    code, status = ak.to_numpy(ak.flatten(particles.id)), ak.to_numpy(ak.flatten(particles.status))
    mother = ak.to_numpy(ak.flatten(particles.mother1)) + first
    final = np.flatnonzero((code == _PHOTON) & (status > 0))
    ancestor = mother[final]
    while (copies := code[ancestor] == _PHOTON).any():
        ancestor[copies] = mother[ancestor[copies]]
    chosen = np.zeros(len(code), dtype=bool)
    chosen[final[code[ancestor] == resonance]] = True
    return ak.unflatten(chosen, counts)


def contains(code: ak.Array, quark: int) -> ak.Array:
    """Which particle codes are hadrons with a quark of this flavour (PDG numbering scheme: the digits n_q1 n_q2 n_q3)."""
    code = np.abs(code)
    digits = [code // 1000 % 10, code // 100 % 10, code // 10 % 10]
    hadron = (code > 100) & (code < 1_000_000) & (digits[1] > 0) & (digits[2] > 0)
    return hadron & ((digits[0] == quark) | (digits[1] == quark) | (digits[2] == quark))


def cluster(momenta: ak.Array, settings: DetectorSettings) -> ak.Array:
    """Anti-kt jets (Cacciari, Salam, Soyez, JHEP 04 (2008) 063) of the particles within the detector's reach."""
    inside = np.abs(momenta.pz) < np.sinh(settings.jet_max_eta) * np.hypot(momenta.px, momenta.py)
    inputs = ak.zip({"px": momenta.px, "py": momenta.py, "pz": momenta.pz, "E": momenta.e}, with_name="Momentum4D")[inside]
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, settings.jet_radius)
    fastjet.ClusterSequenceArea.set_fastjet_banner_stream(None)  # of all sequences: this class is FastJet's own
    jets = fastjet.ClusterSequence(inputs, definition).inclusive_jets(min_pt=settings.jet_threshold)
    return ak.zip({"px": jets.px, "py": jets.py, "pz": jets.pz, "e": jets.E})


def has_nearest(jets: Tensor, jet_mask: Tensor, hadrons: Tensor, hadron_mask: Tensor, radius: float) -> Tensor:
    """Which jets [N, J] are the nearest jet, within ``radius``, to at least one of the hadrons [N, H, 4]."""
    if jets.shape[1] == 0:
        return jet_mask
    both = jet_mask[:, :, None] & hadron_mask[:, None, :]
    distance = torch.where(both, _distance(jets, hadrons), torch.inf)
    nearest = torch.zeros_like(both).scatter_(1, distance.argmin(dim=1, keepdim=True), True)
    return (nearest & (distance < radius)).any(-1)


def _distance(first: Tensor, second: Tensor) -> Tensor:
    """ΔR [N, n, m] between four-vectors [N, n, 4] and [N, m, 4]; not a number for padding."""
    eta, phi = kinematics.eta(first)[:, :, None], kinematics.phi(first)[:, :, None]
    return kinematics.delta_r(eta, phi, kinematics.eta(second)[:, None], kinematics.phi(second)[:, None])


def _padded(momenta: ak.Array) -> tuple[Tensor, Tensor]:
    """Four-vectors [N, n, 4] with zeros where an event has fewer than the most, and the mask [N, n]."""
    counts = ak.to_numpy(ak.num(momenta.px))
    most = int(counts.max(initial=0))
    mask = np.arange(most) < counts[:, None]
    padded = np.zeros((*mask.shape, 4))
    for i, name in enumerate(("e", "px", "py", "pz")):
        padded[mask, i] = ak.to_numpy(ak.flatten(momenta[name]))
    return torch.from_numpy(padded), torch.from_numpy(mask)
