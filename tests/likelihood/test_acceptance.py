"""The learned acceptance: a probability of x_hard, in double precision whatever the network works in."""

from __future__ import annotations

import pytest
import torch
from thj_pairs import hard_points, wrapped
from torch import Tensor

from bmem.channels.thj.coordinates import ThjReco
from bmem.likelihood.acceptance import AcceptanceNetwork
from bmem.networks.classifier import MLPClassifier
from bmem.replicas import Replicas


def network(dtype: torch.dtype = torch.float32, seed: int = 1) -> AcceptanceNetwork:
    residuals, rng = ThjReco(), torch.Generator().manual_seed(seed)
    result = AcceptanceNetwork(residuals, MLPClassifier(residuals.n_features, 16, 2).to(dtype)).eval()
    result.classifier.features.fit(residuals.features(hard_points(500, rng)))
    for parameter in result.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=rng).to(dtype)
    return result


def points(n: int = 200) -> Tensor:
    return hard_points(n, torch.Generator().manual_seed(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_probabilities_are_double_and_vary(dtype: torch.dtype) -> None:
    with torch.no_grad():
        probability = network(dtype).probability(points())
    assert probability.dtype == torch.float64
    assert probability.shape == (200,)
    assert ((probability > 0) & (probability < 1)).all()
    assert probability.std() > 0.1


def test_precision_of_the_network_does_not_matter() -> None:
    single = network()
    with torch.no_grad():
        expected = single.probability(points())
        found = network(torch.float64)
        found.load_state_dict({name: value.double() for name, value in single.state_dict().items()})
        torch.testing.assert_close(found.probability(points()), expected, rtol=1e-4, atol=1e-6)


def test_acceptance_has_the_symmetries_of_beams_and_detector() -> None:
    """Turned by any angle, reflected in φ, reflected along the beam: the same, to the precision of the network."""
    net, x = network(), points()
    turned, mirrored, swapped = x.clone(), x.clone(), x.clone()
    turned[:, [1, 4]] = wrapped(x[:, [1, 4]] + 2.0)
    mirrored[:, [1, 4]] *= -1
    swapped[:, [2, 5, 6]] *= -1
    with torch.no_grad():
        for other in (turned, mirrored, swapped):
            torch.testing.assert_close(net.logit(other), net.logit(x), rtol=1e-4, atol=1e-4)


def test_replicas_are_evaluated_in_one_call() -> None:
    first, second = network(seed=1), network(seed=3)
    with torch.no_grad():
        both = Replicas.of(first, second)("probability", points())
        alone = torch.stack([one.probability(points()) for one in (first, second)])
    torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(both[0], both[1], atol=0.01)
