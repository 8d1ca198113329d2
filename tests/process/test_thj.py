"""dσ/dx_hard and σ(α) of THJ and TBH against the reference tables, and against their own parts."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from bmem.errors import InputError, RangeError
from bmem.process import TBH, THJ, PDFGrid, Process, pythia_grid
from bmem.process.integration import REPLICATES
from bmem.process.leading_order import CHUNK
from bmem.units import GEV2_PB

FALSE_ALARM = 2e-5
ALIVE = [0, 1, 3, 5]
ANGLES = torch.linspace(-math.pi, math.pi, 49, dtype=torch.float64)


@pytest.fixture(scope="module")
def x_hard(thj: THJ, load_table) -> torch.Tensor:
    return thj.space.from_momenta(torch.from_numpy(load_table("differential")["momenta_tHj"]))[0]


def fourier(alpha: torch.Tensor) -> torch.Tensor:
    """[N, 5]: 1, cos α, sin α, cos 2α, sin 2α."""
    return torch.stack([torch.ones_like(alpha), alpha.cos(), alpha.sin(), (2 * alpha).cos(), (2 * alpha).sin()], dim=-1)


def by_hand(process: THJ, grid: PDFGrid, x: torch.Tensor, alpha: float) -> torch.Tensor:
    """dσ/dx_hard [N, channel, 2] from momenta, squared amplitudes and densities, each through its general interface."""
    top, higgs, jet = process.space.to_momenta(x)[0].unbind(1)
    total = top + higgs + jet
    plus, minus = torch.zeros_like(top), torch.zeros_like(top)
    plus[:, 0] = plus[:, 3] = (total[:, 0] + total[:, 3]) / 2
    minus[:, 0] = (total[:, 0] - total[:, 3]) / 2
    minus[:, 3] = -minus[:, 0]
    x1, x2 = 2 * plus[:, 0] / process.sqrt_s, 2 * minus[:, 0] / process.sqrt_s
    flux = GEV2_PB * x[:, 0] * x[:, 3] / (8 * (2 * math.pi) ** 5 * (x1 * x2 * process.sqrt_s**2) ** 2)
    scale = torch.tensor(148.75, dtype=torch.float64)
    result = []
    for channel in process.channels:
        outgoing = [top, jet, higgs] if channel.s_channel else [jet, top, higgs]
        for first, second, xs in ((plus, minus, (x1, x2)), (minus, plus, (x2, x1))):
            squared = process.squared_amplitude(channel.pdg, torch.stack([first, second, *outgoing], dim=1), alpha)
            result.append(flux * grid.xf(channel.first, xs[0], scale) * grid.xf(channel.second, xs[1], scale) * squared)
    return torch.stack(result, dim=-1).reshape(len(x), len(process.channels), 2)


def test_both_satisfy_the_contract(thj: THJ, tbh: TBH) -> None:
    for process in (thj, tbh):
        assert isinstance(process, Process)
        (parameter,) = process.parameters
        assert (parameter.name, parameter.bounds, parameter.period) == ("alpha", (-math.pi, math.pi), 2 * math.pi)


def test_differential_cross_section_is_that_of_the_table(thj: THJ, x_hard: torch.Tensor, load_table) -> None:
    """Summed over channels, beams, t and t̄, at every event and angle."""
    reference = torch.from_numpy(load_table("differential")["fourier_pb"]) @ fourier(ANGLES).T
    ours = thj.components(x_hard) @ thj.basis(ANGLES[:, None]).T
    np.testing.assert_allclose(ours.numpy(), reference.numpy(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("kind", [THJ, TBH])
@pytest.mark.parametrize("alpha", [0.0, 1.1, -2.0])
def test_components_are_flux_times_densities_times_squares(kind: type, alpha: float, x_hard: torch.Tensor) -> None:
    """The fast path (spin sums, shared spinors, grouped densities) against every channel on its own."""
    grid = PDFGrid.read(pythia_grid())
    process = kind(pdf=grid)
    basis = process.basis(torch.tensor([alpha], dtype=torch.float64))
    expected = by_hand(process, grid, x_hard[:100], alpha)
    torch.testing.assert_close(process.channel_components(x_hard[:100]) @ basis, expected, rtol=1e-9, atol=1e-30)
    torch.testing.assert_close(process.components(x_hard[:100]) @ basis, expected.sum((1, 2)), rtol=1e-9, atol=0)


def test_components_keep_the_symmetries_of_the_collision(thj: THJ, x_hard: torch.Tensor) -> None:
    """A common rotation and a turn by π about the x axis change nothing; a mirror changes the sign of the T-odd term."""
    expected = thj.components(x_hard)
    swapped = torch.ones(len(x_hard), dtype=torch.bool)
    turned = thj.space.rotated(x_hard, torch.tensor(1.3, dtype=torch.float64), swapped)
    mirrored = x_hard * torch.tensor([1, -1, 1, 1, -1, 1, 1], dtype=torch.float64)
    odd = torch.tensor([1, 1, -1, 1, 1, 1], dtype=torch.float64)
    size = expected.abs().amax(-1, keepdim=True)
    for x, sign in ((turned, 1.0), (mirrored, odd)):
        assert float(((thj.components(x) - sign * expected) / size).abs().max()) < 1e-9


def test_components_vanish_outside_the_phase_space(thj: THJ, x_hard: torch.Tensor) -> None:
    too_fast, negative, absurd = x_hard[:3].clone(), x_hard[:3].clone(), x_hard[:3].clone()
    too_fast[:, 5] = 12.0
    negative[:, 0] *= -1
    absurd[:, 2] = 900.0
    for outside in (too_fast, negative, absurd):
        assert (thj.components(outside) == 0).all()
        assert (thj.channel_components(outside) == 0).all()


def test_nan_is_not_taken_for_outside(thj: THJ, x_hard: torch.Tensor) -> None:
    x = x_hard[:2].clone()
    x[0, 4] = float("nan")
    assert bool(thj.components(x)[0, 0].isnan())
    assert bool(thj.components(x)[1].isfinite().all())


def test_shapes_and_chunks_do_not_matter(thj: THJ, x_hard: torch.Tensor) -> None:
    many = x_hard.repeat(2 * CHUNK // len(x_hard) + 1, 1)
    expected = thj.components(x_hard)
    torch.testing.assert_close(thj.components(many)[-len(x_hard) :], expected, rtol=1e-12, atol=0)
    assert thj.components(x_hard.reshape(5, 100, 7)).shape == (5, 100, 6)
    torch.testing.assert_close(thj.components(x_hard[0]), expected[0], rtol=1e-12, atol=0)
    assert thj.components(x_hard[:0]).shape == (0, 6)
    assert thj.channel_components(x_hard[:4].reshape(2, 2, 7)).shape == (2, 2, 8, 2, 6)


def test_single_precision_and_other_devices(thj: THJ, x_hard: torch.Tensor) -> None:
    expected = thj.components(x_hard)
    single = thj.components(x_hard.float())
    assert single.dtype == torch.float32
    size = expected.abs().amax(-1, keepdim=True)
    assert float(((single.double() - expected) / size).abs().max()) < 1e-4
    assert thj.components(torch.empty(4, 7, device="meta")).shape == (4, 6)


def test_components_have_gradients(thj: THJ, x_hard: torch.Tensor) -> None:
    """Relative derivatives, in units in which they are of order one."""
    size = thj.components(x_hard[:2])[:, ALIVE].abs()
    units = torch.tensor([100, 1, 1, 100, 1, 1, 1], dtype=torch.float64)

    def scaled(z: torch.Tensor) -> torch.Tensor:
        return thj.components(z * units)[:, ALIVE] / size

    assert torch.autograd.gradcheck(scaled, (x_hard[:2] / units).requires_grad_())


def test_gradients_outside_the_phase_space_are_zero_not_nan(thj: THJ, x_hard: torch.Tensor) -> None:
    """A proposal trained through the integrand may stray outside."""
    x = x_hard[:3].clone()
    x[0, 0], x[1, 3], x[2, 5] = -5.0, 0.0, 12.0
    x.requires_grad_()
    thj.components(x).sum().backward()
    assert float(x.grad[[0, 2]].abs().max()) == 0
    assert bool(x.grad.isfinite().all())


def test_a_wrong_dimension_is_an_error(thj: THJ) -> None:
    with pytest.raises(InputError, match="x_hard has shape"):
        thj.components(torch.zeros(3, 6))


@pytest.mark.parametrize("sqrt_s", [13_000.0, 14_000.0])
def test_cross_sections_are_those_of_the_table(thj: THJ, sqrt_s: float, reference_cross_sections: dict) -> None:
    """σ(α), summed and of every channel, within 0.3 %; the errors given are smaller than that."""
    process = thj if sqrt_s == thj.sqrt_s else THJ(sqrt_s)
    reference = reference_cross_sections[str(int(sqrt_s))]
    tables = {None: reference["sum"], **reference["channels"]}
    assert {channel.name for channel in process.channels} == set(reference["channels"])
    for channel, by_angle in tables.items():
        for degrees, (expected, _) in by_angle.items():
            value, error = process.cross_section(math.radians(float(degrees)), channel)
            assert value == pytest.approx(expected, rel=3e-3), (channel, degrees)
            assert error < 1e-3 * value


def test_cross_section_error_is_honest(thj: THJ, reference_cross_sections: dict) -> None:
    """The difference to the reference at 90° in units of both errors, by Student's t of the eight replicates: p = 2e-5."""
    expected, reference_error = reference_cross_sections["13000"]["sum"]["90"]
    value, error = thj.cross_section(math.pi / 2)
    pull = (value - expected) / math.hypot(error, reference_error)
    assert 2 * stats.t.sf(abs(pull), REPLICATES - 1) > FALSE_ALARM


def test_cross_section_takes_what_the_fit_has(thj: THJ) -> None:
    alpha = torch.tensor([0.5], dtype=torch.float64)
    assert thj.cross_section(alpha) == thj.cross_section(0.5)
    assert thj.cross_section(-0.5) == pytest.approx(thj.cross_section(0.5))
    assert sum(thj.cross_section(0.5, c.name)[0] for c in thj.channels) == pytest.approx(
        thj.cross_section(0.5)[0], rel=1e-12
    )


def test_bad_requests_are_errors(thj: THJ) -> None:
    with pytest.raises(InputError, match="no channel"):
        thj.cross_section(0.0, "g g > t h")
    with pytest.raises(InputError, match="angle"):
        thj.cross_section(float("nan"))
    with pytest.raises(InputError, match="sqrt_s"):
        THJ(sqrt_s=13.0)
    with pytest.raises(RangeError, match="Q in"):
        THJ(scale=1e6)
