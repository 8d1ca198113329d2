"""Learned densities of physical points: normalised in x itself, and equal for drawn and for given points."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from scipy import stats
from thj_pairs import JET_PT_MIN, hard_points, reco_points, wrapped
from torch import Tensor

from bmem.channels.thj.coordinates import ThjHard, ThjReco
from bmem.errors import InputError
from bmem.likelihood.coordinates import Difference, Residuals
from bmem.likelihood.density import ResidualDensity
from bmem.networks.coupling import CouplingSettings

FALSE_ALARM = 2e-5
LIMIT = stats.norm.isf(FALSE_ALARM / 2)
SMALL = CouplingSettings(blocks=4, hidden=12, layers=1, bins=5)


class Cylinder:
    """Residuals of (angle, number) given another such pair."""

    circular = (True, False)
    n_features = 3

    def forward(self, target: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        difference = target - reference
        return torch.stack([wrapped(difference[..., 0]), difference[..., 1]], -1), torch.zeros_like(target[..., 0])

    def inverse(self, residual: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        point = residual + reference
        return torch.stack([wrapped(point[..., 0]), point[..., 1]], -1), torch.zeros_like(residual[..., 0])

    def features(self, reference: Tensor) -> Tensor:
        phi, y = reference.unbind(-1)
        return torch.stack([torch.cos(phi), torch.sin(phi), y], -1)


def perturbed(density: ResidualDensity, size: float = 1.0) -> ResidualDensity:
    """Random weights: an untrained flow is the identity and tests nothing."""
    rng = torch.Generator().manual_seed(3)
    for parameter in density.parameters():
        step = torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / parameter.shape[-1] ** 0.5
        parameter.data += size * step.to(parameter.dtype)
    return density.eval()


def plane_pairs(dim: int, circle: bool = False) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    condition = torch.randn(4000, dim, generator=rng, dtype=torch.float64)
    scales = torch.tensor([0.3, 2.0], dtype=torch.float64)[:dim]
    x = condition + 0.5 + scales * torch.randn(4000, dim, generator=rng, dtype=torch.float64)
    if circle:
        x[:, 0], condition[:, 0] = wrapped(x[:, 0]), wrapped(condition[:, 0])
    return x, condition


def on_plane(residuals: Residuals, defensive: float, dtype: torch.dtype = torch.float64) -> ResidualDensity:
    density = ResidualDensity(residuals, SMALL, defensive)
    density.learned.to(dtype)
    density.fit_scales(*plane_pairs(len(residuals.circular), residuals.circular[0]))
    return perturbed(density)


PLANES: dict[str, Callable[[], Residuals]] = {
    "line": lambda: Difference(1),
    "plane": lambda: Difference(2),
    "cylinder": Cylinder,
}


def nodes(n: int, circular: bool, centre: float) -> tuple[Tensor, Tensor]:
    """Midpoints and weights on a circle, or on a line through x = centre + t / (1 - t²), t in (-1, 1)."""
    t = (2 * torch.arange(n, dtype=torch.float64) + 1) / n - 1
    if circular:
        return math.pi * t, torch.full((n,), 2 * math.pi / n, dtype=torch.float64)
    return centre + t / (1 - t**2), (1 + t**2) / (1 - t**2) ** 2 * 2 / n


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("defensive", [0.0, 0.1])
def test_integrates_to_one_over_x(name: str, defensive: float) -> None:
    """Midpoint rule in x; the kinks of the splines leave some 1e-4."""
    density = on_plane(PLANES[name](), defensive)
    condition = torch.tensor([0.7, -0.4], dtype=torch.float64)[: density.learned.noise_dim]
    n = 20_000 if name == "line" else 500
    axes = [nodes(n, c, float(condition[i]) + 0.5) for i, c in enumerate(density.residuals.circular)]
    grid = torch.stack(torch.meshgrid(*(x for x, _ in axes), indexing="ij"), -1)
    weight = torch.stack(torch.meshgrid(*(w for _, w in axes), indexing="ij"), -1).prod(-1)
    with torch.no_grad():
        total = (density.log_prob(grid, condition).exp() * weight).sum()
    assert total.item() == pytest.approx(1, abs=1e-3)


def thj_density(residuals: Residuals, defensive: float = 0.0, dtype: torch.dtype = torch.float64) -> ResidualDensity:
    rng = torch.Generator().manual_seed(2)
    hard = hard_points(4000, rng)
    pair = (reco_points(hard, rng), hard)
    density = ResidualDensity(residuals, SMALL, defensive)
    density.learned.to(dtype)
    density.fit_scales(*(pair if isinstance(residuals, ThjReco) else pair[::-1]))
    return perturbed(density, 0.3)


@dataclass(frozen=True)
class Broad:
    """A heavy-tailed density of physical points around ``centre`` [D], written in x itself: one letter for each column.

    x: Cauchy; l: log-Cauchy; t: the excess over the jet threshold is log-Cauchy; c: wrapped Cauchy and a tenth uniform.
    Beyond 60 widths nothing is drawn, where the densities of this file have some 1e-4 of their integral.
    """

    kinds: str
    centre: Tensor
    width: tuple[float, ...]

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Points [n, D] and their log-density [n]."""
        u = torch.rand(n, len(self.kinds), generator=rng, dtype=torch.float64).unbind(-1)
        parts = [self._column(*column) for column in zip(self.kinds, u, self.centre, self.width, strict=True)]
        return torch.stack([x for x, _ in parts], -1), torch.stack([log_q for _, log_q in parts]).sum(0)

    @staticmethod
    def _column(kind: str, u: Tensor, centre: Tensor, width: float) -> tuple[Tensor, Tensor]:
        if kind == "c":
            angle = 2 * torch.atan(math.tanh(width / 2) * torch.tan(math.pi * (u / 0.9 - 0.5)))
            angle = torch.where(u < 0.9, angle, 2 * math.pi * (u - 0.9) / 0.1)
            peak = math.sinh(width) / (math.cosh(width) - torch.cos(angle))
            return wrapped(centre + angle), torch.log((0.9 * peak + 0.1) / (2 * math.pi))
        edge = math.atan(60.0)
        z = torch.tan(edge * (2 * u - 1))
        log_q = -torch.log(2 * edge * width * (1 + z**2))
        if kind == "x":
            return centre + width * z, log_q
        floor = JET_PT_MIN if kind == "t" else 0.0
        excess = (centre - floor) * torch.exp(width * z)
        return floor + excess, log_q - excess.log()


