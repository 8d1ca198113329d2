"""The transfermer: exactly normalised over what is accepted, causal, and right where the density of a set is known."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from set_toys import Independent, TwoJets
from torch import Tensor

from bmem.errors import InputError
from bmem.events.observation import Layout
from bmem.events.target import Tag, Target
from bmem.networks.contract import negative_log_likelihood
from bmem.networks.densities.transfermer import TransfermerSettings
from bmem.networks.transfermer import Transfermer
from bmem.training import TrainingSettings, train

SETTINGS = TransfermerSettings(width=16, heads=2, blocks=1, hidden=24, layers=2, bins=4)
TARGET = Target(1, 3, 4, fewest=1, falling=True, tag=Tag(1, 0.25, 0.75, 1))
"""A value, then one to three objects (falling, edge, circle, tag) of which one at least is tagged."""
CONDITION = Layout(1, 2, 2)
TOYS = {"independent": Independent(), "two jets": TwoJets()}


def conditions(n: int, seed: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    values, objects = torch.randn(n, 1, generator=rng).double(), torch.randn(n, 2, 2, generator=rng).double()
    return CONDITION.pack(values, objects, torch.rand(n, 2, generator=rng) < 0.7)


def random_network(seed: int = 3) -> Transfermer:
    network = Transfermer(TARGET, (False, False, False, True, False), CONDITION, SETTINGS).double()
    rng = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / parameter.shape[-1] ** 0.5
    return network


def drawn(network: Transfermer, n: int = 400, seed: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, conditions, log-densities."""
    condition = conditions(n)
    with torch.no_grad():
        rows, log_density = network.sample(condition, torch.Generator().manual_seed(seed))
    return rows, condition, log_density


def row(*objects: tuple[float, float, float, float]) -> Tensor:
    """One event with value 0.4, [1, width]."""
    return TARGET.pack(torch.full((1, 1), 0.4).double(), torch.tensor([objects]).double(), torch.ones(1, len(objects)))


def test_events_carry_their_own_density_and_are_as_the_target_says() -> None:
    network = random_network()
    rows, condition, log_density = drawn(network, 2000)
    with torch.no_grad():
        torch.testing.assert_close(network.log_prob(rows, condition), log_density, rtol=1e-9, atol=1e-9)
    _, objects, mask = TARGET.unpack(rows)
    there, (v, edge, _, tag) = mask > 0.5, objects.unbind(-1)
    assert set(mask.sum(-1).tolist()) == {1, 2, 3}
    assert ((v[:, 1:] <= v[:, :-1]) | ~there[:, 1:]).all()
    assert ((edge >= 0.25) & (edge <= 0.75))[tag > 0.5].all()
    assert ((tag > 0.5) & there).any(-1).all()
    assert 0.05 < (tag[there] < 0.5).double().mean() < 0.95
    assert not objects[~there].any()


def test_sums_to_one_over_numbers_tags_and_coordinates() -> None:
    """Half of the events from a uniform density u over numbers, tags and the ordered box, half drawn: their density is
    q = (u + p) / 2, and the mean of p / q, which is at most 2, within 4.26 standard errors of 1: false-alarm rate 2e-5 each.
    """
    n = 20_000
    for seed in (3, 4):
        network, rng = random_network(seed), torch.Generator().manual_seed(seed)
        count = torch.randint(1, 4, (n, 1), generator=rng)
        there = torch.arange(3) < count
        objects = torch.rand(n, 3, 4, generator=rng, dtype=torch.float64)
        objects[..., 0] = torch.where(there, objects[..., 0], 0.0).sort(-1, descending=True).values
        objects[..., -1] = (objects[..., -1] < 0.5).double()
        uniform = TARGET.pack(torch.rand(n, 1, generator=rng, dtype=torch.float64), objects, there)
        condition = conditions(n, seed)
        with torch.no_grad():
            rows = torch.cat([uniform, network.sample(condition, rng)[0]])
            density = network.log_prob(rows, condition.repeat(2, 1)).exp()
        count = TARGET.unpack(rows)[2].sum(-1)
        weight = density / (0.5 * density + 0.5 * torch.lgamma(count + 1).exp() / (3 * 2**count))
        assert (weight.mean() - 1).abs() < 4.26 * weight.std() / (2 * n) ** 0.5


