"""tHj as a set of objects: coordinates on the cube, their Jacobian and symmetries, and a density that keeps to the cuts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bmem.channels.thj import channel as thj
from bmem.channels.thj.objects import PHOTONS, ThjObjects
from bmem.channels.thj.settings import SelectionSettings, ThjSettings
from bmem.errors import ConfigError, InputError
from bmem.events.record import HardEvents, Objects, RecoEvents
from bmem.likelihood.density import ResidualDensity
from bmem.networks.contract import negative_log_likelihood
from bmem.networks.densities.coupling import CouplingSettings
from bmem.networks.densities.transfermer import TransfermerSettings
from bmem.replicas import Ensemble
from bmem.training import TrainingSettings

CUTS = SelectionSettings(min_jets=2)
OBJECTS = ThjObjects(CUTS, max_jets=4)
SMALL = TransfermerSettings(width=16, heads=2, blocks=1, hidden=16, layers=1, bins=4)


@pytest.fixture(scope="module")
def pairs() -> tuple[Tensor, Tensor]:
    """Observations and x_hard of selected events of the parametric response."""
    rng = torch.Generator().manual_seed(1)
    channel = thj.ThjChannel(ThjSettings(selection=CUTS))
    n = 3000
    x = torch.stack(
        [
            20 + 150 * torch.rand(n, generator=rng),
            math.pi * (2 * torch.rand(n, generator=rng) - 1),
            2 * torch.rand(n, generator=rng) - 1,
            25 + 100 * torch.rand(n, generator=rng),
            math.pi * (2 * torch.rand(n, generator=rng) - 1),
            6 * torch.rand(n, generator=rng) - 3,
            2 * torch.rand(n, generator=rng) - 1,
        ],
        -1,
    ).double()
    hard = HardEvents(x, torch.zeros(n, 1).double(), torch.ones(n).double())
    reco = channel.response(hard, rng)
    accepted = channel.selection.accept(reco)
    return OBJECTS.observe(channel.selection.keep_objects(reco[accepted])), x[accepted]


def test_there_and_back(pairs: tuple[Tensor, Tensor]) -> None:
    rows, x_hard = pairs
    assert len(rows) > 500
    cube, log_jacobian = OBJECTS.forward(rows, x_hard)
    assert torch.isfinite(log_jacobian).all()
    assert ((cube >= 0) & (cube <= 1)).all()
    again, log_back = OBJECTS.inverse(cube, x_hard)
    torch.testing.assert_close(again, rows, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(log_back, -log_jacobian, rtol=1e-5, atol=1e-5)


def test_the_jacobian_is_that_of_autograd(pairs: tuple[Tensor, Tensor]) -> None:
    """Of the numbers that are there and are no tags; an event of each number of jets."""
    rows, x_hard = pairs
    count = OBJECTS.target.unpack(rows)[2].sum(-1)
    for n in (2, 3, 4):
        event = int((count == n).nonzero()[0])
        kept = [i for i in range(PHOTONS + 5 * n) if i < PHOTONS or (i - PHOTONS) % 5 != 4]
        row, hard = rows[event], x_hard[event]

        def moved(values: Tensor, row: Tensor = row, hard: Tensor = hard, kept: list[int] = kept) -> Tensor:
            return OBJECTS.forward(row.index_copy(0, torch.tensor(kept), values), hard)[0][kept]

        matrix = torch.autograd.functional.jacobian(moved, row[kept])
        torch.testing.assert_close(matrix.slogdet().logabsdet, OBJECTS.forward(row, hard)[1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("symmetry", ["rotation", "beams", "reflection"])
def test_symmetric_events_are_the_same_on_the_cube(pairs: tuple[Tensor, Tensor], symmetry: str) -> None:
    rows, x_hard = (part.clone() for part in pairs)
    before = OBJECTS.forward(rows, x_hard)
    etas, phis = [1, 4, *range(7, 26, 5)], [2, 5, *range(8, 26, 5)]
    empty = OBJECTS.target.unpack(rows)[2] < 0.5
    if symmetry == "beams":
        rows[:, etas] *= -1
        x_hard[:, [2, 5, 6]] *= -1
    else:
        sign, shift = (1, 1.3) if symmetry == "rotation" else (-1, 0.0)
        rows[:, phis] = sign * rows[:, phis] + shift
        rows[:, phis[2:]] = torch.where(empty, 0.0, rows[:, phis[2:]])
        x_hard[:, [1, 4]] = sign * x_hard[:, [1, 4]] + shift
    torch.testing.assert_close(OBJECTS.forward(rows, x_hard), before, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(OBJECTS.features(x_hard), OBJECTS.features(pairs[1]), rtol=1e-8, atol=1e-8)


def test_photons_are_seen_in_units_of_their_resolution(pairs: tuple[Tensor, Tensor]) -> None:
    """Half of the events fill at least a tenth of each photon's residual, not a thousandth."""
    cube = OBJECTS.forward(*pairs)[0]
    for column in (2, 3, 5):
        low, high = cube[:, column].quantile(torch.tensor([0.25, 0.75]).double())
        assert high - low > 0.1


