"""What a newcomer touches to add something, counted: every addition is made in a scratch package, outside of bmem.

A channel: its folder, and a name in the TOML. An architecture: one file, and a kind in the TOML. A product: one file. A
background: one file, that of its channel. (A device: no file; ``tests/test_devices.py``.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path

import numpy as np
import pytest
import torch

from bmem.artifacts import Engine
from bmem.channels.contract import lacking
from bmem.config import Config, parse
from bmem.events.observation import Layout
from bmem.rng import generator
from bmem.simulation.pairs import simulate

CHANNEL = '''
from dataclasses import dataclass
import torch
from bmem.channels.base import BaseChannel, as_events
from bmem.events.record import HardEvents
from bmem.quantity import Parameter, Quantity

@dataclass(frozen=True)
class Slope:
    """dσ/dx = 1 + A x for x in [-1, 1]."""
    parameters: tuple = (Parameter("A", (-0.9, 0.9)),)
    def basis(self, theta):
        return torch.cat([torch.ones_like(theta), theta], dim=-1)
    def components(self, x):
        return torch.where(x.abs() <= 1, torch.cat([torch.ones_like(x), x], dim=-1), 0.0)
    def cross_section(self, theta):
        return 2.0, 0.0
    def sample(self, n, theta, rng):
        size, side = torch.rand(2, n, 1, generator=rng, dtype=torch.float64)
        x = torch.where(2 * side < 1 + theta * size, size, -size)
        return HardEvents(x, theta.expand(n, 1).clone(), torch.ones(n, dtype=torch.float64))

@dataclass(frozen=True)
class Smeared:
    width: float = 0.1
    def __call__(self, hard, rng):
        noise = torch.randn(hard.x.shape, generator=rng, dtype=torch.float64)
        return as_events(hard.x + self.width * noise, QUANTITIES)

QUANTITIES = (Quantity("x", "x"),)

class SlopeChannel(BaseChannel):
    title = "a slope"
    observables = QUANTITIES
    process = Slope()
    response = Smeared()
'''
BACKGROUND = '''
from dataclasses import dataclass
import torch
from scratch.channel import SlopeChannel

@dataclass(frozen=True)
class Flat:
    def sample(self, n, rng):
        return 2 * torch.rand(n, 1, generator=rng, dtype=torch.float64) - 1
    def log_density(self, x):
        return torch.where(x[..., 0].abs() <= 1, torch.full_like(x[..., 0], 0.5).log(), -torch.inf)

class WithFlat(SlopeChannel):
    backgrounds = {"flat": Flat()}
'''
ARCHITECTURE = '''
from dataclasses import dataclass
import torch
from bmem.networks.contract import ConditionalDensity
from bmem.networks.settings import DensitySettings

class Even(ConditionalDensity):
    """Uniform on the cube, whatever the condition."""
    def __init__(self, dim):
        super().__init__()
        self.noise_dim = dim
        self.weight = torch.nn.Parameter(torch.zeros(1))
    def log_prob(self, x, condition):
        return 0 * x.sum(-1) * self.weight
    def from_noise(self, noise, condition):
        return noise, 0 * noise.sum(-1)

@dataclass(frozen=True)
class EvenSettings(DensitySettings):
    kind: str = "scratch.even:EvenSettings"
    def make(self, target, circular, condition):
        return Even(target.values)
'''
PRODUCT = '''
from bmem.artifacts import JsonFile, Product, read_json

def count(out, number):
    return Product("count", out / "count.json", "count", {"number": number}, {},
                   make=lambda: JsonFile("count", {"number": number}), read=lambda path: read_json(path, "count"))
'''


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable empty package ``scratch``."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "scratch"]:
        del sys.modules[name]


def touched(folder: Path) -> list[str]:
    """The files that were written by hand."""
    return sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")


def configured(name: str, **more: object) -> Config:
    return parse({"channel": {"name": name}, "sample": [{"name": "s", "A": 0.3, "events": 100}], **more})


def test_a_channel_is_its_folder_and_a_name(scratch: Path) -> None:
    (scratch / "channel.py").write_text(CHANNEL, encoding="utf-8")
    config = configured("scratch.channel:SlopeChannel")
    channel = config.channel.make()
    assert lacking(channel) == []
    assert config.theta(config.sample[0]) == (0.3,)
    hard = channel.process.sample(50, torch.tensor([0.3], dtype=torch.float64), generator(1))
    assert channel.observe(simulate(hard, channel.response, channel.selection, seed=1).reco).shape == (50, 1)
    assert touched(scratch) == ["channel.py"]


def test_a_background_is_one_file_of_its_channel(scratch: Path) -> None:
    (scratch / "channel.py").write_text(CHANNEL, encoding="utf-8")
    before = touched(scratch)
    (scratch / "flat.py").write_text(BACKGROUND, encoding="utf-8")
    config = configured("scratch.flat:WithFlat", background=[{"name": "flat", "density": "flat", "fraction": 0.2}])
    stated = config.channel.make().backgrounds[str(config.background[0].density)]
    assert torch.isfinite(stated.log_density(stated.sample(10, generator(1)))).all()
    assert sorted(set(touched(scratch)) - set(before)) == ["flat.py"]


def test_an_architecture_is_one_file_and_a_kind(scratch: Path) -> None:
    (scratch / "even.py").write_text(ARCHITECTURE, encoding="utf-8")
    config = parse({"transfer": {"network": {"kind": "scratch.even:EvenSettings"}}})
    module = config.transfer.network.make(Layout(2), (False, False), Layout(1))
    points, log_density = module.sample(torch.zeros(5, 1), generator(1))
    assert torch.equal(module.log_prob(points, torch.zeros(5, 1)), log_density)
    assert touched(scratch) == ["even.py"]


def test_a_product_is_one_file(scratch: Path, tmp_path: Path) -> None:
    (scratch / "count.py").write_text(PRODUCT, encoding="utf-8")
    from scratch.count import count

    said: list[str] = []
    engine = Engine(tmp_path / "out", said.append)
    engine.ensure(count(tmp_path / "out", 3))
    engine.ensure(count(tmp_path / "out", 3))
    assert count(tmp_path / "out", 3).load() == {"number": 3}
    assert np.any(["count.json is there" in line for line in said])
    assert touched(scratch) == ["count.py"]
