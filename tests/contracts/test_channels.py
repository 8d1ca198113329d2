"""What every channel must offer: bmem's own, and the one of the guide."""

from __future__ import annotations

import io
import pickle
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from channel_examples import NETWORKS, SECTIONS
from rich.console import Console
from torch import Tensor

from bmem.calibration.ceiling import Ceiling
from bmem.channels.contract import Channel, acceptance_coordinates, lacking, readable, shown_observables
from bmem.channels.section import ChannelSection
from bmem.config import parse
from bmem.events import parquet
from bmem.events.observation import Layout
from bmem.events.target import Target
from bmem.likelihood.basis import MorphingBasis
from bmem.likelihood.coordinates import Residuals, nothing
from bmem.likelihood.density import condition_layout
from bmem.rng import generator
from bmem.simulation.contract import Response
from bmem.simulation.pairs import simulate
from bmem.stages import STAGES, Run
from bmem.stages.calibrate import SampleCalibration
from bmem.stages.imports import import_file

TINY = Path(__file__).parents[1] / "stages" / "tiny.toml"
EVENTS = 400


@pytest.fixture(scope="module", params=SECTIONS)
def channel(request: pytest.FixtureRequest) -> Channel:
    return ChannelSection(**SECTIONS[request.param]).make()


def middle(channel: Channel, share: float = 0.6) -> Tensor:
    """θ [P] at a share of the range of every parameter."""
    low, high = torch.tensor([p.bounds for p in channel.parameters], dtype=torch.float64).T
    return low + share * (high - low)


@pytest.fixture(scope="module")
def pairs(channel: Channel) -> tuple[Tensor, Tensor]:
    """Observations [A, D] and x_hard [A, H] of accepted events."""
    hard = channel.process.sample(10 * EVENTS, middle(channel), generator(1, "hard"))
    made = simulate(hard, channel.response, channel.selection, seed=1)
    return channel.observe(made.reco)[:EVENTS], made.accepted_hard.x[:EVENTS]


def test_nothing_is_lacking(channel: Channel) -> None:
    assert lacking(channel) == []
    assert isinstance(channel, Channel)
    assert isinstance(channel.response, Response)
    assert {"process", "selection"} <= set(channel.provenance)


def test_equal_sections_make_one_channel_and_default_settings_a_channel() -> None:
    for section in SECTIONS.values():
        assert ChannelSection(**section).make() is ChannelSection(**section).make()
        assert lacking(ChannelSection(name=section["name"]).make()) == []


def test_quantities_are_as_many_as_columns(channel: Channel, pairs: tuple[Tensor, Tensor]) -> None:
    x_reco, x_hard = pairs
    assert x_reco.dtype == torch.float64
    layout = getattr(channel.transfer, "target", None) or Layout(len(channel.transfer.circular))
    assert x_reco.shape[1] == layout.width
    assert len(channel.transfer.circular) == layout.values + layout.features
    seen = readable(channel, x_reco)
    assert seen.shape == (len(x_reco), len(channel.observables))
    for column, _ in shown_observables(channel):
        assert seen[:, column].isfinite().any()
    assert condition_layout(acceptance_coordinates(channel)).objects == 0
    assert x_hard.shape[1] == len(channel.hard_quantities) == len(channel.proposal.circular)
    for names in ([q.name for q in channel.observables], [q.name for q in channel.hard_quantities]):
        assert len(set(names)) == len(names)


