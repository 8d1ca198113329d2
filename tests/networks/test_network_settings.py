"""A network is chosen by its kind: those that bmem brings, and one's own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bmem.config import parse
from bmem.errors import ConfigError
from bmem.events.observation import Layout
from bmem.likelihood.coordinates import Difference
from bmem.likelihood.density import ResidualDensity
from bmem.networks.contract import ConditionalDensity
from bmem.networks.coupling import CouplingFlow
from bmem.networks.densities.coupling import CouplingSettings
from bmem.networks.settings import ClassifierSettings, DensitySettings


class Tilted(ConditionalDensity):
    """p(x | c) = 1 + a (x - 1/2) in one dimension, a a weight in (-2, 2)."""

    noise_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        return torch.log1p(2 * torch.tanh(self.layer.bias) * (x[..., 0] - 0.5))


@dataclass(frozen=True)
class Settings(DensitySettings):
    size: int = 3

    def make(self, target: Layout, circular: tuple[bool, ...], condition: Layout) -> Tilted:
        return Tilted()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of a network that a user's package brings."""
    module = ModuleType("users_package")
    module.Settings = Settings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "users_package", module)
    return "users_package:Settings"


def test_without_a_kind_it_is_the_one_that_always_was() -> None:
    assert DensitySettings.chosen({"blocks": 2}) == CouplingSettings(blocks=2)
    assert parse({"transfer": {"network": {"blocks": 2}}}).transfer.network == CouplingSettings(blocks=2)


def test_a_network_of_ones_own_needs_no_line_in_bmem(own: str) -> None:
    config = parse({"transfer": {"network": {"kind": own, "size": 7}}})
    assert config.transfer.network == Settings(kind=own, size=7)
    assert config.model_dump(mode="json")["transfer"]["network"] == {"kind": own, "size": 7}
    assert parse(config.model_dump(mode="json")) == config
    density = ResidualDensity(Difference(1), config.transfer.network, defensive=0.1)
    assert isinstance(density.learned, Tilted)
    assert density.log_prob(torch.zeros(4, 1).double(), torch.zeros(4, 1).double()).shape == (4,)


def test_its_keys_are_checked_like_others(own: str) -> None:
    with pytest.raises(ConfigError, match=r"transfer\.network\.size: must be a whole number"):
        parse({"transfer": {"network": {"kind": own, "size": "large"}}})
    with pytest.raises(ValidationError, match="blocks"):
        DensitySettings.chosen({"kind": own, "blocks": 2})


def test_a_density_is_no_classifier(own: str) -> None:
    with pytest.raises(ConfigError, match=r"is not derived from bmem\.networks\.settings\.ClassifierSettings"):
        ClassifierSettings.chosen({"kind": own})


def test_an_unknown_kind_is_told_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"kind 'cuopling' is none of \['coupling'.*'package\.module:Settings'"):
        DensitySettings.chosen({"kind": "cuopling"})


def test_vectors_are_not_taken_for_sets() -> None:
    assert isinstance(CouplingSettings().make(Layout(2), (False, False), Layout(3)), CouplingFlow)
    with pytest.raises(ConfigError, match="'coupling' reads numbers, not sets of objects"):
        CouplingSettings().make(Layout(2), (False, False), Layout(1, 3, 4))
