"""Amplitudes against MadGraph, against their own symmetries, and the two ways of summing over spins against each other."""

import math

import numpy as np
import pytest
import torch

from bmem import kinematics
from bmem.errors import InputError
from bmem.process import THJ, ElectroweakInputs
from bmem.process.amplitudes import Amplitudes, at_alpha, interference, morphing_basis, morphing_components
from bmem.process.channels import BRA, KET, B
from bmem.process.matrix_element import AVERAGE, CHANNELS, find_channel, helicity_amplitudes, squared_amplitude
from bmem.process.spin_sums import SpinSums
from bmem.process.spinors import light_cone

INPUTS = ElectroweakInputs()
COLOURS = 9


def angles(table: dict) -> torch.Tensor:
    return torch.deg2rad(torch.from_numpy(table["alphas_deg"]).double())


def spin_sums(table: dict, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Averaged |M|² components [N, 6] from the completeness relations."""
    channel, p = find_channel(table["pdg"]), torch.from_numpy(table["momenta"]).to(dtype)
    jet, top = (3, 2) if channel.s_channel else (2, 3)
    first, second, third = (light_cone(p[:, i], 0.0) for i in (0, 1, jet))
    sums = SpinSums((first, second, third), light_cone(p[:, top], INPUTS.mt), light_cone(p[:, 4], INPUTS.mh), INPUTS)
    place = {role: index for index, role in enumerate(channel.roles)}
    one, s, p5, s2, p2 = sums.components(place[BRA], place[KET], place[B], channel.s_channel)
    return AVERAGE * torch.stack([one, s, p5, s2, torch.zeros_like(s), p2], dim=-1)


def test_squared_amplitude_is_that_of_madgraph_at_every_point_and_angle(table: dict) -> None:
    ours = squared_amplitude(table["pdg"], table["momenta"][:, None], angles(table), INPUTS)
    assert ours.shape == table["msq"].shape
    np.testing.assert_allclose(ours.numpy(), table["msq"], rtol=1e-9, atol=0)


def test_components_rebuild_madgraph_at_every_point_and_angle(table: dict) -> None:
    """The K components come from one evaluation; both spin sums must give them."""
    basis = morphing_basis(angles(table))
    explicit = AVERAGE * morphing_components(helicity_amplitudes(table["pdg"], table["momenta"], INPUTS))
    for components in (explicit, spin_sums(table)):
        np.testing.assert_allclose((components @ basis.T).numpy(), table["msq"], rtol=1e-9, atol=0)


def test_single_helicities_are_those_of_madgraph(t_table: dict) -> None:
    """All sixteen: massless quarks only left-handed (antiquarks right-handed), the top in both states."""
    n = len(t_table["hel_msq"])
    amplitudes = helicity_amplitudes(t_table["pdg"], t_table["momenta"][:n, None], INPUTS)
    ours = COLOURS * at_alpha(amplitudes, angles(t_table)).abs().square().numpy()
    massless = [-int(np.sign(code)) for code in t_table["pdg"][:3]]
    seen = 0
    for index, helicities in enumerate(t_table["hel_labels"]):
        reference = t_table["hel_msq"][:, :, index]
        if list(helicities[:3]) == massless:
            np.testing.assert_allclose(ours[(helicities[3] + 1) // 2], reference, rtol=1e-9, atol=0)
            seen += 1
        else:
            assert (reference == 0).all()
    assert seen == 2


def test_scalar_pseudoscalar_interference_vanishes_after_the_spin_sum(table: dict) -> None:
    """Σ Re(M_S M_P*) cancels between the helicities to rounding, which is why the components set it to zero."""
    amplitudes = helicity_amplitudes(table["pdg"], table["momenta"], INPUTS)
    size = (amplitudes.s.abs() * amplitudes.p.abs()).sum(0)
    assert float((interference(amplitudes.s, amplitudes.p).abs() / size).max()) < 1e-12
    assert (morphing_components(amplitudes)[:, 4] == 0).all()


def test_odd_component_is_the_sine_coefficient_with_its_sign(table: dict) -> None:
    """c₂ of the Fourier series is (2/3) s_κP: T-odd, up to half of c₀ at single points."""
    components = spin_sums(table)
    sine, size = table["fourier"][:, 2], table["fourier"][:, 0]
    np.testing.assert_allclose((2 / 3) * components[:, 2].numpy(), sine, rtol=0, atol=1e-9 * size.max())
    assert np.abs(sine / size).max() > 0.3


def test_mirroring_p_y_turns_alpha_around(table: dict) -> None:
    mirrored = table["momenta"] * np.array([1, 1, -1, 1])
    there = squared_amplitude(table["pdg"], table["momenta"][:, None], angles(table), INPUTS)
    back = squared_amplitude(table["pdg"], mirrored[:, None], -angles(table), INPUTS)
    torch.testing.assert_close(back, there, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("pdg", "conjugate"), [((2, 5, 1, 6, 25), (-2, -5, -1, -6, 25)), ((-1, 5, -2, 6, 25), (1, -5, 2, -6, 25))]
)
def test_charge_conjugates_agree_though_computed_with_v_spinors(pdg: tuple, conjugate: tuple, load_table) -> None:
    """A4 = A1 and A3 = A2 at equal momenta and α: what the sum over channels makes use of."""
    table = load_table("A1")
    ours = [squared_amplitude(codes, table["momenta"][:, None], angles(table), INPUTS) for codes in (pdg, conjugate)]
    torch.testing.assert_close(ours[0], ours[1], rtol=1e-9, atol=0)


def test_squared_amplitude_is_the_same_in_any_frame(load_table) -> None:
    """A boost and a rotation that put no particle on an axis."""
    table = load_table("A2")
    p = torch.from_numpy(table["momenta"])
    generator = torch.tensor([[0, 0.3, -0.2, 0.4], [0.3, 0, 0.5, -0.7], [-0.2, -0.5, 0, 0.6], [0.4, 0.7, -0.6, 0]]).double()
    moved = p @ torch.linalg.matrix_exp(generator).T
    alpha = torch.tensor(0.8, dtype=torch.float64)
    ours = [squared_amplitude(table["pdg"], momenta, alpha, INPUTS) for momenta in (p, moved)]
    torch.testing.assert_close(ours[1], ours[0], rtol=1e-9, atol=0)


def test_a_top_at_rest_is_no_special_point(load_table) -> None:
    """In the rest frame of the top its helicity is undefined, |M|² is not."""
    table = load_table("A1")
    p = torch.from_numpy(table["momenta"][:50])
    top = p[:, 3] * torch.tensor([1, -1, -1, -1], dtype=torch.float64)
    moved = kinematics.boost(p, top[:, None].expand_as(p))
    moved[:, 3] = torch.tensor([INPUTS.mt, 0, 0, 0], dtype=torch.float64)
    ours = squared_amplitude(table["pdg"], moved[:, None], angles(table), INPUTS)
    np.testing.assert_allclose(ours.numpy(), table["msq"][:50], rtol=1e-9, atol=0)


def test_single_precision_is_good_to_two_in_ten_thousand(table: dict) -> None:
    """Rounding of the float32 momenta themselves, enlarged by the gauge cancellation at several TeV."""
    momenta = torch.from_numpy(table["momenta"]).float()
    ours = squared_amplitude(table["pdg"], momenta[:, None], angles(table).float(), INPUTS)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), table["msq"], rtol=2e-4, atol=0)


def test_every_channel_of_a_generation_is_that_of_the_other(load_table) -> None:
    momenta = load_table("A1")["momenta"]
    second = {code: sign * (abs(code) + 2) for code in (1, 2, -1, -2) for sign in [1 if code > 0 else -1]}
    for pdg in [codes for codes in CHANNELS if abs(codes[0]) <= 2]:
        other = tuple(second.get(code, code) for code in pdg)
        assert torch.equal(squared_amplitude(pdg, momenta, 0.5, INPUTS), squared_amplitude(other, momenta, 0.5, INPUTS))


def test_amplitudes_run_wherever_the_momenta_are() -> None:
    """On a device without data any stray tensor of another device raises."""
    momenta = torch.empty(3, 5, 4, dtype=torch.float64, device="meta")
    amplitudes = helicity_amplitudes((2, 5, 1, 6, 25), momenta, INPUTS)
    assert isinstance(amplitudes, Amplitudes)
    assert amplitudes.w.shape == (2, 3)
    assert amplitudes.p.device.type == "meta"


def test_process_offers_the_squared_amplitude(thj: THJ, load_table) -> None:
    table = load_table("A3")
    single = thj.squared_amplitude(table["pdg"], table["momenta"][0], math.pi / 2)
    assert float(single) == pytest.approx(table["msq"][0, list(table["alphas_deg"]).index(90)], rel=1e-9)


@pytest.mark.parametrize("pdg", [(2, 5, 1, 6, 24), (5, 2, 1, 6, 25), (2, 5, 1, 6), (2, 5, 1, -6, 25)])
def test_unknown_particles_are_an_error(thj: THJ, pdg: tuple) -> None:
    with pytest.raises(InputError, match="no matrix element"):
        thj.squared_amplitude(pdg, torch.zeros(1, 5, 4), 0.0)


@pytest.mark.parametrize("shape", [(4,), (4, 4), (2, 5, 3), (5,)])
def test_a_wrong_shape_is_an_error(thj: THJ, shape: tuple) -> None:
    with pytest.raises(InputError, match="shape"):
        thj.squared_amplitude((2, 5, 1, 6, 25), torch.zeros(shape), 0.0)
