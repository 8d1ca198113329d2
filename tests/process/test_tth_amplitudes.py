"""Amplitudes of g g and q q̄ → t t̄ H against MadGraph, helicity by helicity, and against their own symmetries."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bmem.errors import InputError
from bmem.process import TTH, ElectroweakInputs
from bmem.process.amplitudes import couplings_of, interference
from bmem.process.spinors import helicity_states
from bmem.process.top_pair_amplitudes import (
    DOWN,
    UP,
    Chiral,
    Emission,
    Polarisation,
    TopLine,
    gluon_amplitudes,
    quark_amplitudes,
)
from bmem.process.top_pair_squares import collinear, gluon_squares, squared_components, strength

DATA = Path(__file__).parent.parent / "data" / "tth"
INPUTS = ElectroweakInputs()
ALPHA_S = 0.118
PAIRS = [(UP, UP), (UP, DOWN), (DOWN, UP), (DOWN, DOWN)]
Table = dict[str, np.ndarray]


def load(name: str) -> Table:
    with np.load(DATA / f"public_{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def tth() -> TTH:
    return TTH(alpha_s=ALPHA_S)


@pytest.fixture(scope="module", params=["D1_gg_ttxh", "D2_uux_ttxh"])
def table(request: pytest.FixtureRequest) -> Table:
    return load(request.param)


@pytest.fixture(scope="module")
def gluons() -> Table:
    return load("D1_gg_ttxh")


def angles(table: Table) -> Tensor:
    return torch.deg2rad(torch.from_numpy(table["alphas_deg"]).double())


def momenta(table: Table) -> Tensor:
    return torch.from_numpy(table["momenta"])


def at(amplitude: Chiral, alpha: Tensor) -> Tensor:
    scalar, pseudo = couplings_of(alpha)
    return (scalar + 1j * pseudo) * amplitude.right + (scalar - 1j * pseudo) * amplitude.left


def test_squared_amplitude_is_that_of_madgraph_at_every_point_and_angle(tth: TTH, table: Table) -> None:
    ours = tth.squared_amplitude(table["pdg"].tolist(), momenta(table)[:, None], angles(table))
    assert ours.shape == table["msq"].shape
    np.testing.assert_allclose(ours.numpy(), table["msq"], rtol=1e-9, atol=0)


def test_all_sixteen_helicities_of_two_gluons_are_those_of_madgraph(gluons: Table) -> None:
    """Colour-summed by the matrix 16/3, -2/3. A gluon along -z of helicity -1 turns about z as one along +z of +1."""
    seen = momenta(gluons)[: len(gluons["hel_msq"]), None]
    line, alpha = TopLine(collinear(seen, INPUTS), INPUTS, helicity_states), angles(gluons)
    for index, (first, second, top, antitop, _) in enumerate(gluons["hel_labels"]):
        orders = gluon_amplitudes(line, UP if first > 0 else DOWN, DOWN if second > 0 else UP)
        one, other = (at(m, alpha)[(top + 1) // 2, (antitop + 1) // 2] for m in orders)
        ours = 16 / 3 * (one.abs() ** 2 + other.abs() ** 2) - 4 / 3 * (one * other.conj()).real
        reference = gluons["hel_msq"][:, :, index]
        # a helicity may vanish up to rounding, which then is a share of the whole: 1e-12 of it
        scale = gluons["hel_msq"].sum(-1).max()
        np.testing.assert_allclose(strength(ALPHA_S, INPUTS) * ours.numpy(), reference, rtol=1e-9, atol=1e-12 * scale)


def test_all_sixteen_helicities_of_quarks_are_those_of_madgraph() -> None:
    table = load("D2_uux_ttxh")
    seen = momenta(table)[: len(table["hel_msq"]), None]
    line, alpha = TopLine(collinear(seen, INPUTS), INPUTS, helicity_states), angles(table)
    for index, (quark, antiquark, top, antitop, _) in enumerate(table["hel_labels"]):
        reference = table["hel_msq"][:, :, index]
        if quark == antiquark:
            assert (reference == 0).all()
            continue
        spin = at(quark_amplitudes(line, UP if quark > 0 else DOWN), alpha)[(top + 1) // 2, (antitop + 1) // 2]
        ours = 2 * strength(ALPHA_S, INPUTS) * spin.abs() ** 2
        scale = table["hel_msq"].sum(-1).max()
        np.testing.assert_allclose(ours.numpy(), reference, rtol=1e-9, atol=1e-12 * scale)


def test_scalar_pseudoscalar_interference_vanishes_after_the_spin_sum(table: Table) -> None:
    """To rounding, which is why the basis has two components; single helicities do interfere."""
    line = TopLine(collinear(momenta(table), INPUTS), INPUTS)
    quarks = table["pdg"][0] != 21
    found = [quark_amplitudes(line, e) for e in (UP, DOWN)] if quarks else [gluon_amplitudes(line, *p)[0] for p in PAIRS]
    crossed = [interference(m.scalar.flatten(0, 1), 1j * m.pseudo.flatten(0, 1)) for m in found]
    size = sum((m.scalar.abs() * m.pseudo.abs()).sum((0, 1)) for m in found)
    assert float((sum(crossed).abs() / size).max()) < 1e-12


def test_half_of_the_helicities_is_half_of_the_square(gluons: Table) -> None:
    """Parity: turning both gluons around leaves the squares of both couplings."""
    line = TopLine(collinear(momenta(gluons), INPUTS), INPUTS)

    def squares(*spins: Polarisation) -> Tensor:
        one, other = gluon_amplitudes(line, *spins)
        parts = [m.abs() ** 2 for m in (one.scalar, one.pseudo, other.scalar, other.pseudo)]
        return torch.stack(parts).sum((1, 2))

    for spins, turned in (((UP, UP), (DOWN, DOWN)), ((UP, DOWN), (DOWN, UP))):
        torch.testing.assert_close(squares(*spins), squares(*turned), rtol=1e-10, atol=0)


@pytest.mark.parametrize("other", [UP, DOWN])
@pytest.mark.parametrize("which", ["first", "second"])
def test_a_gluon_polarised_along_its_momentum_does_nothing(gluons: Table, other: Polarisation, which: str) -> None:
    """Gauge invariance of either colour order: k̸ at the ends gives -u and v, and the two gluons make V = ŝ ε of the other.

    |M|² with ε = k/E against the physical one, all colours and spins: rounding of single terms, about 1e-13 squared.
    """
    seen = collinear(momenta(gluons), INPUTS)
    line = TopLine(seen, INPUTS)
    along = line.along_plus if which == "first" else line.along_minus
    longitudinal = Emission(-line.u, line.v, along, along)
    physical = line.second(other) if which == "first" else line.first(other)
    made = physical.conjugate(line.u), physical.slash(line.v)
    orders = (
        line.two_gluons(longitudinal, physical, made),
        line.two_gluons(physical, longitudinal, (-made[0], -made[1])),
    )
    wrong = sum(m.abs().square().sum((0, 1)) for order in orders for m in order) / (seen.plus / 2) ** 2
    assert float((wrong / gluon_squares(line).sum(0)).max()) < 1e-24


def exchange_tops(p: Tensor) -> Tensor:
    return p[:, [0, 1, 3, 2, 4]]


def exchange_beams(p: Tensor) -> Tensor:
    return p[:, [1, 0, 2, 3, 4]]


def mirror(p: Tensor) -> Tensor:
    return p * torch.tensor([1, 1, -1, 1], dtype=p.dtype)


def boost_and_rotate(p: Tensor) -> Tensor:
    """To a frame in which no particle flies along an axis."""
    generator = torch.tensor([[0, 0.3, -0.2, 0.4], [0.3, 0, 0.5, -0.7], [-0.2, -0.5, 0, 0.6], [0.4, 0.7, -0.6, 0]]).double()
    return p @ torch.linalg.matrix_exp(generator).T


@pytest.mark.parametrize("change", [exchange_tops, exchange_beams, mirror, boost_and_rotate])
def test_symmetries_leave_the_square(tth: TTH, table: Table, change: Callable[[Tensor], Tensor]) -> None:
    alpha = torch.tensor(0.8, dtype=torch.float64)
    ours = [tth.squared_amplitude(table["pdg"].tolist(), p, alpha) for p in (momenta(table), change(momenta(table)))]
    torch.testing.assert_close(ours[1], ours[0], rtol=1e-9, atol=0)


def test_the_square_goes_with_the_square_of_the_strong_coupling(tth: TTH, table: Table) -> None:
    ours = [p.squared_amplitude(table["pdg"].tolist(), momenta(table), 0.3) for p in (tth, TTH(alpha_s=2 * ALPHA_S))]
    torch.testing.assert_close(ours[1], 4 * ours[0], rtol=1e-12, atol=0)


def test_every_quark_is_like_another(tth: TTH) -> None:
    p = momenta(load("D2_uux_ttxh"))
    for code in (1, 3, 4, -1, -2, -3, -4):
        ours = [tth.squared_amplitude((q, -q, 6, -6, 25), p, 0.5) for q in (2, code)]
        torch.testing.assert_close(ours[1], ours[0], rtol=1e-9, atol=0)


def test_single_precision_and_other_devices(table: Table) -> None:
    """Rounding of the float32 momenta themselves, enlarged where a top is close to the beam."""
    ours = squared_components(table["pdg"].tolist(), momenta(table).float(), ALPHA_S, INPUTS)
    expected = squared_components(table["pdg"].tolist(), momenta(table), ALPHA_S, INPUTS)
    assert ours.dtype == torch.float32
    assert float(((ours - expected).abs() / expected.sum(-1, keepdim=True)).max()) < 1e-3
    nowhere = torch.empty(3, 5, 4, dtype=torch.float64, device="meta")
    assert squared_components(table["pdg"].tolist(), nowhere, ALPHA_S, INPUTS).shape == (3, 2)


@pytest.mark.parametrize("pdg", [(21, 21, 6, -6, 24), (5, -5, 6, -6, 25), (21, 21, -6, 6, 25), (2, -1, 6, -6, 25), (21, 2)])
def test_unknown_particles_are_an_error(tth: TTH, pdg: tuple) -> None:
    with pytest.raises(InputError, match="no matrix element"):
        tth.squared_amplitude(pdg, torch.zeros(1, 5, 4), 0.0)


@pytest.mark.parametrize("shape", [(4,), (4, 4), (2, 5, 3), (5,)])
def test_a_wrong_shape_is_an_error(tth: TTH, shape: tuple) -> None:
    with pytest.raises(InputError, match="shape"):
        tth.squared_amplitude((21, 21, 6, -6, 25), torch.zeros(shape), 0.0)


def test_coupling_at_the_scale_is_that_of_one_loop() -> None:
    assert TTH().alpha_s == pytest.approx(0.11302738420184404, rel=1e-12)
    assert TTH(scale=91.188).alpha_s == pytest.approx(0.130, rel=1e-12)
    assert math.isclose(TTH(alpha_s=0.118).alpha_s, 0.118)