def test_the_process_samples_what_its_components_say(channel: Channel, pairs: tuple[Tensor, Tensor]) -> None:
    """Unweighted events of positive density at their θ; zero outside of the phase space; σ(θ) is linear in the basis."""
    process, theta = channel.process, middle(channel)
    hard = process.sample(EVENTS, theta, generator(2, "hard"))
    assert hard.theta.shape == (EVENTS, len(process.parameters))
    assert (hard.weight - 1).abs().max() < 1
    assert hard.weight.median() == 1
    components = process.components(hard.x)
    density = (components * process.basis(theta)).sum(-1)
    assert components.shape == (EVENTS, process.basis(theta).shape[-1])
    assert (density > 0).all()
    assert (process.components(1e6 * torch.ones_like(hard.x[:5])).abs() < 1e-300).all()
    thetas = torch.stack([middle(channel, share) for share in np.linspace(0.02, 0.98, 12)])
    basis = process.basis(thetas).numpy()
    sigma = np.array([process.cross_section(t)[0] for t in thetas])
    fitted = basis @ np.linalg.lstsq(basis, sigma, rcond=None)[0]
    np.testing.assert_allclose(fitted, sigma, rtol=1e-9)


def test_the_response_is_reproducible_and_travels(channel: Channel) -> None:
    hard = channel.process.sample(100, middle(channel), generator(3, "hard"))
    one = channel.response(hard, generator(4, "response"))
    copy = pickle.loads(pickle.dumps(channel.response))
    other = copy(hard, generator(4, "response"))
    assert len(one) == 100
    assert repr(copy) == repr(channel.response)
    for name, objects in one.collections.items():
        assert torch.equal(objects.features, other.collections[name].features)
        assert torch.equal(objects.mask, other.collections[name].mask)
    accepted = channel.selection.accept(one)
    kept = channel.selection.keep_objects(one[accepted])
    assert accepted.shape == (100,)
    assert bool(channel.selection.accept(kept).all())


def coordinates(channel: Channel, pairs: tuple[Tensor, Tensor]) -> list[tuple[Residuals, Tensor, Tensor]]:
    """Each with a target and a reference."""
    x_reco, x_hard = pairs
    found = [(channel.transfer, x_reco, x_hard), (channel.proposal, x_hard, x_reco)]
    return found + ([] if channel.unconditional is None else [(channel.unconditional, x_reco, nothing(x_reco))])


def continuous(jacobian: Tensor, target: Target, rows: Tensor) -> Tensor:
    """The same [N, width, width] with 1 for what is no coordinate of an event: tags, the mask and empty places."""
    _, objects, mask = target.unpack(rows)
    there = mask.unsqueeze(-1).expand_as(objects).clone()
    if target.tag is not None:
        there[..., -1] = 0
    kept = torch.cat([torch.ones(len(rows), target.values), there.flatten(1), torch.zeros_like(mask)], -1)
    both = kept.unsqueeze(-1) * kept.unsqueeze(-2)
    return jacobian * both + torch.diag_embed(1 - kept)


def test_coordinates_invert_with_the_jacobian_of_autograd(channel: Channel, pairs: tuple[Tensor, Tensor]) -> None:
    for residuals, target, reference in coordinates(channel, pairs):
        r, log_det = residuals.forward(target, reference)
        back, log_det_back = residuals.inverse(r, reference)
        layout = getattr(residuals, "target", None)
        # the end of a heavy tail is cut off where a selection ends: some digits are lost there
        precision = 1e-9 if layout is None else 1e-6
        torch.testing.assert_close(back, target, rtol=precision, atol=precision)
        torch.testing.assert_close(log_det, -log_det_back, rtol=0, atol=precision)
        jacobian = torch.func.vmap(torch.func.jacfwd(lambda t, c, own=residuals: own.forward(t, c)[0]))(target, reference)
        if layout is not None:
            jacobian = continuous(jacobian, layout, target)
        torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian)[1], rtol=0, atol=1e-8)
        assert residuals.features(reference).shape == (len(reference), residuals.n_features)
        if layout is None:
            circular = r[:, list(residuals.circular)]
            assert bool((circular.abs() <= torch.pi).all())
        else:
            assert bool(((r >= 0) & (r <= 1)).all())


