"""Every architecture: starts anew, knows its last layer, survives vmap, and is its state dict."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch
from architectures import CLASSIFIERS, DENSITIES, REGRESSORS, perturb
from torch import Tensor, nn

from bmem.errors import ConfigError, InputError
from bmem.events.observation import Layout
from bmem.networks.mixture import DefensiveMixture, Uniform
from bmem.networks.settings import ClassifierSettings, DensitySettings, NetworkSettings, RegressorSettings
from bmem.replicas import Replicas
from bmem.replicas.weights import random_weights
from bmem.training import Network

INPUTS = Layout(3)


@dataclass(frozen=True)
class Case:
    """A network of 3 inputs, and how each of its methods is called with them [N, 3]."""

    make: Callable[[], Network]
    calls: dict[str, Callable[[Tensor], tuple[Tensor, ...]]]


def points(inputs: Tensor, dim: int) -> Tensor:
    rng = torch.Generator().manual_seed(4)
    return 0.05 + 0.9 * torch.rand(len(inputs), dim, generator=rng, dtype=inputs.dtype)


def density(settings: DensitySettings, guarded: bool = False) -> Case:
    def make() -> Network:
        learned = settings.make(Layout(2), (True, False), INPUTS)
        return DefensiveMixture(learned, Uniform(2), 0.3) if guarded else learned

    calls: dict[str, Callable[[Tensor], tuple[Tensor, ...]]] = {
        "log_prob": lambda inputs: (points(inputs, 2), inputs),
        "from_noise": lambda inputs: (points(inputs, make().noise_dim), inputs),  # type: ignore[arg-type]
    }
    return Case(make, calls)


CASES = {
    **{name: density(settings) for name, settings in DENSITIES.items()},
    "mixture": density(DENSITIES["coupling"], guarded=True),
    **{name: Case(partial(settings.make, INPUTS), {"logit": lambda x: (x,)}) for name, settings in CLASSIFIERS.items()},
    **{name: Case(partial(own.make, INPUTS, 2), {"predict": lambda x: (x,)}) for name, own in REGRESSORS.items()},
}
FAMILIES: dict[type[NetworkSettings], Mapping[str, NetworkSettings]] = {
    DensitySettings: DENSITIES,
    ClassifierSettings: CLASSIFIERS,
    RegressorSettings: REGRESSORS,
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def inputs(n: int = 40, seed: int = 1) -> Tensor:
    return 5 + 3 * torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def trained(case: Case, seed: int = 3) -> Network:
    module = case.make().double()
    module.fit_features(inputs())
    perturb(module, seed)
    return module.eval()


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("of", FAMILIES, ids=["densities", "classifiers", "regressors"])
def test_every_architecture_is_tested_and_is_found_by_its_kind(of: type[NetworkSettings]) -> None:
    tested = FAMILIES[of]
    kinds = {module.name for module in iter_modules(import_module(of.folder).__path__)}
    assert kinds == tested.keys()
    for kind, settings in tested.items():
        assert type(of.chosen({"kind": kind})) is type(settings)
        assert settings.kind == kind


def test_a_new_network_does_not_depend_on_global_generators(case: Case) -> None:
    torch.manual_seed(1)
    first = case.make()
    torch.manual_seed(2)
    assert equal(state(first), state(case.make()))


def test_reset_draws_all_weights_anew_from_its_generator_alone(case: Case) -> None:
    first, second = trained(case, 3), trained(case, 4)
    before = dict(copy.deepcopy(first).named_parameters())
    first.reset(torch.Generator().manual_seed(7))
    torch.manual_seed(5)
    second.reset(torch.Generator().manual_seed(7))
    assert equal(state(first), state(second))
    assert all(not (value == before[name]).any() for name, value in first.named_parameters())
    second.reset(torch.Generator().manual_seed(8))
    assert not equal(state(first), state(second))


def test_reset_leaves_scales_and_the_global_generator_alone(case: Case) -> None:
    module = trained(case)
    scales, generator = dict(copy.deepcopy(module).named_buffers()), torch.get_rng_state()
    module.reset(torch.Generator().manual_seed(7))
    assert equal(dict(module.named_buffers()), scales)
    assert torch.equal(torch.get_rng_state(), generator)


def test_scales_of_equal_inputs_are_equal(case: Case) -> None:
    module = case.make().double()
    states = []
    for seed in (1, 1, 2, 1):
        module.fit_features(inputs(seed=seed))
        states.append(state(module))
    assert equal(states[0], states[1])
    assert not equal(states[0], states[2])
    assert equal(states[0], states[3])


def test_the_last_layer_is_a_part_of_the_weights(case: Case) -> None:
    module = trained(case)
    last = random_weights(module, "last")
    assert 0 < len(last) < len(dict(module.named_parameters()))


def test_the_state_dict_is_all_there_is(case: Case) -> None:
    first, second = trained(case, 3), trained(case, 4)
    second.fit_features(inputs(seed=2))
    second.load_state_dict(state(first))
    for method, arguments in case.calls.items():
        torch.testing.assert_close(
            getattr(second, method)(*arguments(inputs())), getattr(first, method)(*arguments(inputs())), rtol=0, atol=0
        )


def test_replicas_at_once_are_those_one_by_one(case: Case) -> None:
    modules = [trained(case, seed) for seed in range(3)]
    replicas = Replicas.of(*modules)
    for method, arguments in case.calls.items():
        with torch.no_grad():
            together = replicas(method, *arguments(inputs()))
            alone = [getattr(module, method)(*arguments(inputs())) for module in modules]
        for r, expected in enumerate(alone):
            found = together[r] if isinstance(expected, Tensor) else tuple(part[r] for part in together)
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


ALONE = ("own.attention.query.weight", "own.attention.query.bias")
"""A single token attends to itself alone, whatever it asks: here the target has no second one."""


def test_gradients_are_finite_and_reach_all_weights(case: Case) -> None:
    method, arguments = next(iter(case.calls.items()))
    module, at = trained(case), inputs().requires_grad_()
    getattr(module, method)(*arguments(at)).sum().backward()
    for name, value in (*module.named_parameters(), ("inputs", at)):
        assert value.grad is not None, name
        assert torch.isfinite(value.grad).all(), name
        assert (value.grad != 0).any() or name.endswith(ALONE), name


@pytest.mark.parametrize("name", [*DENSITIES, *CLASSIFIERS, *REGRESSORS])
def test_sets_of_objects_are_read_or_refused(name: str) -> None:
    """What reads them does not see the order of the objects, nor what lies in empty places."""
    layout = Layout(1, 4, 2)
    values, objects = inputs()[:, :1], torch.randn(40, 4, 2, dtype=torch.float64)
    mask = torch.tensor([1, 1, 1, 0]).expand(40, 4)
    rows, turned = layout.pack(values, objects, mask), layout.pack(values, objects[:, [2, 0, 1, 3]], mask)
    settings = DENSITIES.get(name) or CLASSIFIERS.get(name) or REGRESSORS[name]
    try:
        if isinstance(settings, DensitySettings):
            module: Network = settings.make(Layout(2), (True, False), layout)
        else:
            module = settings.make(layout) if isinstance(settings, ClassifierSettings) else settings.make(layout, 2)
    except ConfigError as error:
        module, refusal = Uniform(2), str(error)
    if isinstance(module, Uniform):
        assert f"{name!r} reads numbers, not sets of objects" in refusal
        return
    module = module.double()
    module.fit_features(rows)
    perturb(module)
    method, arguments = next(iter(CASES[name].calls.items()))
    torch.testing.assert_close(getattr(module, method)(*arguments(turned)), getattr(module, method)(*arguments(rows)))


class OfTorch(Network):
    """Layers of torch alone, one of which keeps more than weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LayerNorm(4))


def test_layers_of_torch_start_anew_with_all_that_they_keep() -> None:
    first, second = OfTorch(), OfTorch()
    first.layers(torch.randn(50, 3))
    perturb(first)
    before, generator = dict(copy.deepcopy(first).named_parameters()), torch.get_rng_state()
    first.reset(torch.Generator().manual_seed(1))
    second.reset(torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), generator)
    assert equal(state(first), state(second))
    assert all(not torch.equal(value, before[name]) for name, value in first.named_parameters())


def test_weights_that_nobody_draws_are_refused() -> None:
    class Forgetful(Network):
        def __init__(self) -> None:
            super().__init__()
            self.free = nn.Parameter(torch.zeros(3))

    with pytest.raises(InputError, match="a Forgetful has weights of its own"):
        Forgetful().reset(torch.Generator())
    with pytest.raises(InputError, match="a Forgetful tells no last layer"):
        random_weights(Forgetful(), "last")
    with pytest.raises(InputError, match=r"no trainable weights called \['fre'\]"):
        random_weights(Forgetful(), ("fre",))
