"""dσ/dx_hard, σ(α) and events of pp → t t̄ H against the reference tables, and against each other."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from bmem.errors import InputError, RangeError
from bmem.events.lhe import LHERecord
from bmem.events.record import HardEvents
from bmem.kinematics import mass_squared, wrap
from bmem.process import THJ, TTH, Process
from bmem.process.integration import REPLICATES
from bmem.process.top_pair_amplitudes import PairMomenta, TopLine
from bmem.process.top_pair_squares import colour_lines, gluon_flows, gluon_squares

DATA = Path(__file__).parent.parent / "data" / "tth"
FALSE_ALARM = 2e-5
BINS = 16
GLUONS = "g g > t t~ h"
NAMES = (GLUONS, "u u~ > t t~ h", "d d~ > t t~ h", "s s~ > t t~ h", "c c~ > t t~ h")


def angle(degrees: float) -> Tensor:
    return torch.tensor([math.radians(degrees)], dtype=torch.float64)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def tth() -> TTH:
    return TTH()


@pytest.fixture(scope="module")
def differential() -> dict[str, np.ndarray]:
    with np.load(DATA / "public_differential_13TeV.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def x_hard(tth: TTH, differential: dict[str, np.ndarray]) -> Tensor:
    return tth.space.from_momenta(torch.from_numpy(differential["momenta_ttxH"]))[0]


@pytest.fixture(scope="module")
def cross_sections() -> dict:
    return json.loads((DATA / "xsec_tth.json").read_text())["results"]["13000"]


def test_it_is_a_process_with_the_parameter_of_thj(tth: TTH) -> None:
    assert isinstance(tth, Process)
    assert tth.parameters == THJ.parameters


def test_differential_cross_section_is_that_of_the_table(tth: TTH, x_hard: Tensor, differential: dict) -> None:
    alpha = torch.linspace(-math.pi, math.pi, 49, dtype=torch.float64)
    series = torch.stack([torch.ones_like(alpha), alpha.cos(), alpha.sin(), (2 * alpha).cos(), (2 * alpha).sin()])
    ours = tth.components(x_hard) @ tth.basis(alpha[:, None]).T
    np.testing.assert_allclose(ours.numpy(), differential["fourier_pb"] @ series.numpy(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("degrees", [0, 45, 90, 135, 180])
def test_cross_sections_are_those_of_the_table(tth: TTH, cross_sections: dict, degrees: int) -> None:
    """σ(α) within 0.3 %, of everything, of g g and of q q̄; the errors given are smaller than that."""
    parts = {name: tth.cross_section(angle(degrees), name) for name in NAMES}
    classes = list(cross_sections["classes"].values())
    pairs = [
        (tth.cross_section(angle(degrees)), cross_sections["sum"]),
        (parts[GLUONS], classes[0]),
        ((sum(parts[name][0] for name in NAMES[1:]), max(parts[name][1] for name in NAMES[1:])), classes[1]),
    ]
    for (value, error), table in pairs:
        assert 1000 * value == pytest.approx(table[str(degrees)][0], rel=3e-3)
        assert error < 1e-3 * value


@pytest.mark.parametrize("degrees", [0, 90])
def test_cross_sections_of_single_flavours_are_those_of_the_table(tth: TTH, cross_sections: dict, degrees: int) -> None:
    for quark, table in cross_sections["q q~ by flavour"].items():
        value, _ = tth.cross_section(angle(degrees), f"{quark} > t t~ h")
        assert 1000 * value == pytest.approx(table[str(degrees)][0], rel=3e-3)


def test_cross_section_error_is_honest(tth: TTH, cross_sections: dict) -> None:
    """The difference to the reference at 90° in units of both errors, by Student's t of the eight replicates: p = 2e-5."""
    expected, reference_error = (number / 1000 for number in cross_sections["sum"]["90"])
    value, error = tth.cross_section(math.pi / 2)
    pull = (value - expected) / math.hypot(error, reference_error)
    assert 2 * stats.t.sf(abs(pull), REPLICATES - 1) > FALSE_ALARM


def test_channels_add_up_and_beams_are_alike(tth: TTH, x_hard: Tensor) -> None:
    """Gluons are half in one beam order and half in the other; a turned event swaps the orders of quarks."""
    channels = tth.channel_components(x_hard)
    assert channels.shape == (500, 5, 2, 2)
    torch.testing.assert_close(channels.sum((1, 2)), tth.components(x_hard), rtol=1e-10, atol=0)
    assert torch.equal(channels[:, 0, 0], channels[:, 0, 1])
    turned = tth.space.rotated(x_hard, torch.tensor(1.3, dtype=torch.float64), torch.ones(500, dtype=torch.bool))
    torch.testing.assert_close(tth.channel_components(turned), channels.flip(2), rtol=1e-8, atol=0)