def broad_around(residuals: Residuals, condition: Tensor) -> Broad:
    if isinstance(residuals, ThjHard):
        centre = torch.cat([condition[:6], condition[8:9]])
        return Broad("lcxlcxx", centre, (0.03, 0.02, 0.01, 0.3, 0.1, 0.05, 0.1))
    pt_h, phi_h, _, pt_j, phi_j, _, y_t = condition
    top = [-pt_h * f(phi_h) - pt_j * f(phi_j) for f in (torch.cos, torch.sin)]
    centre = torch.stack([*condition[:6], *top, y_t, *torch.tensor([172.5, 80.4], dtype=torch.float64)])
    return Broad("lcxtcxxxxll", centre, (0.03, 0.02, 0.01, 0.4, 0.1, 0.05, 15, 15, 0.1, 0.1, 0.1))


@pytest.mark.parametrize("residuals", [ThjReco(JET_PT_MIN), ThjHard()], ids=["transfer", "proposal"])
@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1)], ids=["++", "-+", "+-"])
def test_thj_densities_integrate_to_one(residuals: Residuals, signs: tuple[int, int]) -> None:
    """∫ p dx by importance sampling from a broad density of x; a lost Jacobian factor changes it by far more than 10 %.

    ``signs`` of y_j and of φ_j - φ_H choose the frame. The error is below 3 %, the false-alarm rate 2e-5 per case.
    """
    density = thj_density(residuals)
    y, s = signs
    hard = torch.tensor([90.0, 2.8, 0.6, 70.0, 2.8 + 1.9 * s, 2.2 * y, -0.7], dtype=torch.float64)
    hard[4] = wrapped(hard[4])
    condition = hard
    if isinstance(residuals, ThjHard):
        condition = reco_points(hard[None], torch.Generator().manual_seed(4))[0]
    n = 60_000
    x, log_q = broad_around(residuals, condition).draw(n, torch.Generator().manual_seed(5))
    with torch.no_grad():
        weights = torch.exp(density.log_prob(x, condition.expand(n, -1)) - log_q)
    error = weights.std().item() / math.sqrt(n)
    assert error < 0.03
    assert abs(weights.mean().item() - 1) < LIMIT * error
    assert torch.isfinite(weights).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("defensive", [0.0, 0.1])
