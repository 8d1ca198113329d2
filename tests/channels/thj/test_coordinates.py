"""Residual coordinates: inverse of forward is the identity, the Jacobian is autograd's, the symmetries are exact."""

import math

import pytest
import torch
from torch import Tensor

from bmem.channels.thj.coordinates import ThjHard, ThjReco
from bmem.likelihood.coordinates import Difference, Residuals


def hard_points(n: int = 64) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    u = torch.rand(n, 7, generator=rng, dtype=torch.float64)
    angle = 2 * math.pi * u - math.pi
    columns = [
        20 + 200 * u[:, 0],
        angle[:, 1],
        4 * u[:, 2] - 2,
        3 + 150 * u[:, 3],
        angle[:, 4],
        10 * u[:, 5] - 5,
        4 * u[:, 6] - 2,
    ]
    return torch.stack(columns, -1)


def reco_points(n: int = 64) -> Tensor:
    rng = torch.Generator().manual_seed(2)
    u = torch.rand(n, 11, generator=rng, dtype=torch.float64)
    hard = hard_points(n)
    top = 300 * u[:, 6:8] - 150
    eta = torch.where(u[:, 5] < 0.5, hard[:, 5].clamp(-4.6, 4.6) + 0.1 * (u[:, 5] - 0.25), 9.38 * u[:, 5] - 4.69)
    columns = [hard[:, 0], hard[:, 1], hard[:, 2], 26 + 150 * u[:, 3], hard[:, 4], eta, top[:, 0], top[:, 1]]
    return torch.stack([*columns, 4 * u[:, 8] - 2, 100 + 100 * u[:, 9], 50 + 60 * u[:, 10]], -1)


CASES: dict[str, tuple[Residuals, Tensor, Tensor]] = {
    "tHj observables given x_hard": (ThjReco(), reco_points(), hard_points()),
    "tHj x_hard given observables": (ThjHard(), hard_points(), reco_points()),
    "difference": (Difference(7), hard_points(), hard_points().flip(0)),
}


@pytest.mark.parametrize("name", CASES)
def test_inverse_of_forward_is_the_identity(name: str) -> None:
    residuals, target, reference = CASES[name]
    r, log_det = residuals.forward(target, reference)
    back, log_det_back = residuals.inverse(r, reference)
    torch.testing.assert_close(back, target, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(log_det, -log_det_back, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_log_jacobian_is_that_of_autograd(name: str) -> None:
    residuals, target, reference = CASES[name]
    jacobian = torch.func.vmap(torch.func.jacfwd(lambda t, c: residuals.forward(t, c)[0]))(target, reference)
    torch.testing.assert_close(residuals.forward(target, reference)[1], torch.linalg.slogdet(jacobian)[1], rtol=0, atol=1e-9)


def turned(hard: Tensor, reco: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    hard, reco = hard.clone(), reco.clone()
    for points in (hard, reco):
        points[:, [1, 4]] += angle
    px, py = reco[:, 6].clone(), reco[:, 7].clone()
    reco[:, 6] = px * math.cos(angle) - py * math.sin(angle)
    reco[:, 7] = px * math.sin(angle) + py * math.cos(angle)
    return hard, reco


def mirrored_in_phi(hard: Tensor, reco: Tensor) -> tuple[Tensor, Tensor]:
    hard, reco = hard.clone(), reco.clone()
    for points in (hard, reco):
        points[:, [1, 4]] *= -1
    reco[:, 7] *= -1
    return hard, reco


def mirrored_in_y(hard: Tensor, reco: Tensor) -> tuple[Tensor, Tensor]:
    hard, reco = hard.clone(), reco.clone()
    hard[:, [2, 5, 6]] *= -1
    reco[:, [2, 5, 8]] *= -1
    return hard, reco


@pytest.mark.parametrize(
    "symmetry", [lambda h, r: turned(h, r, 2.0), mirrored_in_phi, mirrored_in_y], ids=["turn", "phi", "y"]
)
@pytest.mark.parametrize("given_hard", [True, False])
def test_residuals_and_features_share_the_symmetries_of_beams_and_detector(symmetry, given_hard: bool) -> None:
    hard, reco = hard_points(), reco_points()
    hard2, reco2 = symmetry(hard, reco)
    residuals: Residuals = ThjReco() if given_hard else ThjHard()
    pair, pair2 = ((reco, hard), (reco2, hard2)) if given_hard else ((hard, reco), (hard2, reco2))
    torch.testing.assert_close(residuals.forward(*pair)[0], residuals.forward(*pair2)[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(residuals.features(pair[1]), residuals.features(pair2[1]), rtol=1e-9, atol=1e-9)


def test_no_density_below_the_jet_threshold() -> None:
    residuals = ThjReco(jet_pt_min=25.0)
    anywhere = 3 * torch.randn(500, 11, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    points, _ = residuals.inverse(anywhere, hard_points(500))
    assert (points[:, 3] > 25.0).all()


def test_no_density_beyond_the_largest_eta() -> None:
    """Wherever the parton is; and a jet that was measured well has its η less that of the parton, in units of the core."""
    residuals = ThjReco(jet_eta_max=4.7)
    anywhere = 9 * torch.randn(500, 11, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    points, log_jacobian = residuals.inverse(anywhere, hard_points(500))
    assert (points[:, 5].abs() < 4.7).all()
    assert torch.isfinite(log_jacobian).all()
    beyond = reco_points()
    beyond[:, 5] = torch.where(torch.arange(64) % 2 == 0, beyond.new_tensor(-4.7), beyond.new_tensor(4.8))
    assert (residuals.forward(beyond, hard_points())[1] == -torch.inf).all()
    far = hard_points()
    far[:, 5] *= 10  # 50 instead of 5
    assert torch.isfinite(residuals.forward(reco_points(), far)[1]).all()
    hard, near = hard_points(), reco_points()
    inside = hard[:, 5].abs() < 4
    near[:, 5] = hard[:, 5] + 1e-4
    found = residuals.forward(near, hard)[0][inside, 5] * torch.sign(hard[inside, 5])
    torch.testing.assert_close(found, torch.full_like(found, 1e-4 / 0.05), rtol=0.01, atol=0)