def test_exchange_of_the_tops_and_reflection_change_nothing(tth: TTH, x_hard: Tensor, differential: dict) -> None:
    exchanged = torch.from_numpy(differential["momenta_ttxH"])[:, [1, 0, 2]]
    mirrored = x_hard * torch.tensor([1, -1, 1, 1, -1, 1, 1], dtype=torch.float64)
    expected = tth.components(x_hard) / tth.space.measure(x_hard)[:, None]
    for x in (tth.space.from_momenta(exchanged)[0], mirrored):
        torch.testing.assert_close(tth.components(x) / tth.space.measure(x)[:, None], expected, rtol=1e-8, atol=0)


def test_components_vanish_outside_with_gradients_that_are_numbers(tth: TTH, x_hard: Tensor) -> None:
    x = x_hard[:3].clone()
    x[0, 0], x[1, 3], x[2, 5] = -5.0, 0.0, 12.0
    x.requires_grad_()
    components = tth.components(x)
    assert (components == 0).all()
    components.sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_components_have_gradients(tth: TTH, x_hard: Tensor) -> None:
    """Relative derivatives, in units in which they are of order one."""
    size, units = tth.components(x_hard[:2]), torch.tensor([100, 1, 1, 100, 1, 1, 1], dtype=torch.float64)

    def scaled(z: Tensor) -> Tensor:
        return tth.components(z * units) / size

    assert torch.autograd.gradcheck(scaled, (x_hard[:2] / units).requires_grad_())


def test_shapes_precision_and_devices(tth: TTH, x_hard: Tensor) -> None:
    expected = tth.components(x_hard)
    assert tth.components(x_hard.reshape(5, 100, 7)).shape == (5, 100, 2)
    assert tth.components(x_hard[:0]).shape == (0, 2)
    torch.testing.assert_close(tth.components(x_hard[0]), expected[0], rtol=1e-12, atol=0)
    single = tth.components(x_hard.float())
    assert single.dtype == torch.float32
    assert float(((single - expected).abs() / expected.sum(-1, keepdim=True)).max()) < 1e-3
    assert tth.components(torch.empty(4, 7, device="meta")).shape == (4, 2)
    with pytest.raises(InputError, match="x_hard has shape"):
        tth.components(torch.zeros(3, 6))


def observables(tth: TTH, x: Tensor) -> dict[str, Tensor]:
    """Coordinates that no symmetry makes flat, and what correlates them."""
    top, antitop, higgs = tth.space.to_momenta(x)[0].unbind(1)
    found = dict(zip(tth.space.coordinate_names, x.T, strict=True))
    return found | {
        "mass_tt": mass_squared(top + antitop).sqrt(),
        "mass_all": mass_squared(top + antitop + higgs).sqrt(),
        "delta_phi": wrap(x[:, 4] - x[:, 1]),
        "y_t y_tbar": x[:, 5] * x[:, 6],
    }


class FlatProposal:
    """Points straight in x_hard, wider than the process in every tail: knows nothing of grids, maps or symmetries."""

    def __init__(self, n: int, seed: int) -> None:
        u = torch.rand(n, 4, generator=rng(seed), dtype=torch.float64)
        z = torch.randn(n, 3, generator=rng(seed + 1), dtype=torch.float64)
        pt_h, pt_t = 500 * (u[:, 0] ** -0.2 - 1), 600 * (u[:, 1] ** -0.2 - 1)
        phi_h, phi_t = math.pi * (2 * u[:, 2:] - 1).T
        y_h = 1.3 * z[:, 0]
        y_t, y_tbar = (0.4 * y_h + 1.3 * z[:, i] for i in (1, 2))
        self.x = torch.stack([pt_h, phi_h, y_h, pt_t, phi_t, y_t, y_tbar], dim=1)
        momenta = 5 / 500 / (1 + pt_h / 500) ** 6 * 5 / 600 / (1 + pt_t / 600) ** 6
        self.density = momenta * torch.exp(-0.5 * (z**2).sum(1)) / ((2 * math.pi) ** 1.5 * 1.3**3) / (2 * math.pi) ** 2


@pytest.fixture(scope="module")
def proposal(tth: TTH) -> tuple[Tensor, Tensor]:
    """Points [N, 7] and components over their density [N, 2]."""
    flat = FlatProposal(150_000, 11)
    return flat.x, tth.components(flat.x) / flat.density[:, None]