@pytest.mark.parametrize("residuals", [ThjReco(JET_PT_MIN), ThjHard()], ids=["transfer", "proposal"])
def test_points_carry_their_own_density(residuals: Residuals, defensive: float, dtype: torch.dtype) -> None:
    """What ``from_noise`` says of a point is what ``log_prob`` says of it: to rounding, which in float32 is below 1e-4.

    Left out: the rare point whose spectator ends on the threshold itself, once its excess is below the rounding of 25 GeV,
    and those of the tails that end on the largest |η|, to rounding; the network, which is not trained, has 1 % of them.
    """
    density = thj_density(residuals, defensive, dtype)
    hard = hard_points(5000, torch.Generator().manual_seed(6))
    condition = hard if isinstance(residuals, ThjReco) else reco_points(hard, torch.Generator().manual_seed(7))
    noise = torch.rand(5000, density.noise_dim, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    with torch.no_grad():
        x, log_density = density.from_noise(noise, condition)
        above = torch.ones(5000, dtype=torch.bool)
        if isinstance(residuals, ThjReco):
            above = (x[:, 3] > JET_PT_MIN) & (x[:, 5].abs() < residuals.eta.limit - 1e-6)
        again = density.log_prob(x[above], condition[above])
    assert x.dtype == log_density.dtype == again.dtype == torch.float64
    assert above.sum() >= 4950
    torch.testing.assert_close(again, log_density[above], rtol=0, atol=1e-10 if dtype == torch.float64 else 1e-4)


def test_one_condition_serves_many_points() -> None:
    density = on_plane(Difference(2), 0.0)
    x, condition = plane_pairs(2)
    with torch.no_grad():
        one_by_one = torch.stack([density.log_prob(point, condition[0]) for point in x[:5]])
        torch.testing.assert_close(density.log_prob(x[:5], condition[0]), one_by_one, rtol=1e-12, atol=1e-12)
        crossed = density.log_prob(x[:5, None], condition[:3])
    assert crossed.shape == (5, 3)
    torch.testing.assert_close(crossed[:, 0], one_by_one, rtol=1e-12, atol=1e-12)


def test_a_density_is_not_yet_trained_but_already_has_the_scale_of_the_data() -> None:
    """After ``fit_scales`` half of the residuals of every column lie where half of the probability is."""
    density = ResidualDensity(Cylinder(), SMALL)
    x, condition = plane_pairs(2, circle=True)
    density.fit_scales(x, condition)
    u, _ = density.to_cube(density.residuals.forward(x, condition)[0])
    assert ((u > 0.25) & (u < 0.75)).double().mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.1)


def test_seen_is_the_box_of_the_training_features() -> None:
    density = ResidualDensity(Difference(2), SMALL)
    anywhere = torch.tensor([[1e6, -1e6]], dtype=torch.float64)
    assert density.seen(anywhere).tolist() == [True]
    x, condition = plane_pairs(2)
    density.fit_scales(x, condition)
    assert density.seen(condition).all()
    low, high = condition.amin(0), condition.amax(0)
    corner = torch.stack([low, high, torch.stack([low[0] - 1e-9, high[1]]), torch.stack([low[0], high[1] + 1e-9])])
    assert density.seen(corner).tolist() == [True, True, False, False]
    assert density.seen(torch.full((1, 2), math.nan, dtype=torch.float64)).tolist() == [False]


def test_scales_and_range_travel_with_the_weights() -> None:
    first, second = on_plane(Difference(2), 0.1), ResidualDensity(Difference(2), SMALL, 0.1)
    second.learned.to(torch.float64)
    second.load_state_dict(first.state_dict())
    x, condition = plane_pairs(2)
    with torch.no_grad():
        assert torch.equal(first.log_prob(x, condition), second.log_prob(x, condition))
    assert torch.equal(first.seen(5 * condition), second.seen(5 * condition))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_pairs_that_are_not_finite_are_refused_by_number(value: float) -> None:
    x, condition = plane_pairs(2)
    x[17, 1] = value
    with pytest.raises(InputError, match="pair 17 are not finite"):
        ResidualDensity(Difference(2), SMALL).fit_scales(x, condition)


def test_residuals_that_do_not_vary_are_refused() -> None:
    x, condition = plane_pairs(2)
    x[:, 0] = condition[:, 0]
    with pytest.raises(InputError, match="width"):
        ResidualDensity(Difference(2), SMALL).fit_scales(x, condition)


def test_many_points_of_one_condition_are_those_of_as_many_conditions() -> None:
    density = ResidualDensity(Difference(2), CouplingSettings(blocks=2, hidden=6, layers=1, bins=3), defensive=0.1)
    rng = torch.Generator().manual_seed(1)
    density.fit_scales(torch.randn(50, 2, generator=rng).double(), torch.randn(50, 2, generator=rng).double())
    noise = torch.rand(4, 30, density.noise_dim, generator=rng, dtype=torch.float64)
    condition = torch.randn(4, 1, 2, generator=rng).double()
    with torch.no_grad():
        found, expected = density.from_noise(noise, condition), density.from_noise(noise, condition.expand(4, 30, 2))
    torch.testing.assert_close(found, expected)
