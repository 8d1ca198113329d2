"""A device is an argument: nothing is made on the CPU by accident, and a device that is not there is a typed error.

Three nets, each with other holes: the text of every file (also of what no test runs); shapes on the ``meta`` device; and a
pretended second device for all that depends on values, which ``meta`` does not have.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from second_device import ELSEWHERE, Elsewhere, second_device
from torch import Tensor
from torch.distributions import Distribution

from bmem import devices
from bmem.channels import load_channel
from bmem.channels.thj.channel import ThjChannel
from bmem.devices import chosen, rows_at_once
from bmem.errors import DeviceError
from bmem.events.record import PairedEvents
from bmem.integration.bootstrap import bootstrap_means, mean_with_covariance
from bmem.integration.importance import integrate
from bmem.integration.settings import IntegrationSettings
from bmem.likelihood.cross_section import fiducial_cross_section, mixture_coefficients, simulated_cross_section
from bmem.likelihood.integrand import Integrand
from bmem.likelihood.proposal import LearnedPairs
from bmem.likelihood.roles import Acceptance, Pairs, Proposal, Role, Transfer
from bmem.networks.classifiers.perceptron import PerceptronSettings
from bmem.networks.densities.coupling import CouplingSettings
from bmem.process import TTH, LinearGaussian
from bmem.process.matrix_element import squared_amplitude
from bmem.replicas import Ensemble, LowRank, MeanField, PointEstimate, Replicas, Swag
from bmem.replicas.mean_field import MeanFieldLoss
from bmem.replicas.weights import Loss, random_weights
from bmem.rng import generator, normal, permutation, uniform
from bmem.simulation.pairs import simulate
from bmem.training import TrainingSettings

PACKAGE = Path(devices.__file__).parent
ROOMS = (
    "channels",
    "events",
    "integration",
    "likelihood",
    "networks",
    "process",
    "replicas",
    "simulation",
    "training",
    "transforms",
    "kinematics.py",
    "rng.py",
)
FACTORIES = {
    *("arange", "as_tensor", "asarray", "empty", "eye", "from_numpy", "full", "linspace", "logspace", "ones", "rand"),
    *("randint", "randn", "randperm", "range", "scalar_tensor", "tensor", "tril_indices", "triu_indices", "zeros", "Tensor"),
}
AT_HOME = {
    "events/columns.py": "reads files",
    "events/lhe.py": "reads files",
    "integration/importance.py": "numbers of events, which are indices on the CPU",
    "likelihood/basis.py": "the fit, in numpy",
    "likelihood/density.py": "parts of a network, which moves as a whole",
    "replicas/resamples.py": "counts of events, by which rows are taken on the CPU",
    "process/matrix_element.py": "momenta, left where they are if they are a tensor",
    "process/pdf.py": "reads files",
    "process/top_pair_squares.py": "momenta, left where they are if they are a tensor",
    "process/tth.py": "an angle, moved to the momenta",
    "simulation/particles.py": "what Pythia made",
    "simulation/pythia.py": "what Pythia made",
    "transforms/elementwise.py": "quantiles from numpy, moved to the data",
}
"""Where ``from_numpy``, ``as_tensor`` and the like may be on the CPU, and why; ``ALLOWED`` says which calls."""
ALLOWED = {
    ("events/columns.py", "from_numpy", 3),
    ("events/lhe.py", "from_numpy", 1),
    ("integration/importance.py", "from_numpy", 1),
    ("likelihood/basis.py", "as_tensor", 1),
    ("likelihood/density.py", "ones", 2),
    ("likelihood/density.py", "zeros", 1),
    ("process/matrix_element.py", "as_tensor", 1),
    ("process/pdf.py", "from_numpy", 3),
    ("process/top_pair_squares.py", "as_tensor", 1),
    ("process/tth.py", "as_tensor", 1),
    ("replicas/resamples.py", "from_numpy", 1),
    ("simulation/particles.py", "from_numpy", 2),
    ("simulation/pythia.py", "from_numpy", 2),
    ("transforms/elementwise.py", "from_numpy", 1),
}


def files() -> Iterator[Path]:
    for room in ROOMS:
        place = PACKAGE / room
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))


def homeless(source: str) -> list[str]:
    """The factories that a source calls without a device, but for those of constructors: a module moves as a whole."""
    tree = ast.parse(source)
    constructors = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    excused = {id(call) for constructor in constructors for call in ast.walk(constructor)}
    return [
        call.func.attr
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and id(call) not in excused
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "torch" and call.func.attr in FACTORIES
        if not any(keyword.arg == "device" for keyword in call.keywords)
    ]


def test_every_factory_says_where() -> None:
    found = [(path.relative_to(PACKAGE).as_posix(), name) for path in files() for name in homeless(path.read_text())]
    counted = {(*call, found.count(call)) for call in found}
    assert counted == ALLOWED, "give device=, or use new_zeros, zeros_like and the like of an input"
    assert {path for path, _, _ in ALLOWED} == AT_HOME.keys()


def test_a_new_factory_is_found() -> None:
    assert homeless("def f(n):\n    return torch.zeros(n)\n") == ["zeros"]
    assert homeless("def f(x):\n    return torch.arange(len(x), device=x.device)\n") == []
    assert homeless("class A:\n    def __init__(self):\n        self.w = torch.ones(3)\n") == []


COUPLING = CouplingSettings(blocks=2, hidden=8, layers=1, bins=4)
PERCEPTRON = PerceptronSettings(hidden=8, layers=1)
TRAINING = TrainingSettings(epochs=2, batch_size=256)


@dataclass(frozen=True)
class Measured:
    """Simulated pairs of tHj, and what the networks see of them."""

    channel: ThjChannel
    pairs: PairedEvents
    seen: Pairs

    @property
    def transfer(self) -> Transfer:
        return Transfer("transfer", self.channel.transfer, TRAINING, COUPLING)

    @property
    def acceptance(self) -> Acceptance:
        return Acceptance("acceptance", self.channel.transfer, TRAINING, PERCEPTRON)

    @property
    def proposal(self) -> Proposal:
        return Proposal("proposal", self.channel.proposal, TRAINING, COUPLING, 0.1, 200, self.channel.process)


@pytest.fixture(scope="module")
def channel() -> ThjChannel:
    made = load_channel("thj")
    assert isinstance(made, ThjChannel)
    return made


def simulated(channel: ThjChannel, device: torch.device) -> Measured:
    hard = channel.process.sample(1500, torch.zeros(1, dtype=torch.float64, device=device), generator(1)).repeat(2)
    pairs = simulate(hard, channel.response, channel.selection, seed=2)
    return Measured(channel, pairs, Pairs(pairs.hard.x, pairs.accepted, channel.observe(pairs.reco)))


@pytest.fixture(scope="module")
def measured(channel: ThjChannel) -> Measured:
    return simulated(channel, torch.device("cpu"))


@pytest.fixture(scope="module")
def elsewhere(channel: ThjChannel) -> Measured:
    with second_device():
        return simulated(channel, ELSEWHERE)


def equal(here: Tensor, there: Tensor) -> bool:
    return isinstance(there, Elsewhere) and torch.equal(here, there.as_subclass(Tensor))


def test_the_second_device_does_not_mix_with_the_first() -> None:
    with second_device():
        x = torch.zeros(3).to(ELSEWHERE)
        assert x.device == ELSEWHERE
        assert isinstance(torch.arange(3, device=x.device) + 2 * x, Elsewhere)
        for mixed in (lambda: x + torch.zeros(3), lambda: x[torch.arange(3)], x.numpy):
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        assert type(x.cpu()) is Tensor


def test_simulation_is_the_same_on_every_device(measured: Measured, elsewhere: Measured) -> None:
    here, there = measured.seen, elsewhere.seen
    assert len(here.x_reco) > 200
    pdg: Any = measured.pairs.hard.pdg, elsewhere.pairs.hard.pdg
    for pair in ((here.x_hard, there.x_hard), (here.accepted, there.accepted), (here.x_reco, there.x_reco), pdg):
        assert equal(*pair)


def integrals(measured: Measured, device: torch.device) -> tuple[dict[str, list[float]], list[Any]]:
    """Held-out losses, integrals and fiducial cross sections of a small measurement on a device."""
    process, seen = measured.channel.process, measured.seen
    losses: dict[str, list[float]] = {}
    made: dict[str, Replicas] = {}
    roles: tuple[Role, ...] = (measured.transfer, measured.acceptance, measured.proposal)
    for role in roles:
        module, posterior = role.build().to(device), PointEstimate()
        history = posterior.fit(module, role.objective, role.prepare(module, seen, made), role.training, seed=3)
        losses[role.name], made[role.name] = history.validation_loss, posterior.sample(1, generator(4))
    proposal = made["proposal"].module
    integrand = Integrand(process, made["transfer"], made["acceptance"], proposal, seen.x_reco[:4])  # type: ignore[arg-type]
    settings = IntegrationSettings(pilot=16, min_points=16, max_points=32, resamples=3)
    found = integrate(integrand, 4, mixture_coefficients(process), settings, seed=5)
    fiducial = fiducial_cross_section(process, made["acceptance"], 100, generator(6), resamples=2)
    return losses, [found.values, found.bootstrap, fiducial.values, *simulated_cross_section(process, measured.pairs)]


def test_training_and_integration_are_the_same_on_every_device(measured: Measured, elsewhere: Measured) -> None:
    losses, numbers = integrals(measured, torch.device("cpu"))
    with second_device():
        there = integrals(elsewhere, ELSEWHERE)
    assert losses == there[0]
    for here, other in zip(numbers, there[1], strict=True):
        assert np.array_equal(here, other)


POSTERIORS: dict[str, Callable[[], Any]] = {
    "mean field": MeanField,
    "low rank": LowRank,
    "swag": lambda: Swag(rank=2),
    "ensemble": lambda: Ensemble(2),
}
"""Not Laplace and NUTS: they work under ``vmap`` and in Pyro's own arithmetic."""


