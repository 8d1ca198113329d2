"""The Python API does what the command line does, and says what is wrong in the words of the user."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from iminuit.cost import NormalConstraint
from rich.console import Console

import bmem
from bmem.channels import load_channel
from bmem.channels.toy.channel import ToyChannel
from bmem.config import Config, parse
from bmem.errors import ArtifactError, ChannelError, ConfigError, InputError
from bmem.events.record import PairedEvents
from bmem.likelihood.cross_section import resampled_cross_section
from bmem.likelihood.networks import TrainedNetworks
from bmem.replicas import Ensemble
from bmem.rng import derive_seed, generator
from bmem.stages import STAGES, Run
from bmem.training.settings import History
from bmem.workers import processes

SMALL = {"blocks": 2, "hidden": 16, "layers": 1, "bins": 4}
SECTIONS: dict[str, Any] = {
    "transfer": {"network": SMALL, "training": {"epochs": 2, "batch_size": 64}},
    "acceptance": {"network": {"hidden": 16, "layers": 1}, "training": {"epochs": 2, "batch_size": 256}},
    "posterior": {"replicas": 2},
    "proposal": {"network": SMALL, "training": {"epochs": 2, "batch_size": 64}, "pairs": 200},
    "integration": {"pilot": 16, "min_points": 16, "max_points": 64, "resamples": 5, "block": 20},
}
CONTENT = {
    **SECTIONS,
    "seed": 3,
    "channel": {"name": "toy", "efficiency": 0.8},
    "simulation": {"events": 2000, "validation_events": 200},
    "sample": [{"name": "tilted", "theta": 0.3, "events": 100}],
    "fit": {"events": 50},
    "calibration": {"subsamples": 3, "size": 15},
}
ARRAYS = ("values", "covariance", "fiducial", "fiducial_covariance", "bootstrap", "fiducial_bootstrap")


@pytest.fixture(scope="module")
def config() -> Config:
    return parse(CONTENT)


@pytest.fixture(scope="module")
def finished(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What the command line leaves."""
    run = Run(config, tmp_path_factory.mktemp("run"), Console(file=io.StringIO()))
    for stage in ("simulate", "train", "integrate", "fit"):
        STAGES[stage](run)
    return run


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def chain(config: Config, told: list[tuple[str, int, int]]) -> bmem.Chain:
    return bmem.Chain.of(config, observer=lambda *news: told.append(news))


@pytest.fixture(scope="module")
def pairs(chain: bmem.Chain) -> PairedEvents:
    return chain.simulate(2000)


@pytest.fixture(scope="module")
def networks(chain: bmem.Chain, pairs: PairedEvents) -> TrainedNetworks:
    return chain.train(pairs)


@pytest.fixture(scope="module")
def coefficients(chain: bmem.Chain, networks: TrainedNetworks) -> bmem.Coefficients:
    sample = chain.simulate(100, name="tilted", theta=0.3)
    return chain.integrate(sample, networks, name="tilted", events=50)


def test_the_events_are_those_of_the_command_line(finished: Run, pairs: PairedEvents) -> None:
    there = bmem.load(finished.events("training"))
    assert isinstance(there, PairedEvents)
    assert torch.equal(there.hard.x, pairs.hard.x)
    assert torch.equal(there.accepted, pairs.accepted)


def test_the_coefficients_are_those_of_the_command_line(finished: Run, coefficients: bmem.Coefficients) -> None:
    """The same operations in the same order: equal to rounding."""
    there = bmem.load(finished.coefficients("tilted"))
    assert isinstance(there, bmem.Coefficients)
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(coefficients, name), getattr(there, name), rtol=1e-9, atol=1e-15, err_msg=name)
    assert there.diagnostics.keys() == coefficients.diagnostics.keys()


