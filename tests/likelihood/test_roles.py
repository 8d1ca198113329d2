"""Roles: each builds its network, fits its scales and names its data; no other is needed to train it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bmem.channels.thj.coordinates import ObservedReco
from bmem.likelihood.coordinates import Difference
from bmem.likelihood.roles import Acceptance, LearnedBackground, Pairs, Proposal, Role, Transfer
from bmem.networks.classifiers.perceptron import PerceptronSettings
from bmem.networks.contract import cross_entropy, negative_log_likelihood
from bmem.networks.densities.coupling import CouplingSettings
from bmem.process.toy import LinearGaussian
from bmem.replicas import Replicas
from bmem.training import Supply, TrainingSettings

SMALL = CouplingSettings(blocks=2, hidden=6, layers=1, bins=3)
TRAINING = TrainingSettings(epochs=1, batch_size=50)
TOY = LinearGaussian()


def pairs() -> Pairs:
    """400 events of the toy, three in four accepted."""
    rng = torch.Generator().manual_seed(1)
    x_hard = TOY.sample(400, torch.zeros(1, dtype=torch.float64), rng).x
    accepted = torch.arange(400) % 4 > 0
    return Pairs(x_hard, accepted, TOY.response(x_hard[accepted], rng))


def toy_role(kind: str) -> Role:
    if kind == "transfer":
        return Transfer(kind, Difference(2), TRAINING, SMALL)
    if kind == "acceptance":
        return Acceptance(kind, Difference(2), TRAINING, PerceptronSettings(6, 1))
    return Proposal(kind, Difference(2), TRAINING, SMALL, 0.02, 150, TOY)


def prepared(kind: str) -> tuple[Role, torch.nn.Module, tuple[Tensor, ...]]:
    role, data = toy_role(kind), pairs()
    transfer = toy_role("transfer").build()
    transfer.fit_scales(*data.accepted_pairs)
    made = {"transfer": Replicas.of(transfer)}
    module = role.build()
    rows = role.prepare(module, data, {name: made[name] for name in role.follows})
    if isinstance(rows, Supply):
        rows = rows.draw(rows.rows, torch.Generator().manual_seed(2))
    return role, module, rows


@pytest.mark.parametrize(
    ("kind", "count", "posterior"), [("transfer", 300, True), ("acceptance", 400, True), ("proposal", 150, False)]
)
def test_a_role_prepares_what_its_objective_takes(kind: str, count: int, posterior: bool) -> None:
    role, module, rows = prepared(kind)
    assert {len(tensor) for tensor in rows} == {count}
    assert role.has_posterior is posterior
    assert torch.isfinite(role.objective(module, rows))


def test_objectives_are_those_of_densities_and_of_a_classifier() -> None:
    for kind, objective in {"transfer": negative_log_likelihood, "acceptance": cross_entropy}.items():
        role, module, rows = prepared(kind)
        assert torch.equal(role.objective(module, rows), objective(module, rows))


def test_the_proposal_sees_the_pairs_the_other_way_round() -> None:
    data = pairs()
    _, module, (x_hard, _) = prepared("proposal")
    assert set(map(tuple, x_hard.tolist())) <= set(map(tuple, data.x_hard[data.accepted].tolist()))
    assert module.seen(data.x_reco).all()


def test_a_background_is_trained_on_its_events_alone() -> None:
    role = LearnedBackground("background_b", ObservedReco(), TRAINING, SMALL)
    rng = torch.Generator().manual_seed(1)
    x = 30 + 100 * torch.rand(100, 11, generator=rng, dtype=torch.float64)
    module = role.build()
    rows = role.prepare(module, x, {})
    assert torch.equal(rows[0], x)
    assert rows[1].shape == (100, 0)
    assert torch.isfinite(role.objective(module, rows))
