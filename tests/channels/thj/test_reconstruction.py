"""Roles of jets and observables on events built by hand, where the answer is known."""

import math

import pytest
import torch
from torch import Tensor

from bmem import kinematics as kin
from bmem.channels.thj.reconstruction import OBSERVABLES, Reconstruction
from bmem.errors import InputError
from bmem.events.record import JET_FEATURES, PHOTON_FEATURES, Objects, RecoEvents


def two_body(parent: Tensor, m1: float, m2: float, direction: Tensor) -> tuple[Tensor, Tensor]:
    mass = kin.mass(parent)
    e1 = (mass**2 + m1**2 - m2**2) / (2 * mass)
    p = torch.sqrt(e1**2 - m1**2)[..., None] * direction
    first = torch.cat([e1[..., None], p], -1)
    second = torch.cat([(mass - e1)[..., None], -p], -1)
    return kin.boost(first, parent), kin.boost(second, parent)


def direction(n: int, rng: torch.Generator) -> Tensor:
    v = torch.randn(n, 3, generator=rng, dtype=torch.float64)
    return v / v.norm(dim=-1, keepdim=True)


def perfect_events(n: int = 200) -> tuple[RecoEvents, dict[str, Tensor]]:
    """Events measured without error: H, t and j at known momenta, jets ordered by pT, the b jet tagged."""
    rng = torch.Generator().manual_seed(5)
    u = torch.rand(n, 8, generator=rng, dtype=torch.float64)
    higgs = kin.from_pt_y_phi(60 + 100 * u[:, 0], 2 * u[:, 1] - 1, 6 * u[:, 2] - 3, 125.0)
    top = kin.from_pt_y_phi(60 + 100 * u[:, 3], 2 * u[:, 4] - 1, 6 * u[:, 5] - 3, 172.5)
    light = kin.from_pt_y_phi(30 + 100 * u[:, 6], 2 + 2 * u[:, 7], 0 * u[:, 0], 0.0)
    photons = torch.stack(two_body(higgs, 0.0, 0.0, direction(n, rng)), 1)
    w, b = two_body(top, 80.4, 0.0, direction(n, rng))
    jets = torch.stack([b, *two_body(w, 0.0, 0.0, direction(n, rng)), light], 1)
    return RecoEvents({"photons": photon_objects(photons), "jets": jet_objects(jets)}), {
        "H": higgs,
        "t": top,
        "j": light,
        "W": w,
    }


def ordered(p: Tensor, *columns: Tensor) -> Tensor:
    features = torch.stack([kin.pt(p), kin.eta(p), kin.phi(p), *columns], -1)
    order = features[..., 0].argsort(-1, descending=True)
    return torch.take_along_dim(features, order[..., None], 1)


def photon_objects(p: Tensor) -> Objects:
    return Objects(ordered(p, torch.ones_like(p[..., 0])), torch.ones(p.shape[:2], dtype=torch.bool), PHOTON_FEATURES)


def jet_objects(p: Tensor) -> Objects:
    tag = torch.zeros_like(p[..., 0])
    tag[:, 0] = 1
    return Objects(ordered(p, kin.mass(p), tag), torch.ones(p.shape[:2], dtype=torch.bool), JET_FEATURES)


def test_perfect_measurement_gives_back_the_momenta() -> None:
    reco, truth = perfect_events()
    x = dict(zip(OBSERVABLES, Reconstruction()(reco).unbind(-1), strict=True))
    right = (x["m_t"] - 172.5).abs() < 1e-3
    assert right.double().mean() > 0.97, "a wrong triplet rarely fits both masses better than the right one"
    for name, expected in {
        "pt_H": kin.pt(truth["H"]),
        "y_H": kin.rapidity(truth["H"]),
        "pt_j": kin.pt(truth["j"]),
        "eta_j": kin.eta(truth["j"]),
        "px_t": truth["t"][:, 1],
        "py_t": truth["t"][:, 2],
        "y_t": kin.rapidity(truth["t"]),
    }.items():
        torch.testing.assert_close(x[name][right], expected[right], rtol=1e-4, atol=1e-4)
    assert kin.wrap(x["phi_H"] - kin.phi(truth["H"])).abs().max() < 1e-6
    assert math.isclose(float(x["m_W"][right].median()), 80.4, rel_tol=1e-4)


def test_masked_jets_take_no_role() -> None:
    reco, _ = perfect_events(50)
    wider = RecoEvents(
        {
            "photons": reco.photons,
            "jets": Objects(
                torch.nn.functional.pad(reco.jets.features, (0, 0, 0, 3)),
                torch.nn.functional.pad(reco.jets.mask, (0, 3)),
                JET_FEATURES,
            ),
        }
    )
    torch.testing.assert_close(Reconstruction()(wider), Reconstruction()(reco))


def test_event_without_b_jet_is_named() -> None:
    reco, _ = perfect_events(4)
    reco.jets.features[2, :, JET_FEATURES.index("btag")] = 0
    with pytest.raises(InputError, match=r"event 2: no b-tagged jet"):
        Reconstruction()(reco)


def test_b_jet_beyond_the_leading_jets_still_takes_part() -> None:
    reco, _ = perfect_events(30)
    jets = reco.jets.features.clone()
    tag = JET_FEATURES.index("btag")
    soft = jets[torch.arange(30), jets[..., tag].argmax(-1)] * torch.tensor([0.01, 1, 1, 1, 1])
    light = jets.clone()
    light[..., tag] = 0
    features = torch.cat([light, light * torch.tensor([0.5, 1, 1, 1, 1]), soft[:, None]], 1)
    many = Objects(features, torch.ones(features.shape[:2], dtype=torch.bool), JET_FEATURES)
    candidates = Reconstruction(max_jets=6).candidates(many)
    torch.testing.assert_close(candidates.features[:, 5], soft)
    torch.testing.assert_close(candidates.features[:, :5], features[:, :5])
