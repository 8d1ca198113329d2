"""Generated events against an independent weighted integral and the channel fractions, and their bookkeeping."""

import math
import time
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor

from bmem.errors import InputError
from bmem.events.lhe import LHERecord
from bmem.events.record import HardEvents
from bmem.kinematics import mass_squared, wrap
from bmem.process import TBH, THJ
from bmem.process.generation import GenerationReport

FALSE_ALARM = 2e-5
BINS = 20


def angle(degrees: float) -> Tensor:
    return torch.tensor([math.radians(degrees)], dtype=torch.float64)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def observables(process: THJ, x: Tensor) -> dict[str, Tensor]:
    """The coordinates, and what correlates them: masses, azimuthal distance, and the share of the T-odd component."""
    top, higgs, jet = process.space.to_momenta(x)[0].unbind(1)
    components = process.components(x)
    names = ("pt_h", "phi_h", "y_h", "pt_j", "phi_j", "y_j", "y_t")
    return dict(zip(names, x.T, strict=True)) | {
        "mass_th": mass_squared(top + higgs).sqrt(),
        "mass_all": mass_squared(top + higgs + jet).sqrt(),
        "delta_phi": wrap(x[:, 4] - x[:, 1]),
        "odd": components[:, 2] / components[:, 5],
        "y_j y_h": x[:, 5] * x[:, 2],
    }


class FlatProposal:
    """Points straight in x_hard, one coordinate at a time: knows nothing of grids, maps, channels or symmetries.

    Power laws in pT and normal distributions in y, wider than the process in every tail, and uniform φ.
    """

    def __init__(self, n: int, seed: int) -> None:
        u = torch.rand(n, 4, generator=rng(seed), dtype=torch.float64)
        z = torch.randn(n, 3, generator=rng(seed + 1), dtype=torch.float64)
        pt_h, pt_j = 300 * (u[:, 0] ** -0.25 - 1), 250 * (u[:, 1] ** -0.25 - 1)
        phi_h, phi_j = math.pi * (2 * u[:, 2:] - 1).T
        y_h, y_j = 1.6 * z[:, 0], 3.2 * z[:, 1]
        y_t = 0.5 * y_h + 1.4 * z[:, 2]
        self.x = torch.stack([pt_h, phi_h, y_h, pt_j, phi_j, y_j, y_t], dim=1)
        momenta = 4 / 300 / (1 + pt_h / 300) ** 5 * 4 / 250 / (1 + pt_j / 250) ** 5
        rapidities = torch.exp(-0.5 * (z**2).sum(1)) / ((2 * math.pi) ** 1.5 * 1.6 * 3.2 * 1.4)
        self.density = momenta * rapidities / (2 * math.pi) ** 2


@pytest.fixture(scope="module")
def proposal(thj: THJ) -> tuple[Tensor, Tensor]:
    """Points [N, 7] and components over their density [N, 6]."""
    flat = FlatProposal(300_000, 11)
    return flat.x, thj.components(flat.x) / flat.density[:, None]


def p_value(counted: Tensor, x: Tensor, weights: Tensor) -> float:
    """χ² probability of the shapes of unweighted values and weighted values x, in bins of equal weighted content."""
    order = torch.argsort(x)
    content = weights[order].cumsum(0) / weights.sum()
    edges = x[order][torch.searchsorted(content, torch.arange(1, BINS) / BINS).clamp(max=len(x) - 1)]
    cell = torch.bucketize(x.contiguous(), edges)
    share = torch.bincount(cell, weights, minlength=BINS) / weights.sum()
    observed = torch.bincount(torch.bucketize(counted.contiguous(), edges), minlength=BINS) / len(counted)
    squares = torch.bincount(cell, weights**2, minlength=BINS) / weights.sum() ** 2
    total = float((weights**2).sum() / weights.sum() ** 2)
    variance = share * (1 - share) / len(counted) + squares * (1 - 2 * share) + share**2 * total
    return float(stats.chi2.sf(float(((observed - share) ** 2 / variance).sum()), BINS - 1))


def test_flat_integral_is_the_cross_section(thj: THJ, proposal: tuple[Tensor, Tensor]) -> None:
    """∫ d⁷x Σ b_k s_k = σ(α) within four of its standard errors (p = 6e-5 per angle), each below 2 %."""
    for degrees in (0, 45, 90, 180):
        weights = proposal[1] @ thj.basis(angle(degrees))
        error = float(weights.std()) / math.sqrt(len(weights))
        value, _ = thj.cross_section(angle(degrees))
        assert error < 0.02 * value
        assert float(weights.mean()) == pytest.approx(value, abs=4 * error)