def p_value(counted: Tensor, x: Tensor, weights: Tensor) -> float:
    """χ² probability of the shapes of unweighted values and weighted values x, in bins of equal weighted content."""
    order = torch.argsort(x)
    content = weights[order].cumsum(0) / weights.sum()
    edges = x[order][torch.searchsorted(content, torch.arange(1, BINS) / BINS)]
    cell = torch.bucketize(x.contiguous(), edges)
    share = torch.bincount(cell, weights, minlength=BINS) / weights.sum()
    observed = torch.bincount(torch.bucketize(counted.contiguous(), edges), minlength=BINS) / len(counted)
    squares = torch.bincount(cell, weights**2, minlength=BINS) / weights.sum() ** 2
    variance = share * (1 - share) / len(counted) + squares * (1 - 2 * share) + share**2 * squares.sum()
    return float(stats.chi2.sf(float(((observed - share) ** 2 / variance).sum()), BINS - 1))


def test_flat_integral_is_the_cross_section(tth: TTH, proposal: tuple[Tensor, Tensor]) -> None:
    """∫ d⁷x Σ b_k s_k = σ(α) within four of its standard errors (p = 6e-5 per angle), each below 2 %."""
    for degrees in (0, 45, 90):
        weights = proposal[1] @ tth.basis(angle(degrees))
        error, (value, _) = float(weights.std()) / math.sqrt(len(weights)), tth.cross_section(angle(degrees))
        assert error < 0.02 * value
        assert float(weights.mean()) == pytest.approx(value, abs=4 * error)


@pytest.mark.parametrize("degrees", [20.0, 90.0])
def test_events_follow_the_differential_cross_section(tth: TTH, proposal: tuple[Tensor, Tensor], degrees: float) -> None:
    """χ² of each of eleven distributions against weighted flat points; each fails by chance with p = 2e-5."""
    events, report = tth.generate(6_000, angle(degrees), rng(21))
    assert report.efficiency > 0.02
    assert report.over_weights < 0.003 * len(events)
    generated, expected = observables(tth, events.x), observables(tth, proposal[0])
    weights = proposal[1] @ tth.basis(angle(degrees))
    chances = {name: p_value(generated[name], expected[name], weights) for name in generated}
    assert min(chances.values()) > FALSE_ALARM, chances
    wrong = proposal[1] @ tth.basis(angle(90.0 - degrees))
    assert p_value(generated["mass_tt"], expected["mass_tt"], wrong) < FALSE_ALARM


def test_channels_come_in_the_proportion_of_their_cross_sections(tth: TTH) -> None:
    """Counts of the particle codes over channels and beam orders: χ² with p = 2e-5."""
    events = tth.sample(8_000, angle(45.0), rng(41))
    assert events.pdg is not None
    total, expected, observed = tth.cross_section(angle(45.0))[0], [], []
    for c in tth.channels:
        for first, second in dict.fromkeys([(c.first, c.second), (c.second, c.first)]):
            codes = torch.tensor([first, second, 6, -6, 25])
            observed.append(int((events.pdg == codes).all(1).sum()))
            share = tth.cross_section(angle(45.0), c.name)[0] / total
            expected.append(len(events) * (share if first == second else share / 2))
    assert sum(observed) == len(events)
    assert stats.chisquare(observed, expected, sum_check=False).pvalue > FALSE_ALARM


def test_quarks_go_with_the_momentum_of_their_event(tth: TTH) -> None:
    """Valence quarks carry more than antiquarks: drawn as often as the beam order's share given x says (p = 6e-7)."""
    events = tth.sample(8_000, angle(0.0), rng(51))
    assert events.pdg is not None
    shares = tth.channel_components(events.x) @ tth.basis(angle(0.0))
    shares = shares / shares.sum((1, 2), keepdim=True)
    forward = events.x[:, [2, 5, 6]].mean(1) > 0.5
    for order, code in enumerate((2, -2)):
        chance, drawn = shares[forward, 1, order], events.pdg[forward, 0] == code
        assert float(drawn.sum()) == pytest.approx(float(chance.sum()), abs=5 * float((chance * (1 - chance)).sum().sqrt()))


def test_the_same_generator_gives_the_same_events(tth: TTH) -> None:
    theta = torch.stack([angle(0.0), angle(90.0)]).repeat(50, 1)
    first, again = tth.sample(100, theta, rng(61)), tth.sample(100, theta, rng(61))
    assert torch.equal(first.theta, theta)
    assert torch.equal(again.x, first.x)
    assert first.pdg is not None
    assert again.pdg is not None
    assert torch.equal(again.pdg, first.pdg)
    assert tth.sample(0, angle(0.0), rng(0)).x.shape == (0, 7)