def test_derivatives_of_every_basis(channel: Channel) -> None:
    """Against central differences, whose error is 1e-9 of the largest value."""
    bases: list[Any] = [MorphingBasis.of(channel.process), *channel.bases.values()]
    size = {basis.value(np.full(len(basis.parameters), 0.3)).shape for basis in bases}
    assert len(size) == 1  # of the same components
    for basis in bases:
        theta, step = np.array([p.bounds[0] + 0.37 * (p.bounds[1] - p.bounds[0]) for p in basis.parameters]), 1e-4
        for i, e in enumerate(step * np.eye(len(theta))):
            gradient = (basis.value(theta + e) - basis.value(theta - e)) / (2 * step)
            np.testing.assert_allclose(basis.gradient(theta)[i], gradient, atol=1e-6)
            hessian = (basis.gradient(theta + e) - basis.gradient(theta - e)) / (2 * step)
            np.testing.assert_allclose(basis.hessian(theta)[i], hessian, atol=1e-6)


def test_backgrounds_are_normalised(channel: Channel) -> None:
    """E_p[q/p] = ∫ q = 1 for a q within the support of p, if ∫ p = 1: within 4 errors (false alarm 6e-5), seeded.

    q is Gaussian in the coordinates without reference, 0.7 times as wide as p, and uniform in angles.
    """
    for background in channel.backgrounds.values():
        x = background.sample(40_000, generator(5, "background"))
        assert x.shape == (40_000, len(channel.observables))
        log_p = background.log_density(x)
        assert bool(torch.isfinite(log_p).all())
        assert channel.unconditional is not None
        r, log_det = channel.unconditional.forward(x, nothing(x))
        straight = [not circular for circular in channel.unconditional.circular]
        log_q = torch.distributions.Normal(r.mean(0), 0.7 * r.std(0)).log_prob(r)[:, straight].sum(-1) + log_det
        ratio = torch.exp(log_q - straight.count(False) * np.log(2 * np.pi) - log_p)
        error = float(ratio.std()) / len(x) ** 0.5
        assert error < 0.05
        assert abs(float(ratio.mean()) - 1) < 4 * error


def run_of(case: str, out: Path) -> Run:
    """A tiny measurement with a sample of the channel's own parameters."""
    content = tomllib.loads(TINY.read_text(encoding="utf-8"))
    channel = ChannelSection(**SECTIONS[case]).make()
    truth = {p.name: float(p.quantity.printed(t)) for p, t in zip(channel.parameters, middle(channel), strict=True)}
    content |= {"channel": SECTIONS[case], "sample": [{"name": "a", "events": 500, **truth}]}
    for section, network in NETWORKS.get(case, {}).items():
        content[section]["network"] = network
    small = {"width": 8, "heads": 2, "blocks": 1, "hidden": 8, "layers": 1}
    content["ratio"] = {"learn": True, "network": small, "training": {"epochs": 2, "batch_size": 64}}
    return Run(parse(content), out, Console(file=io.StringIO(), soft_wrap=True))


@pytest.mark.slow
@pytest.mark.parametrize("case", SECTIONS)
def test_all_stages_run(case: str, tmp_path: Path) -> None:
    run = run_of(case, tmp_path / "out")
    for stage in STAGES.values():
        stage(run)
    fits = SampleCalibration.load(run.calibration("a")).fits
    assert fits.truth == pytest.approx(float(middle(run.channel)[0]))
    assert Ceiling.load(run.ceiling("a")).events == SampleCalibration.load(run.calibration("a")).score.scores.shape[0]
    assert "kept by a regression" in (run.out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", ["toy", "guide"])
def test_events_are_written_imported_and_observed(case: str, tmp_path: Path) -> None:
    """Vectors of observables go through event files like any others."""
    channel = ChannelSection(**SECTIONS[case]).make()
    hard = channel.process.sample(200, middle(channel), generator(6, "hard"))
    pairs = simulate(hard, channel.response, channel.selection, seed=1)
    parquet.write_reco(tmp_path / "seen.parquet", pairs.reco)
    path = import_file(tmp_path / "seen.parquet", tmp_path / "imported", channel, {}, Console(file=io.StringIO()))
    again = parquet.read_reco(path)
    torch.testing.assert_close(channel.observe(again), channel.observe(pairs.reco), rtol=0, atol=0)
