"""Kinds of nuisance parameters of tHj: parton densities and their scale; scales, resolution and tags of the detector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bmem.errors import ConfigError
from bmem.likelihood.nuisances import Nuisance
from bmem.process import THJ, PDFGrid
from bmem.process.pdf import default_grid
from bmem.process.variations import OtherProcesses
from bmem.simulation.effects import DetectorEffect

if TYPE_CHECKING:
    from bmem.channels.contract import Channel

_DETECTOR_NODES = (-2.0, -1.0, 1.0, 2.0)
"""ν at which the integrals of a detector effect are computed, beside 0."""


@dataclass(frozen=True)
class PartonDensities:
    """Parton densities between those of the channel (ν = 0) and others: a member of an error set, or another fit."""

    up: Path
    """LHAPDF grid (.dat) at ν = 1: a path, relative to the TOML, or the name of a grid of Pythia or LHAPDF_DATA_PATH."""
    down: Path | None = None
    """The same at ν = -1; not set: the densities change linearly through those of the channel."""

    def make(self, name: str, channel: Channel) -> Nuisance:
        """Raises InputError where a grid is not there or no grid."""
        grids = {1.0: self.up} | ({} if self.down is None else {-1.0: self.down})
        others = {nu: _with(channel, PDFGrid.read(_found(path))) for nu, path in grids.items()}
        return Nuisance(name, tuple(others), OtherProcesses(others))


@dataclass(frozen=True)
class FactorisationScale:
    """The scale of the parton densities, the nominal one times factor^ν."""

    factor: float = 2.0
    """By which the scale is multiplied at ν = 1 and divided at ν = -1."""

    def __post_init__(self) -> None:
        if not 1 < self.factor < math.inf:
            raise ConfigError(f"factor = {self.factor!r} must be a finite number above 1")

    def make(self, name: str, channel: Channel) -> Nuisance:
        """Raises RangeError where the grid does not reach so far."""
        nominal = channel.process
        assert isinstance(nominal, THJ)
        grid = nominal.pdf
        others = {nu: _with(channel, grid, nominal.scale * self.factor**nu) for nu in (-1.0, 1.0)}
        return Nuisance(name, tuple(others), OtherProcesses(others))


@dataclass(frozen=True)
class DetectorKind:
    """A factor (1 + size)^ν of one property of the detector."""

    what: ClassVar[str]
    size: float

    def __post_init__(self) -> None:
        _ = self.effect  # which tells what is wrong with the size

    @property
    def effect(self) -> DetectorEffect:
        return DetectorEffect(self.what, self.size)

    def make(self, name: str, channel: Channel) -> Nuisance:
        return Nuisance(name, _DETECTOR_NODES, effect=self)


@dataclass(frozen=True)
class JetEnergyScale(DetectorKind):
    """pT of all jets."""

    what: ClassVar[str] = "jet_energy_scale"
    size: float = 0.03
    """Relative change at ν = 1."""


@dataclass(frozen=True)
class JetEnergyResolution(DetectorKind):
    """Resolution of the pT of all jets."""

    what: ClassVar[str] = "jet_energy_resolution"
    size: float = 0.1
    """Relative change at ν = 1."""


@dataclass(frozen=True)
class PhotonEnergyScale(DetectorKind):
    """pT of all photons."""

    what: ClassVar[str] = "photon_energy_scale"
    size: float = 0.005
    """Relative change at ν = 1."""


@dataclass(frozen=True)
class BTagEfficiency(DetectorKind):
    """Probability of a b-tag of jets with a b quark."""

    what: ClassVar[str] = "btag_efficiency"
    size: float = 0.05
    """Relative change at ν = 1."""


@dataclass(frozen=True)
class Mistag(DetectorKind):
    """Probability of a b-tag of other jets."""

    what: ClassVar[str] = "mistag"
    size: float = 0.2
    """Relative change at ν = 1."""


def _with(channel: Channel, grid: PDFGrid, scale: float | None = None) -> THJ:
    """The process of a channel with another grid, or at another scale."""
    nominal = channel.process
    assert isinstance(nominal, THJ)
    return THJ(nominal.sqrt_s, grid, nominal.inputs, nominal.scale if scale is None else scale)


def _found(path: Path) -> Path:
    """A grid file, or one of that name where Pythia and LHAPDF have theirs."""
    return path if path.is_file() or len(path.parts) > 1 else default_grid(path.name)