def test_momenta_travel_through_an_lhe_record(tth: TTH) -> None:
    events = tth.sample(100, angle(45.0), rng(91))
    momenta = tth.to_momenta(events)
    torch.testing.assert_close(momenta[:, :2].sum(1), momenta[:, 2:].sum(1), rtol=1e-9, atol=1e-8)
    masses = torch.tensor([172.5, 172.5, 125.0]).double()
    torch.testing.assert_close(mass_squared(momenta[:, 2:]).sqrt(), masses.expand(100, 3))
    assert events.pdg is not None
    record = LHERecord(momenta, events.pdg, events.weight, (math.radians(45.0),), cross_section=1.0)
    back = tth.to_hard(record)
    torch.testing.assert_close(back.x, events.x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(back.theta, events.theta)
    with pytest.raises(InputError, match="14000 GeV"):
        tth.to_hard(replace(record, sqrt_s=14_000.0))


def open_ends(pdg: Tensor, lines: Tensor) -> list[int]:
    """What is left of the colour lines of one event when each that comes in has gone out: nothing, if they are conserved."""
    balance: dict[int, int] = {}
    for place, ends in enumerate(lines.tolist()):
        for line, sign in zip(ends, (1, -1), strict=True):
            balance[line] = balance.get(line, 0) + (sign if place < 2 else -sign)
    return [line for line, count in balance.items() if line and count]


def test_colour_lines_are_conserved_and_fit_the_particles(tth: TTH) -> None:
    events = tth.sample(400, angle(30.0), rng(101))
    lines = tth.colour_lines(events, rng(1))
    assert events.pdg is not None
    assert lines.shape == (400, 5, 2)
    for pdg, event in zip(events.pdg, lines, strict=True):
        assert open_ends(pdg, event) == []
    colour, anticolour = (lines > 0).unbind(-1)
    assert torch.equal(colour, (events.pdg == 21) | ((events.pdg > 0) & (events.pdg <= 6)))
    assert torch.equal(anticolour, (events.pdg == 21) | (events.pdg < 0))
    assert torch.equal(tth.colour_lines(events, rng(1)), lines)


def test_colour_flows_come_as_often_as_their_squares_say(tth: TTH) -> None:
    """Each event has its own chance; the sum within five standard deviations (p = 6e-7), forward and backward."""
    events = tth.sample(4_000, angle(60.0), rng(111))
    assert events.pdg is not None
    events = events[events.pdg[:, 0] == 21]
    point = tth.space.kinematics(events.x)
    top, antitop, higgs = point.outgoing
    line = TopLine(PairMomenta(top, antitop, higgs, point.x1 * 13_000, point.x2 * 13_000), tth.inputs)
    flows = (gluon_flows(line).movedim(1, -1) * tth.basis(events.theta)).sum(-1)
    chance = flows[0] / flows.sum(0)
    first_next_to_top = (tth.colour_lines(events, rng(2))[:, 0, 0] == 501).double()
    for part in (events.x[:, 5] > events.x[:, 6], events.x[:, 5] <= events.x[:, 6]):
        spread = float((chance * (1 - chance))[part].sum().sqrt())
        assert float(first_next_to_top[part].sum()) == pytest.approx(float(chance[part].sum()), abs=5 * spread)
    # a top that flies with the gluon along +z is its colour partner
    assert float(chance[events.x[:, 5] > events.x[:, 6] + 1].mean()) > 0.6


def test_flows_are_the_square_where_colours_are_many(tth: TTH, x_hard: Tensor) -> None:
    """16/3 (|a|² + |b|²) - 4/3 Re ab* lies between 14/3 and 6 of the sum of the flows: 1/N² of it is interference."""
    point = tth.space.kinematics(x_hard)
    top, antitop, higgs = point.outgoing
    line = TopLine(PairMomenta(top, antitop, higgs, point.x1 * 13_000, point.x2 * 13_000), tth.inputs)
    ratio = gluon_squares(line) / (2 * gluon_flows(line).sum(0))
    assert 14 / 3 - 1e-9 < float(ratio.min()) < float(ratio.max()) < 6 + 1e-9


def test_bad_requests_are_errors(tth: TTH) -> None:
    with pytest.raises(InputError, match="no channel"):
        tth.cross_section(0.0, "b b~ > t t~ h")
    with pytest.raises(InputError, match="sqrt_s"):
        TTH(sqrt_s=400.0)
    with pytest.raises(InputError, match="alpha_s"):
        TTH(alpha_s=-0.1)
    with pytest.raises(RangeError, match="Q in"):
        TTH(scale=1e6)
    with pytest.raises(InputError, match="theta"):
        tth.sample(5, torch.zeros(2), rng(0))
    hard = HardEvents(torch.ones(1, 7), torch.zeros(1, 1), torch.ones(1))
    with pytest.raises(InputError, match="particle codes"):
        tth.colour_lines(hard, rng(0))
    with pytest.raises(InputError, match="no matrix element"):
        colour_lines(torch.tensor([[2, 5, 6, 25, 1]]), torch.ones(1, 5, 4), torch.zeros(1), rng(0), tth.inputs)