@pytest.mark.parametrize("degrees", [0.0, 60.0, -100.0])
def test_events_follow_the_differential_cross_section(thj: THJ, proposal: tuple[Tensor, Tensor], degrees: float) -> None:
    """χ² of each of twelve distributions against weighted flat points; each fails by chance with p = 2e-5."""
    events = thj.sample(12_000, angle(degrees), rng(21))
    generated = observables(thj, events.x)
    weights = proposal[1] @ thj.basis(angle(degrees))
    expected = observables(thj, proposal[0])
    chances = {name: p_value(generated[name], expected[name], weights) for name in generated}
    assert min(chances.values()) > FALSE_ALARM, chances


def test_the_closure_can_fail(thj: THJ, proposal: tuple[Tensor, Tensor]) -> None:
    """Events of another α, or of the other sign of α, are found out."""
    events = observables(thj, thj.sample(12_000, angle(60.0), rng(21)).x)
    expected = observables(thj, proposal[0])
    wrong = {a: proposal[1] @ thj.basis(angle(a)) for a in (30.0, -60.0)}
    assert p_value(events["mass_th"], expected["mass_th"], wrong[30.0]) < FALSE_ALARM
    assert p_value(events["odd"], expected["odd"], wrong[-60.0]) < FALSE_ALARM


