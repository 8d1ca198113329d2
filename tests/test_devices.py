"""A device is an argument: nothing is made on the CPU by accident, and a device that is not there is a typed error.

Three nets, each with other holes: the text of every file (also of what no test runs); shapes on the ``meta`` device, which
do not mix with the CPU; and for what depends on values, which ``meta`` does not have, a run on the CPU in which every tensor
that is made of nothing has to say where.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.overrides import TorchFunctionMode

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
from bmem.likelihood.roles import Acceptance, Pairs, Proposal, Transfer
from bmem.networks.classifiers.perceptron import PerceptronSettings
from bmem.networks.densities.coupling import CouplingSettings
from bmem.process import TTH, LinearGaussian
from bmem.process.matrix_element import squared_amplitude
from bmem.replicas import Ensemble, Laplace, MeanField, PointEstimate, Replicas, Swag
from bmem.replicas.mean_field import MeanFieldLoss
from bmem.replicas.weights import Loss, random_weights
from bmem.rng import generator, normal, permutation, uniform
from bmem.simulation.simulate import simulate
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


class Watch(TorchFunctionMode):
    """Remembers the factories that functions of the rooms call without a device."""

    made: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.made = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in FACTORIES and getattr(torch, name, None) is func and kwargs.get("device") is None:
            given = args and isinstance(args[0], Tensor)
            where = None if given else _caller()
            if where is not None:
                self.made.append(f"{where}: torch.{name}")
        return func(*args, **kwargs)


def _caller() -> str | None:
    """The function of a room, no constructor and not at home on the CPU, that calls a factory directly; otherwise None."""
    frame = inspect.currentframe()
    while (
        frame is not None
        and frame.f_code.co_filename == __file__
        and frame.f_code.co_name
        in (
            "_caller",
            "__torch_function__",
        )
    ):
        frame = frame.f_back
    if frame is None:
        return None
    path = Path(frame.f_code.co_filename)
    own = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else ""
    if not own.startswith(ROOMS) or own in AT_HOME or frame.f_code.co_name == "__init__":
        return None
    return f"{own}:{frame.f_lineno} {frame.f_code.co_name}"


def test_the_watch_sees_what_a_room_makes() -> None:
    code = compile("def wrong(n):\n    return torch.zeros(n)\n", str(PACKAGE / "process" / "wrong.py"), "exec")
    names: dict[str, Any] = {"torch": torch}
    exec(code, names)
    with Watch() as watch:
        names["wrong"](3)
        torch.zeros(3)
    assert watch.made == ["process/wrong.py:2 wrong: torch.zeros"]


COUPLING = CouplingSettings(blocks=2, hidden=8, layers=1, bins=4)
PERCEPTRON = PerceptronSettings(hidden=8, layers=1)
TRAINING = TrainingSettings(epochs=2, batch_size=64)


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
def watched() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def measured(watched: Watch) -> Measured:
    channel = load_channel("thj")
    assert isinstance(channel, ThjChannel)
    with watched:
        hard = channel.process.sample(3000, torch.zeros(1, dtype=torch.float64, device="cpu"), generator(1)).repeat(2)
        pairs = simulate(hard, channel.response, channel.selection, seed=2)
    return Measured(channel, pairs, Pairs(pairs.hard.x, pairs.accepted, channel.observe(pairs.reco)))


def test_generation_and_simulation_make_nothing_by_accident(measured: Measured, watched: Watch) -> None:
    assert len(measured.seen.x_reco) > 200
    assert not watched.made


def test_training_and_integration_make_nothing_by_accident(measured: Measured) -> None:
    process, seen = measured.channel.process, measured.seen
    with Watch() as watch:
        made: dict[str, Replicas] = {}
        for role in (measured.transfer, measured.acceptance, measured.proposal):
            module, posterior = role.build(), PointEstimate()
            posterior.fit(module, role.objective, role.prepare(module, seen, made), role.training, seed=3)
            made[role.name] = posterior.sample(1, generator(4))
        networks = made["transfer"], made["acceptance"], made["proposal"].module
        integrand = Integrand(process, *networks, seen.x_reco[:4])  # type: ignore[arg-type]
        settings = IntegrationSettings(pilot=16, min_points=16, max_points=32, resamples=3)
        found = integrate(integrand, 4, mixture_coefficients(process), settings, seed=5)
        fiducial_cross_section(process, made["acceptance"], 100, generator(6), resamples=2)
        simulated_cross_section(process, measured.pairs)
    assert found.values.shape == (1, 4, 6)
    assert not watch.made


POSTERIORS: dict[str, Callable[[], Any]] = {
    "mean field": MeanField,
    "laplace": Laplace,
    "swag": lambda: Swag(rank=2),
    "ensemble": lambda: Ensemble(2),
}


@pytest.mark.filterwarnings("ignore::bmem.errors.TrustWarning")
@pytest.mark.parametrize("name", POSTERIORS)
def test_posteriors_make_nothing_by_accident(measured: Measured, name: str) -> None:
    role, posterior = measured.acceptance, POSTERIORS[name]()
    module = role.build()
    with Watch() as watch:
        posterior.fit(module, role.objective, role.prepare(module, measured.seen, {}), TRAINING, seed=3)
        posterior.sample(2, generator(4))
    assert not watch.made


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
    channel = load_channel("thj")
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
