"""The defensive mixture."""

import pytest
import torch

from bmem.errors import InputError
from bmem.networks.contract import ConditionalDensity
from bmem.networks.mixture import DefensiveMixture, Uniform


class Narrow(ConditionalDensity):
    """Uniform on [0, 0.01]^2, 0 elsewhere: a density that misses most of the cube."""

    noise_dim = 2

    def log_prob(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        inside = (x < 0.01).all(dim=-1)
        return torch.where(inside, 2 * torch.log(torch.tensor(100.0, dtype=x.dtype)), -torch.inf)

    def from_noise(self, noise: torch.Tensor, condition: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = 0.01 * noise
        return x, self.log_prob(x, condition)


def test_weights_are_bounded_and_integrate_what_the_density_misses() -> None:
    """∫ 1 du = 1 is estimated with weights of at most 1/0.1; 5 standard deviations, false-alarm rate 6e-7."""
    mixture = DefensiveMixture(Narrow(), Uniform(2), 0.1)
    condition = torch.zeros(20_000, 0, dtype=torch.float64)
    x, log_q = mixture.sample(condition, torch.Generator().manual_seed(1))
    weight = (-log_q).exp()
    assert weight.max().item() <= 10 * (1 + 1e-12)
    assert weight.mean().item() == pytest.approx(1, abs=5 * weight.std().item() / 20_000**0.5)
    torch.testing.assert_close(mixture.log_prob(x, condition), log_q)


def test_the_first_noise_coordinate_selects() -> None:
    mixture = DefensiveMixture(Narrow(), Uniform(2), 0.1)
    noise = torch.tensor([[0.099, 0.5, 0.5], [0.101, 0.5, 0.5]], dtype=torch.float64)
    x, _ = mixture.from_noise(noise, torch.zeros(2, 0))
    torch.testing.assert_close(x[:, 0], torch.tensor([0.5, 0.005], dtype=torch.float64))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_a_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="defensive fraction"):
        DefensiveMixture(Narrow(), Uniform(2), fraction)