def test_the_measurement_is_that_of_the_command_line(
    finished: Run, chain: bmem.Chain, coefficients: bmem.Coefficients, networks: TrainedNetworks
) -> None:
    validation = chain.validate(chain.simulate(200, name="validation"), networks, events=12_000)
    there, result = bmem.load(finished.fit("tilted")), chain.measure(coefficients, validation=validation)
    assert isinstance(there, bmem.Measurement)
    assert there.budget.bias is not None
    assert result.budget.bias == there.budget.bias
    assert there.budget.bias.events == len(validation.exact)
    assert str(result).splitlines()[:2] == str(there).splitlines()[:2]
    np.testing.assert_allclose(result.curve.delta, there.curve.delta, rtol=1e-6, atol=1e-6)


def test_workers_integrate_the_same(config: Config, networks: TrainedNetworks, coefficients: bmem.Coefficients) -> None:
    """To rounding: the process of the tests may have more threads than a worker."""
    with processes(1) as workers:
        chain = bmem.Chain(config.channel.make(), seed=config.seed, workers=workers, **SECTIONS)
        sample = chain.simulate(100, name="tilted", theta=0.3)
        shared = chain.integrate(sample, networks, name="tilted", events=50)
    np.testing.assert_allclose(shared.values, coefficients.values, rtol=1e-9)


def test_backgrounds_are_measured_too(chain: bmem.Chain, coefficients: bmem.Coefficients) -> None:
    """A background without events far from the signal gets a fraction near none, and the signal is as without it."""
    wide = np.log(np.full(50, 1e-9))
    result = chain.measure(coefficients, {"wide": wide})
    assert [estimate.parameter.name for estimate in result.estimates] == ["theta", "f_wide"]
    assert result.estimates[1].value == pytest.approx(0, abs=1e-3)
    assert result.estimates[0].value == pytest.approx(chain.measure(coefficients).estimates[0].value, abs=1e-3)