def test_a_learned_density_keeps_to_the_cuts_and_has_replicas(pairs: tuple[Tensor, Tensor]) -> None:
    """Three networks on resampled pairs; what each draws passes the selection, and carries its own density."""
    rows, x_hard = pairs
    density = ResidualDensity(OBJECTS, SMALL)
    density.fit_scales(rows, x_hard)
    ensemble = Ensemble(3)
    before = -negative_log_likelihood(density, (rows[:200], x_hard[:200]))
    ensemble.fit(density, negative_log_likelihood, (rows, x_hard), TrainingSettings(3, 100, 3e-3), seed=1)
    replicas = ensemble.sample(3, torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = replicas("log_prob", rows[:200], x_hard[:200])
        noise = torch.rand(200, density.noise_dim, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        drawn, log_density = replicas("from_noise", noise, x_hard[:200])
    assert found.shape == (3, 200)
    assert (found.mean(-1) > before + 1).all()
    assert (found.std(0) > 0).all()
    for r, module in enumerate(ensemble.modules):
        with torch.no_grad():
            again = module.log_prob(drawn[r], x_hard[:200])
        # The network works in single precision: a narrow bin of a spline feels the rounding of its coordinate.
        assert ((again - log_density[r]).abs() < 1e-2).double().mean() > 0.98
        assert selected(drawn[r]).all()


def test_gradients_are_finite_at_the_edges(pairs: tuple[Tensor, Tensor]) -> None:
    """Photons and jets at their thresholds, jets of equal pT, η at the cut, φ = ±π, no mass: the density is there."""
    rows, x_hard = pairs
    event = int((OBJECTS.target.unpack(rows)[2].sum(-1) == 4).nonzero()[0])
    values, jets, mask = (part[event : event + 1].clone() for part in OBJECTS.target.unpack(rows))
    values[0] = torch.tensor([35.0, CUTS.photon_eta, math.pi, 35.0, -CUTS.photon_eta, -math.pi])
    jets[0, :, 0] = torch.tensor([60.0, 60.0, 25.0, 25.0])
    jets[0, :, 1] = torch.tensor([CUTS.jet_eta, -CUTS.jet_eta, CUTS.btag_eta, 0.0])
    jets[0, :, 2] = torch.tensor([math.pi, -math.pi, 0.0, 1.0])
    jets[0, :, 3] = 0.0
    jets[0, :, 4] = torch.tensor([0.0, 0.0, 1.0, 0.0])
    row = OBJECTS.target.pack(values, jets, mask).requires_grad_()
    hard = x_hard[event : event + 1].clone().requires_grad_()
    density = ResidualDensity(OBJECTS, SMALL)
    density.reset(torch.Generator().manual_seed(1))
    log_density = density.log_prob(row, hard)
    log_density.sum().backward()
    assert torch.isfinite(log_density).all()
    for value in (row, hard, *density.parameters()):
        assert value.grad is None or torch.isfinite(value.grad).all()


BEYOND = {
    "leading photon": (0, 34.9),
    "photon beyond its cut": (1, 2.51),
    "second photon harder than the first": (3, 500.0),
    "jet below its threshold": (PHOTONS, 24.9),
    "jet beyond its cut": (PHOTONS + 1, 4.71),
    "mass": (PHOTONS + 3, -0.1),
}


@pytest.mark.parametrize("name", BEYOND)
def test_there_is_no_density_beyond_the_cuts(pairs: tuple[Tensor, Tensor], name: str) -> None:
    column, value = BEYOND[name]
    row = pairs[0][:1].clone()
    row[0, column] = value
    assert ResidualDensity(OBJECTS, SMALL).log_prob(row, pairs[1][:1]) == -torch.inf


def selected(rows: Tensor) -> Tensor:
    """Whether the selection accepts observations as events, with all of their jets."""
    values, jets, mask = OBJECTS.target.unpack(rows)
    there = mask > 0.5
    photons = torch.cat([values.reshape(-1, 2, 3), torch.ones(len(rows), 2, 1).double()], -1)
    every = torch.ones(len(rows), 2, dtype=torch.bool)
    reco = RecoEvents(
        {
            "photons": Objects(photons, every, ("pt", "eta", "phi", "isolated")),
            "jets": Objects(jets, there, ("pt", "eta", "phi", "mass", "btag")),
        }
    )
    selection = thj.Selection(CUTS)
    return selection.accept(reco) & (selection.keep_objects(reco).jets.mask.sum(-1) == there.sum(-1))


def test_events_that_cannot_be_observed_are_refused(pairs: tuple[Tensor, Tensor]) -> None:
    photons = Objects(torch.ones(2, 2, 4), torch.ones(2, 2, dtype=torch.bool), ("pt", "eta", "phi", "isolated"))

    def event(*numbers: int) -> RecoEvents:
        mask = torch.arange(6) < torch.tensor(numbers).unsqueeze(-1)
        jets = Objects(torch.ones(2, 6, 5), mask, ("pt", "eta", "phi", "mass", "btag"))
        return RecoEvents({"photons": photons, "jets": jets})

    with pytest.raises(InputError, match=r"event 1 has 2 photons and 0 jets.*apply the selection first"):
        OBJECTS.observe(event(3, 0))
    with pytest.raises(InputError, match=r"event 0 has 6 objects, some of them beyond the 4 places.*select fewer"):
        OBJECTS.observe(event(6, 3))
    with pytest.raises(InputError, match=r"max_jets = 1 is less than the 2 jets"):
        ThjObjects(CUTS, max_jets=1)
    rows, x_hard = pairs
    few = OBJECTS.target.unpack(rows)[2].sum(-1) < 4
    with pytest.raises(InputError, match="no event of the training has more than 3 objects"):
        ResidualDensity(OBJECTS, SMALL).fit_scales(rows[few], x_hard[few])
    with pytest.raises(ConfigError, match="no broad component"):
        ResidualDensity(OBJECTS, SMALL, defensive=0.1)
    with pytest.raises(ConfigError, match="'coupling' reads numbers, not sets of objects"):
        ResidualDensity(OBJECTS, CouplingSettings())