def test_a_mixture_gives_every_event_its_own_alpha(thj: THJ, proposal: tuple[Tensor, Tensor]) -> None:
    """Two angles alternating in one call: each half follows its own density, in order; p = 2e-5 for each distribution."""
    n = 16_000
    theta = torch.stack([angle(0.0), angle(120.0)]).repeat(n // 2, 1)
    events = thj.sample(n, theta, rng(31))
    assert torch.equal(events.theta, theta)
    expected = observables(thj, proposal[0])
    for first, degrees in enumerate((0.0, 120.0)):
        generated = observables(thj, events.x[first::2])
        weights = proposal[1] @ thj.basis(angle(degrees))
        chances = {name: p_value(generated[name], expected[name], weights) for name in generated}
        assert min(chances.values()) > FALSE_ALARM, chances
    mixed = proposal[1] @ thj.basis(angle(0.0))
    assert p_value(observables(thj, events.x[1::2])["mass_th"], expected["mass_th"], mixed) < FALSE_ALARM


@pytest.mark.parametrize("kind", ["thj", "tbh"])
def test_channels_come_in_the_proportion_of_their_cross_sections(kind: str, request: pytest.FixtureRequest) -> None:
    """Counts of the particle codes over channels and beam orders: χ² with p = 2e-5."""
    process: THJ | TBH = request.getfixturevalue(kind)
    events = process.sample(20_000, angle(40.0), rng(41))
    assert events.pdg is not None
    expected, observed = [], []
    total, _ = process.cross_section(angle(40.0))
    for c in process.channels:
        for first, second in ((c.first, c.second), (c.second, c.first)):
            codes = torch.tensor([first, second, c.top, 25, c.jet])
            observed.append(int((events.pdg == codes).all(1).sum()))
            expected.append(len(events) * process.cross_section(angle(40.0), c.name)[0] / total / 2)
    assert sum(observed) == len(events)
    assert stats.chisquare(observed, expected, sum_check=False).pvalue > FALSE_ALARM


def test_codes_fit_the_momenta_of_their_event(thj: THJ) -> None:
    """The chance of a channel and beam order given x, summed over forward jets, is how often it was drawn (p = 6e-7)."""
    events = thj.sample(20_000, angle(90.0), rng(51))
    assert events.pdg is not None
    shares = thj.channel_components(events.x) @ thj.basis(angle(90.0))
    shares = shares / shares.sum((1, 2), keepdim=True)
    forward = events.x[:, 5] > 1
    for order, codes in enumerate(((2, 5), (5, 2))):
        drawn = (events.pdg[forward, :2] == torch.tensor(codes)).all(1)
        chance = shares[forward, 0, order]
        error = float((chance * (1 - chance)).sum().sqrt())
        assert float(drawn.sum()) == pytest.approx(float(chance.sum()), abs=5 * error)


def test_the_same_generator_gives_the_same_events(thj: THJ) -> None:
    """Whatever was generated before, and by whichever instance."""
    first = thj.sample(500, angle(20.0), rng(61))
    thj.sample(10, angle(90.0), rng(1))
    for process in (thj, THJ()):
        again = process.sample(500, angle(20.0), rng(61))
        assert torch.equal(again.x, first.x)
        assert again.pdg is not None
        assert first.pdg is not None
        assert torch.equal(again.pdg, first.pdg)
    assert not torch.equal(thj.sample(500, angle(20.0), rng(62)).x, first.x)


def test_few_events_are_unweighted_and_the_report_says_so(thj: THJ, caplog: pytest.LogCaptureFixture) -> None:
    events, report = thj.generate(2000, angle(90.0), rng(71))
    assert report == GenerationReport(2000, report.tried, int((events.weight > 1).sum()), float(events.weight.max()))
    assert 0.05 < report.efficiency < 0.3
    assert report.over_weights < 20
    assert float(events.weight.min()) == 1.0
    with caplog.at_level("INFO", logger="bmem"):
        thj.sample(10, angle(90.0), rng(71))
    assert "unweighting efficiency" in caplog.text


def test_over_weights_are_kept_with_their_weight(thj: THJ, proposal: tuple[Tensor, Tensor]) -> None:
    """A ceiling ten times too low: weighted events keep the right mean Higgs pT and (t, H) mass, within five errors."""
    low = replace(thj._generator, ceilings=thj._generator.ceilings / 10)
    u, weight, report = low.generate(angle(0.0).expand(20_000), rng(81))
    assert report.over_weights == int((weight > 1).sum())
    assert report.over_weights > 500
    assert report.largest_weight == float(weight.max())
    expected = observables(thj, proposal[0])
    target = proposal[1] @ thj.basis(angle(0.0))
    x = thj.space.coordinates(thj._adapted.points(u)[0])
    for name in ("pt_h", "mass_th"):
        (mean, error), (truth, truth_error) = (
            weighted_mean(observables(thj, x)[name], weight),
            weighted_mean(expected[name], target),
        )
        assert abs(mean - truth) < 5 * math.hypot(error, truth_error)


def weighted_mean(values: Tensor, weights: Tensor) -> tuple[float, float]:
    """Self-normalised mean and its standard error."""
    mean = float((weights * values).sum() / weights.sum())
    return mean, float(((weights * (values - mean)) ** 2).sum().sqrt() / weights.sum())


def test_ceilings_repeat_after_a_turn(thj: THJ) -> None:
    ceiling = thj._generator.ceiling
    alpha = torch.linspace(-math.pi, math.pi, 50, dtype=torch.float64)
    torch.testing.assert_close(ceiling(alpha + 2 * math.pi), ceiling(alpha), rtol=1e-9, atol=0)
    assert bool((ceiling(alpha) > 0).all())


def test_momenta_travel_through_an_lhe_record(thj: THJ) -> None:
    events = thj.sample(100, angle(45.0), rng(91))
    momenta = thj.to_momenta(events)
    assert momenta.shape == (100, 5, 4)
    torch.testing.assert_close(momenta[:, :2].sum(1), momenta[:, 2:].sum(1), rtol=1e-9, atol=1e-8)
    assert bool((momenta[:, 0, 3] > 0).all())
    assert bool((momenta[:, 1, 3] < 0).all())
    assert events.pdg is not None
    back = thj.to_hard(LHERecord(momenta, events.pdg, events.weight, (math.radians(45.0),), cross_section=1.0))
    torch.testing.assert_close(back.x, events.x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(back.theta, events.theta)


def test_a_record_of_another_energy_or_of_many_alphas_is_an_error(thj: THJ) -> None:
    events = thj.sample(2, angle(45.0), rng(91))
    assert events.pdg is not None
    record = LHERecord(thj.to_momenta(events), events.pdg, events.weight, (0.5,), cross_section=1.0, sqrt_s=14_000.0)
    with pytest.raises(InputError, match="14000 GeV"):
        thj.to_hard(record)
    with pytest.raises(InputError, match="α"):
        thj.to_hard(replace(record, sqrt_s=13_000.0, theta=None))


@pytest.mark.parametrize("theta", [torch.zeros(2), torch.zeros(3, 1), torch.zeros(5), torch.tensor([float("nan")])])
def test_a_wrong_theta_is_an_error(thj: THJ, theta: Tensor) -> None:
    with pytest.raises(InputError, match="theta"):
        thj.sample(5, theta, rng(0))


def test_no_events_are_no_error(thj: THJ) -> None:
    events = thj.sample(0, angle(0.0), rng(0))
    assert isinstance(events, HardEvents)
    assert events.x.shape == (0, 7)
    assert events.pdg is not None
    assert events.pdg.shape == (0, 5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["standard model", "mixture"])
def test_a_hundred_thousand_events_take_less_than_a_minute(kind: str) -> None:
    n = 100_000
    theta = angle(0.0) if kind == "standard model" else 2 * math.pi * torch.rand(n, 1, generator=rng(1), dtype=torch.float64)
    started = time.monotonic()
    assert len(THJ().sample(n, theta, rng(2))) == n
    assert time.monotonic() - started < 60