IMPOSSIBLE = {
    "rising": row((0.5, 0.5, 0.5, 1), (0.6, 0.5, 0.5, 1)),
    "without a tag": row((0.5, 0.5, 0.5, 0), (0.4, 0.5, 0.5, 0)),
    "only object beyond the range of tags": row((0.5, 0.1, 0.5, 0)),
    "last chance beyond the range of tags": row((0.5, 0.5, 0.5, 0), (0.4, 0.8, 0.5, 1)),
    "tag beyond the range": row((0.5, 0.1, 0.5, 1), (0.4, 0.5, 0.5, 1)),
    "beyond the edge": row((0.5, 1.1, 0.5, 0), (0.4, 0.5, 0.5, 1)),
    "no object": TARGET.pack(torch.full((1, 1), 0.4).double(), torch.zeros(1, 0, 4).double(), torch.zeros(1, 0)),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_is_not_accepted_has_no_density(name: str) -> None:
    network = random_network()
    assert network.log_prob(IMPOSSIBLE[name], conditions(1)) == -torch.inf
    assert torch.isfinite(network.log_prob(row((0.5, 0.1, 0.5, 0), (0.4, 0.5, 0.5, 1)), conditions(1)))


EDGES = {
    "at the threshold": row((0.5, 0.5, 0.5, 1), (0.0, 0.5, 0.5, 0)),
    "both at the threshold": row((0.0, 0.5, 0.5, 1), (0.0, 0.5, 0.5, 0)),
    "equally high": row((0.5, 0.5, 0.5, 1), (0.5, 0.5, 0.5, 0)),
    "at the top": row((1.0, 0.5, 0.5, 1)),
    "at both ends of the edge": row((0.5, 0.0, 0.5, 0), (0.4, 1.0, 0.5, 0), (0.3, 0.5, 0.5, 1)),
    "at the ends of the range of tags": row((0.5, 0.25, 0.5, 1), (0.4, 0.75, 0.5, 1)),
    "at the seam of the circle": row((0.5, 0.5, 0.0, 1), (0.4, 0.5, 1.0, 1)),
}


@pytest.mark.parametrize("name", EDGES)
def test_gradients_are_finite_at_the_edges(name: str) -> None:
    network, at, condition = random_network(), EDGES[name].clone().requires_grad_(), conditions(1).requires_grad_()
    log_density = network.log_prob(at, condition)
    log_density.sum().backward()
    assert torch.isfinite(log_density).all()
    for value in (*network.parameters(), at, condition):
        assert value.grad is None or torch.isfinite(value.grad).all()


def test_the_circle_closes() -> None:
    network = random_network()
    left, right = (row((0.5, 0.5, phi, 1), (0.4, 0.5, 0.3, 0)) for phi in (1e-10, 1 - 1e-10))
    found, expected = network.log_prob(left, conditions(1)), network.log_prob(right, conditions(1))
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=0)


def test_an_object_knows_only_those_before() -> None:
    network = random_network()
    rows, condition, _ = drawn(network)
    values, objects, mask = TARGET.unpack(rows)
    whole = network.log_terms(rows, condition)
    for place in range(1, 3):
        changed = objects.clone()
        changed[:, place:, 0] *= 0.5
        changed[:, place:, 2] = 1 - changed[:, place:, 2]
        terms = network.log_terms(TARGET.pack(values, changed, mask), condition)
        torch.testing.assert_close(terms[:, : 2 + place], whole[:, : 2 + place], rtol=1e-12, atol=1e-12)
        assert not torch.allclose(terms[:, 2 + place :], whole[:, 2 + place :])


def test_is_uniform_on_what_is_accepted_at_first() -> None:
    """One object (v, e, circle, tag): v within (0, 1), e within (1/4, 3/4) as it must be tagged, three equal numbers."""
    network = Transfermer(TARGET, (False, False, False, True, False), CONDITION, SETTINGS).double()
    log_density = network.log_prob(row((0.3, 0.5, 0.5, 1)), conditions(1))
    torch.testing.assert_close(log_density.exp(), torch.tensor([2 / 3], dtype=torch.float64))


@cache
def distance(toy: str, events: int) -> float:
    """Mean of log p_exact - log p_learned over 4000 events that were not trained on."""
    problem = TOYS[toy]
    network = Transfermer(problem.target, problem.circular, problem.condition, SETTINGS)
    rows, condition = (part.float() for part in problem.sample(events, 1))
    network.fit_features(condition)
    settings = TrainingSettings(epochs=12, batch_size=100, learning_rate=6e-3)
    train(network, negative_log_likelihood, (rows, condition), settings, seed=1)
    rows, condition = problem.sample(4000, 2)
    with torch.no_grad():
        return (problem.log_prob(rows, condition) - network.double().log_prob(rows, condition)).mean().item()


LARGEST = {"independent": 0.055, "two jets": 0.19}
"""Distance after 5000 events: half as much again as when written (0.037 ± 0.004, 0.129 ± 0.008), after seconds of training;
it was 0.080 and 0.298 after 800 events, and is 0.78 and 1.42 without training."""


@pytest.mark.parametrize("toy", TOYS)
def test_learns_a_density_of_sets_that_is_known(toy: str) -> None:
    """The second is a sum over which jet is the b, and has a condition (a tag) on the event."""
    assert distance(toy, 5000) < LARGEST[toy]
    assert distance(toy, 5000) < 0.7 * distance(toy, 800)


REFUSED = {
    "between fewest = 3 and objects = 2": lambda: Target(0, 2, 3, fewest=3),
    "there are as many objects as tags": lambda: Target(0, 2, 3, fewest=1, tag=Tag(1, 0, 1, fewest=2)),
    "its feature comes before the tag": lambda: Target(0, 2, 3, tag=Tag(2, 0, 1)),
    "needs 5 flags": lambda: Transfermer(TARGET, (False, True), CONDITION),
    "can be a circle": lambda: Transfermer(TARGET, (False, False, True, False, False), CONDITION),
    "no multiple of heads": lambda: TransfermerSettings(width=10, heads=4),
    "bins must be at least 1": lambda: TransfermerSettings(bins=0),
    "beyond the 3 places": lambda: TARGET.pack(torch.ones(1, 1), torch.ones(1, 4, 4), torch.ones(1, 4)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_is_refused(message: str) -> None:
    with pytest.raises(InputError, match=message):
        REFUSED[message]()