@pytest.mark.filterwarnings("ignore::bmem.errors.TrustWarning")
@pytest.mark.parametrize("name", POSTERIORS)
def test_posteriors_are_the_same_on_every_device(measured: Measured, elsewhere: Measured, name: str) -> None:
    def drawn(own: Measured, device: torch.device) -> dict[str, Tensor]:
        role, posterior = own.acceptance, POSTERIORS[name]()
        module = role.build().to(device)
        posterior.fit(module, role.objective, role.prepare(module, own.seen, {}), TRAINING, seed=3)
        return posterior.sample(2, generator(4)).weights

    here = drawn(measured, torch.device("cpu"))
    with second_device():
        there = drawn(elsewhere, ELSEWHERE)
    assert [key for key, value in here.items() if not equal(value, there[key])] == []


def on_meta(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


@pytest.fixture(params=["thj", "tth"])
def process(request: pytest.FixtureRequest) -> Any:
    return load_channel("thj").process if request.param == "thj" else TTH()


def test_densities_of_a_process_follow_their_points(process: Any) -> None:
    x = on_meta(5, 7)
    for found in (process.components(x), process.channel_components(x), process.space.to_momenta(x)[0]):
        assert found.device.type == "meta"
        assert found.shape[0] == 5
    assert process.basis(on_meta(5, 1)).device.type == "meta"


def test_a_matrix_element_follows_its_momenta() -> None:
    inputs = load_channel("thj").process.inputs  # type: ignore[attr-defined]
    assert squared_amplitude((2, 5, 1, 6, 25), on_meta(3, 5, 4), 0.3, inputs).device.type == "meta"


def test_decays_follow_their_particles() -> None:
    channel: Any = load_channel("thj")
    from bmem.channels.thj.response import higgs_decay, top_decay

    photons = higgs_decay(on_meta(6, 4), generator(1))
    daughters, flavours = top_decay(on_meta(6, 4), channel.settings.parametric.decays, generator(1))
    assert {part.device.type for part in (photons, daughters, flavours)} == {"meta"}


def test_learned_densities_follow_their_arguments(measured: Measured) -> None:
    x_hard, x_reco = on_meta(5, 7), on_meta(5, 11)
    transfer = measured.transfer.build().to("meta")
    density = transfer.log_prob(x_reco, x_hard)
    density.sum().backward()
    points, log_density = transfer.from_noise(on_meta(5, transfer.noise_dim), x_hard)
    drawn, _ = transfer.sample(x_hard, generator(1))
    found = (density, points, log_density, drawn, next(transfer.parameters()).grad)
    assert {part.device.type for part in found if part is not None} == {"meta"}
    assert transfer.seen(x_hard).device.type == "meta"


def test_replicas_go_to_a_device(measured: Measured) -> None:
    replicas = Replicas.of(*(measured.transfer.build() for _ in range(3)))
    there = replicas.to("meta")
    assert replicas.device.type == "cpu"
    assert next(replicas.module.parameters()).device.type == "cpu"
    found = there("log_prob", on_meta(5, 11), on_meta(5, 7))
    assert (found.device.type, found.shape) == ("meta", (3, 5))
    pairs = LearnedPairs(there, on_meta(50, 7), on_meta(50)).draw(20, generator(1))
    assert [(part.device.type, part.shape) for part in pairs] == [("meta", (20, 7)), ("meta", (20, 11))]


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Distributions that do not look at the values of their parameters, which ``meta`` does not have."""
    Distribution.set_default_validate_args(False)
    yield
    Distribution.set_default_validate_args(True)


@pytest.mark.usefixtures("unchecked")
def test_a_random_network_is_trained_where_it_is(measured: Measured) -> None:
    role = measured.acceptance
    module = role.build().to("meta")
    loss = MeanFieldLoss(Loss(module, role.objective), random_weights(module, None), MeanField(), 100, 1)
    batch = (on_meta(8, 7), on_meta(8))
    value = loss(batch)
    value.backward()
    assert value.device.type == "meta"
    assert all(parameter.grad is not None and parameter.grad.device.type == "meta" for parameter in loss.parameters())


def test_means_over_points_stay_where_the_weights_are() -> None:
    weights = on_meta(2, 30, 6)
    found = (*mean_with_covariance(weights), bootstrap_means(weights, 4, generator(1)))
    assert {part.device.type for part in found} == {"meta"}


def test_random_numbers_are_those_of_the_seed_on_every_device() -> None:
    like = torch.zeros(2, dtype=torch.float32)
    torch.testing.assert_close(uniform((4,), generator(1), like), torch.rand(4, generator=generator(1)), rtol=0, atol=0)
    torch.testing.assert_close(normal((4,), generator(1), like), torch.randn(4, generator=generator(1)), rtol=0, atol=0)
    drawn = uniform((4, 2), generator(1), on_meta(3)), normal((4, 2), generator(1), on_meta(3))
    assert {(part.device.type, part.dtype, part.shape) for part in drawn} == {("meta", torch.float64, (4, 2))}
    assert permutation(5, generator(1), on_meta(1)).device.type == "meta"
    assert generator(1).device.type == "cpu"


def test_the_toy_goes_to_its_points() -> None:
    toy = LinearGaussian()
    there = toy._on(torch.device("meta"))
    assert there.means.device.type == "meta"
    assert toy.means.device.type == "cpu"
    assert toy.basis(on_meta(5, 1)).device.type == "meta"


def test_a_device_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("cpu") == torch.device("cpu")
    for there, auto in (({}, "cpu"), ({"cuda": 2}, "cuda"), ({"mps": 1}, "cpu")):
        monkeypatch.setattr(devices, "_accelerators", lambda there=there: there)
        assert chosen("auto") == torch.device(auto)
    monkeypatch.setattr(devices, "_accelerators", lambda: {"cuda": 2})
    assert chosen("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpu", "no device"),
        ("cuda:2", "not there.*'cpu' or 'cuda:0' or 'cuda:1' or 'auto'"),
        ("xpu", "not there"),
        ("meta", "not there"),
        ("mps", "double precision"),
        ("", "no device"),
    ],
)
def test_a_device_that_cannot_be_used_is_told(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_accelerators", lambda: {"cuda": 2})
    with pytest.raises(DeviceError, match=said):
        chosen(name)


def test_accelerators_get_more_rows_at_once() -> None:
    assert rows_at_once(4096, torch.device("cpu")) == 4096
    assert rows_at_once(4096, torch.device("cuda")) > 4096