def test_all_that_a_replica_learns_and_counts_is_of_one_resample(
    config: Config, pairs: PairedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transfer takes an accepted event as often as the acceptance does, and σ_k counts it as often."""
    taken, fit = [], Ensemble.fit

    def spy(self: Ensemble, *given: Any, **named: Any) -> History:
        taken.append(self.counts)
        return fit(self, *given, **named)

    monkeypatch.setattr(Ensemble, "fit", spy)
    found = bmem.Chain.of(config).train(pairs)
    transfer, acceptance = taken
    numbers = pairs.hard.numbers
    assert transfer is not None
    assert acceptance is not None
    assert acceptance.shape == (2, 2000)
    assert torch.equal(transfer, acceptance[:, pairs.accepted])
    counts = torch.zeros(2, 2000, dtype=acceptance.dtype).index_copy_(1, numbers, acceptance)
    expected = resampled_cross_section(ToyChannel().process, pairs, counts)
    np.testing.assert_array_equal(found.fiducial.values, expected.values)
    assert found.fiducial.resampled


def test_observers_are_told(told: list[tuple[str, int, int]], coefficients: bmem.Coefficients) -> None:
    assert ("simulate training", 2000, 2000) in told
    assert [news for news in told if news[0] == "train transfer"] == [("train transfer", n, 2) for n in range(3)]
    assert [news[1:] for news in told if news[0] == "train acceptance.posterior"] == [(0, 2), (1, 2), (2, 2)]  # members
    assert ("integrate tilted", 50, 50) in told


def test_networks_tell_how_they_were_learned(networks: TrainedNetworks) -> None:
    assert list(networks.histories) == [
        "transfer",
        "transfer.posterior",
        "acceptance",
        "acceptance.posterior",
        "proposal",
    ]
    assert "transfer: held-out loss" in repr(networks)
    assert len(networks.transfer) == len(networks.acceptance) == 2


def test_observed_events_pass_the_selection_first(
    chain: bmem.Chain, networks: TrainedNetworks, coefficients: bmem.Coefficients
) -> None:
    """What the detector saw of all events, accepted or not, gives the coefficients of the accepted ones."""
    sample = chain.simulate(100, name="tilted", theta=0.3)
    seen = chain.channel.response(sample.hard, generator(derive_seed(chain.seed, "response", "tilted"), "response", 0))
    assert len(seen) == 100 > int(sample.accepted.sum())
    observed = chain.integrate(seen, networks, name="tilted", events=20)
    np.testing.assert_allclose(observed.values, coefficients.values[:, :20], rtol=1e-9)
    with pytest.raises(InputError, match="no event of the sample passes the selection"):
        chain.integrate(seen[~sample.accepted], networks)


def test_names_and_truths_make_other_events(chain: bmem.Chain) -> None:
    one, same, other = (chain.simulate(10, theta=value) for value in (0.3, 0.3, 0.4))
    assert torch.equal(one.hard.x, same.hard.x)
    assert not torch.equal(one.hard.x, other.hard.x)
    assert not torch.equal(one.hard.x, chain.simulate(10, name="other", theta=0.3).hard.x)
    assert len(chain.simulate(10, repeats=3)) == 30


def test_a_truth_is_in_printed_units() -> None:
    assert bmem.Chain("thj").simulate(5, alpha=45.0).hard.theta.numpy() == pytest.approx(np.pi / 4)


def test_constraints_join(coefficients: bmem.Coefficients, config: Config) -> None:
    free = bmem.measure(coefficients, "toy")
    known = bmem.measure(coefficients, "toy", constraints=[NormalConstraint("theta", 0.3, 0.01)])
    assert known.estimate.total < 0.011 < free.estimate.total


@pytest.mark.parametrize("channel", ["toy", ToyChannel(), "bmem.channels.toy.channel:ToyChannel"])
def test_channels_come_by_name_and_as_objects(channel: bmem.Channel | str) -> None:
    chain = bmem.Chain(channel, transfer={"network": SMALL}, seed=2)
    assert chain.channel.title == load_channel("toy").title
    assert asdict(chain.settings.transfer.network)["blocks"] == 2


def test_what_is_wrong_is_named(chain: bmem.Chain, coefficients: bmem.Coefficients, finished: Run) -> None:
    with pytest.raises(ConfigError, match=r"transfr: .*did you mean 'transfer'"):
        bmem.Chain("toy", transfr={})
    with pytest.raises(ConfigError, match=r"posterior\.replica: .*did you mean 'replicas'"):
        bmem.Chain("toy", posterior={"replica": 3})
    with pytest.raises(ChannelError, match="an instance, not the class"):
        bmem.Chain(cast(Any, ToyChannel))
    with pytest.raises(ChannelError, match="did you mean 'toy'"):
        bmem.Chain("tyo")
    with pytest.raises(ConfigError, match=r"simulate: alpha: is no key, nor a parameter"):
        chain.simulate(10, alpha=0.3)
    with pytest.raises(ConfigError, match="no basis 'couplings'"):
        bmem.measure(coefficients, "toy", bmem.Chain("toy", fit={"bases": ["couplings"]}).settings.fit)
    with pytest.raises(ConfigError, match="a chain simulates and integrates signal alone"):
        bmem.Chain.of(parse({**CONTENT, "background": [{"name": "wide", "density": "wide", "fraction": 0.1}]}))
    with pytest.raises(ArtifactError, match="holds 'network'"):
        bmem.load(finished.network("transfer"))


def test_a_counted_cross_section_needs_pairs(chain: bmem.Chain, networks: TrainedNetworks) -> None:
    with pytest.raises(InputError, match="counted from the training pairs"):
        chain.fiducial(networks.acceptance, None)
    learned = bmem.Chain(chain.channel, likelihood={"fiducial": "learned", "fiducial_events": 500})
    assert learned.fiducial(networks.acceptance, None).values.shape == networks.fiducial.values.shape


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nothing\.nc"):
        bmem.load(tmp_path / "nothing.nc")
